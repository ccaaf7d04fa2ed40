public import RRAMTransport
public import RRAMWire

extension USBDescription {
  /// The test board with a serial: ids and strings that udev rules and hosts know it by.
  ///
  /// - Parameters:
  ///   - serial: as the board's `Hello` says it.
  ///   - protocolLevel: the highest one, 0 to 99.
  public init(serial: String?, speed: Speed = .high, protocolLevel: Int = ProtocolLevel.current) {
    precondition((0...99).contains(protocolLevel), "a protocol level has two decimal digits")
    self.init(
      vendorID: 0x1209, productID: 0x0001,
      bcdDevice: UInt16((protocolLevel / 10) << 12 | (protocolLevel % 10) << 8),
      manufacturer: "RRAM toolkit", product: "RRAM test board", serial: serial, speed: speed)
  }
}
