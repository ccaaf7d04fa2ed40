/// What tells our boards from everything else on the bus: ids and strings, as data.
public struct USBIdentity: Sendable, Hashable {
  public var vendorID: UInt16
  public var productID: UInt16
  public var manufacturer: String
  public var product: String

  public init(vendorID: UInt16, productID: UInt16, manufacturer: String, product: String) {
    self.vendorID = vendorID
    self.productID = productID
    self.manufacturer = manufacturer
    self.product = product
  }

  /// The test board. Its ids are the public test ids of pid.codes, which anybody may use: the strings must match too.
  public static let testBoard = USBIdentity(
    vendorID: 0x1209, productID: 0x0001, manufacturer: "RRAM toolkit", product: "RRAM test board")
}
