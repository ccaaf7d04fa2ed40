/// What a board says of itself when a kernel enumerates it: data, not constants of the protocol.
public struct USBDescription: Sendable, Hashable {
  /// Bus speeds a board may have.
  public enum Speed: String, Sendable, Hashable, CaseIterable {
    /// 12 Mbit/s, bulk packets of 64 bytes.
    case full
    /// 480 Mbit/s, bulk packets of 512 bytes.
    case high

    /// Bytes of a full bulk packet: USB 2.0, 5.8.3.
    public var bulkPacketBytes: Int { self == .full ? 64 : 512 }
  }

  public var vendorID: UInt16
  public var productID: UInt16
  /// The protocol level, two decimal digits, in the upper byte.
  public var bcdDevice: UInt16
  public var manufacturer: String
  public var product: String
  /// `nil` where the board has no such string.
  public var serial: String?
  public var speed: Speed

  public init(
    vendorID: UInt16, productID: UInt16, bcdDevice: UInt16, manufacturer: String, product: String,
    serial: String? = nil, speed: Speed = .high
  ) {
    self.vendorID = vendorID
    self.productID = productID
    self.bcdDevice = bcdDevice
    self.manufacturer = manufacturer
    self.product = product
    self.serial = serial
    self.speed = speed
  }
}

/// Endpoint addresses of a board; bit 7 says towards the host.
public enum BoardEndpoint {
  public static let control: UInt8 = 0x00
  public static let bulkOut: UInt8 = 0x01
  public static let bulkIn: UInt8 = 0x81
  public static let doorbell: UInt8 = 0x82
  /// A doorbell is 16 bytes: `framing.md`, 4.
  public static let doorbellBytes = 16
  public static let all = [bulkOut, bulkIn, doorbell]
}

/// The tables that a kernel reads: USB 2.0 chapter 9, and the BOS of USB 3.2, 9.6.2.
extension USBDescription {
  /// `bConfigurationValue` of the only configuration.
  public static let configurationValue: UInt8 = 1

  private enum Kind {
    static let device: UInt8 = 1
    static let configuration: UInt8 = 2
    static let string: UInt8 = 3
    static let interface: UInt8 = 4
    static let endpoint: UInt8 = 5
    static let qualifier: UInt8 = 6
    static let otherSpeed: UInt8 = 7
    static let bos: UInt8 = 15
    static let capability: UInt8 = 16
  }

  /// Strings by index; index 0 is the table of languages.
  private var strings: [String?] { [manufacturer, product, serial, "rram.board.v1"] }

  /// The descriptor that GET_DESCRIPTOR asks for; `nil` if the board has none.
  public func descriptor(type: UInt8, index: UInt8) -> [UInt8]? {
    switch type {
    case Kind.device: index == 0 ? deviceDescriptor : nil
    case Kind.configuration: index == 0 ? configuration(type, at: speed) : nil
    case Kind.string: string(index)
    // Only devices that can run at both speeds have these two.
    case Kind.qualifier: index == 0 && speed == .high ? qualifier : nil
    case Kind.otherSpeed: index == 0 && speed == .high ? configuration(type, at: .full) : nil
    case Kind.bos: index == 0 ? bos : nil
    default: nil
    }
  }

  private var deviceDescriptor: [UInt8] {
    // bcdUSB 2.01: a kernel asks for a BOS from there on.
    [18, Kind.device, 0x01, 0x02, 0, 0, 0, 64]
      + vendorID.littleEndianBytes + productID.littleEndianBytes + bcdDevice.littleEndianBytes + [
        1, 2, serial == nil ? 0 : 3, 1,
      ]
  }

  private var qualifier: [UInt8] { [10, Kind.qualifier, 0x01, 0x02, 0, 0, 0, 64, 1, 0] }

  private func configuration(_ type: UInt8, at speed: Speed) -> [UInt8] {
    func endpoint(_ address: UInt8, attributes: UInt8, packet: Int, interval: UInt8) -> [UInt8] {
      [7, Kind.endpoint, address, attributes] + UInt16(packet).littleEndianBytes + [interval]
    }
    let bulk = speed.bulkPacketBytes
    // Every millisecond: frames at full speed, 2^(4-1) microframes of 125 µs at high speed (USB 2.0, 9.6.6).
    let interval: UInt8 = speed == .full ? 1 : 4
    let rest =
      [9, Kind.interface, 0, 0, 3, 0xff, 0, 0, 4]
      + endpoint(BoardEndpoint.bulkOut, attributes: 2, packet: bulk, interval: 0)
      + endpoint(BoardEndpoint.bulkIn, attributes: 2, packet: bulk, interval: 0)
      + endpoint(BoardEndpoint.doorbell, attributes: 3, packet: BoardEndpoint.doorbellBytes, interval: interval)
    // Powered by the bus, 500 mA in units of 2 mA, no remote wake-up.
    return [9, type] + UInt16(9 + rest.count).littleEndianBytes + [1, Self.configurationValue, 0, 0x80, 250] + rest
  }

  /// One capability, the USB 2.0 extension, which says that the board knows no link power management.
  private var bos: [UInt8] { [5, Kind.bos, 12, 0, 1, 7, Kind.capability, 2, 0, 0, 0, 0] }

  private func string(_ index: UInt8) -> [UInt8]? {
    // US English, the language every host asks for.
    if index == 0 { return [4, Kind.string, 0x09, 0x04] }
    guard Int(index) <= strings.count, let text = strings[Int(index) - 1] else { return nil }
    // A descriptor's length is one byte: 126 code units fit.
    let units = text.utf16.prefix(126)
    return [UInt8(2 + 2 * units.count), Kind.string] + units.flatMap(\.littleEndianBytes)
  }
}
