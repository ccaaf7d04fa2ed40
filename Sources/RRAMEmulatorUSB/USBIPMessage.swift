internal import RRAMTransport

/// The messages of USB/IP: the kernel's Documentation/usb/usbip_protocol.rst. All numbers are big-endian.
enum USBIP {
  /// Version 1.1.1, spoken by every kernel since 3.17.
  static let version: UInt16 = 0x0111

  // MARK: before a device is attached

  static let operationHeaderBytes = 8
  static let busIDBytes = 32

  /// What a client may ask for on a new connection.
  enum Operation: Equatable {
    case listDevices
    /// Attach the device of that bus id, whose 32 bytes follow.
    case attach
  }

  /// Reads the header of an operation; `nil` if the version or the code is not known.
  static func operation(_ header: ArraySlice<UInt8>) -> Operation? {
    var reader = Reader(header)
    guard reader.u16() == version else { return nil }
    switch reader.u16() {
    case 0x8005: return .listDevices
    case 0x8003: return .attach
    default: return nil
    }
  }

  /// The bus id of an `attach`, up to its first 0.
  static func busID(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }

  /// Why a device is not attached: `enum op_code_status` of usbip-utils.
  enum Refusal: UInt32 {
    case notAvailable = 1
    case busy = 2
    case noDevice = 4
  }

  static func deviceList(_ devices: [[UInt8]]) -> [UInt8] {
    version.bigEndianBytes + UInt16(0x0005).bigEndianBytes + UInt32(0).bigEndianBytes
      + UInt32(devices.count).bigEndianBytes + devices.joined()
  }

  static func attached(_ device: [UInt8]) -> [UInt8] {
    version.bigEndianBytes + UInt16(0x0003).bigEndianBytes + UInt32(0).bigEndianBytes + device
  }

  static func refused(_ refusal: Refusal) -> [UInt8] {
    version.bigEndianBytes + UInt16(0x0003).bigEndianBytes + refusal.rawValue.bigEndianBytes
  }

  /// `struct usbip_usb_device`, 312 bytes, and with `interfaces` four more for the only interface.
  static func device(
    _ description: USBDescription, busID: String, configuration: UInt8, interfaces: Bool
  ) -> [UInt8] {
    func padded(_ text: String, _ count: Int) -> [UInt8] {
      Array(text.utf8.prefix(count - 1)) + Array(repeating: 0, count: count - min(text.utf8.count, count - 1))
    }
    // `enum usb_device_speed` of linux/usb/ch9.h.
    let speed: UInt32 = description.speed == .high ? 3 : 2
    return padded("/sys/devices/rram/usb1/\(busID)", 256) + padded(busID, busIDBytes)
      + UInt32(1).bigEndianBytes + UInt32(2).bigEndianBytes + speed.bigEndianBytes
      + description.vendorID.bigEndianBytes + description.productID.bigEndianBytes
      + description.bcdDevice.bigEndianBytes + [0, 0, 0, configuration, 1, 1] + (interfaces ? [0xff, 0, 0, 0] : [])
  }

  // MARK: while a device is attached

  /// Bytes of each header.
  static let headerBytes = 48
  /// Longest transfer: usbfs of the host splits longer ones, and holds 16 MiB for all of them by default.
  static let maximumTransferBytes = 16 << 20

  enum Command: Equatable {
    /// A transfer; `dataBytes` follow the header.
    case submit(sequence: UInt32, endpoint: UInt8, isIn: Bool, length: Int, setup: USBSetup, dataBytes: Int)
    /// Give up the transfer that had the number `victim`.
    case unlink(sequence: UInt32, victim: UInt32)
  }

  /// Reads a header; `nil` for what no host may send.
  static func command(_ header: ArraySlice<UInt8>) -> Command? {
    var reader = Reader(header)
    let (code, sequence, _, direction, endpoint) = (
      reader.u32(), reader.u32(), reader.u32(), reader.u32(), reader.u32()
    )
    switch code {
    case 1:
      let (_, length, _, packets, _) = (reader.u32(), reader.u32(), reader.u32(), reader.u32(), reader.u32())
      guard direction <= 1, endpoint <= 15, length <= maximumTransferBytes,
        // Isochronous transfers have packets; a board has no endpoint for them.
        packets == 0 || packets == .max, let setup = USBSetup(reader.rest.prefix(8))
      else { return nil }
      let isIn = direction == 1
      return .submit(
        sequence: sequence, endpoint: UInt8(endpoint) | (isIn && endpoint != 0 ? 0x80 : 0), isIn: isIn,
        length: Int(length), setup: setup, dataBytes: isIn ? 0 : Int(length))
    case 2: return .unlink(sequence: sequence, victim: reader.u32())
    default: return nil
    }
  }

  /// Error numbers of Linux, which the protocol carries.
  enum Status: Int32 {
    case done = 0
    /// -EPIPE
    case stalled = -32
    /// -EOVERFLOW
    case babbled = -75
    /// -ECONNRESET
    case unlinked = -104

    init(_ status: USBResult.Status) {
      switch status {
      case .completed: self = .done
      case .stalled: self = .stalled
      case .babbled: self = .babbled
      case .cancelled: self = .unlinked
      }
    }
  }

  /// The answer to a `submit`, with the data that came towards the host.
  static func submitted(_ sequence: UInt32, _ status: Status, count: Int, data: [UInt8]) -> [UInt8] {
    header(3, sequence) + status.rawValue.bigEndianBytes + UInt32(count).bigEndianBytes
      // Start frame, packets (none: all ones), errors, padding.
      + UInt32(0).bigEndianBytes + UInt32.max.bigEndianBytes + Array(repeating: 0, count: 12) + data
  }

  /// The answer to an `unlink`: `done` if the transfer had ended before.
  static func unlinked(_ sequence: UInt32, _ status: Status) -> [UInt8] {
    header(4, sequence) + status.rawValue.bigEndianBytes + Array(repeating: 0, count: 24)
  }

  /// In answers device, direction and endpoint are 0.
  private static func header(_ code: UInt32, _ sequence: UInt32) -> [UInt8] {
    code.bigEndianBytes + sequence.bigEndianBytes + Array(repeating: 0, count: 12)
  }

  /// Reads numbers from the front; 0 beyond the end, which fixed lengths exclude.
  private struct Reader {
    var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func u16() -> UInt16 { UInt16(truncatingIfNeeded: take(2)) }
    mutating func u32() -> UInt32 { take(4) }

    private mutating func take(_ count: Int) -> UInt32 {
      let value = rest.prefix(count).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      rest = rest.dropFirst(count)
      return value
    }
  }
}

extension FixedWidthInteger {
  var bigEndianBytes: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}
