/// One transfer that a host asks a device for, whatever carries it.
struct USBTransfer {
  /// The carrier's name for it, unique among those under way.
  var id: UInt64
  var endpoint: UInt8
  /// Bytes asked for, or sent.
  var length: Int
  /// What is sent; empty towards the host.
  var data: [UInt8] = []
}

/// The first eight bytes of a control transfer: USB 2.0, 9.3.
struct USBSetup: Equatable {
  var requestType: UInt8
  var request: UInt8
  var value: UInt16
  var index: UInt16
  var length: UInt16

  var isIn: Bool { requestType & 0x80 != 0 }

  init(requestType: UInt8, request: UInt8, value: UInt16 = 0, index: UInt16 = 0, length: UInt16 = 0) {
    self.requestType = requestType
    self.request = request
    self.value = value
    self.index = index
    self.length = length
  }

  /// Reads eight bytes; `nil` for any other count.
  init?(_ bytes: some RandomAccessCollection<UInt8>) {
    guard bytes.count == 8 else { return nil }
    let b = Array(bytes)
    self.init(
      requestType: b[0], request: b[1], value: UInt16(b[2]) | UInt16(b[3]) << 8,
      index: UInt16(b[4]) | UInt16(b[5]) << 8,
      length: UInt16(b[6]) | UInt16(b[7]) << 8)
  }
}

/// How a transfer ended.
struct USBResult: Equatable {
  enum Status: Equatable {
    case completed
    case stalled
    /// The device sent more than was asked for.
    case babbled
    /// Ended by a reset or by another configuration.
    case cancelled
  }

  var id: UInt64
  var endpoint: UInt8
  var status: Status
  /// What came towards the host.
  var bytes: [UInt8] = []
  /// Bytes that were transferred.
  var count: Int
}
