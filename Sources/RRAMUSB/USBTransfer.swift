internal import CLibUSB
internal import RRAMTransport

/// One transfer and the buffer it owns; may be submitted again once it has completed.
///
/// From submit to callback the buffer belongs to libusb. Cancelling only asks: the callback ends the transfer, and until then
/// the retain taken at submit keeps the buffer.
///
/// `@unchecked Sendable`: `raw` and `buffer` are written by whoever submits, under the lock and only while no transfer is under
/// way, and read by the event thread in the callback.
final class USBTransfer: @unchecked Sendable {
  struct Completion: Sendable {
    /// 0, or a negative number of libusb.
    var number: Int32
    /// What came in; for transfers out empty.
    var bytes: [UInt8]
    /// Bytes carried, in either direction.
    var count: Int
  }

  private struct State {
    var isSubmitted = false
    /// A cancel that came before the submit.
    var isCancelled = false
    var completed: (@Sendable (Completion) -> Void)?
  }

  private let handle: HandleCore
  private let raw: UnsafeMutablePointer<libusb_transfer>
  private let buffer: UnsafeMutablePointer<UInt8>
  private let capacity: Int
  private let isInbound: Bool
  private let isControl: Bool
  private let state = Monitor(State())

  /// Bytes of a setup packet, which stands before the data of a control transfer.
  private static let setupBytes = 8

  /// - Parameters:
  ///   - endpoint: its address with the direction bit; 0 for control requests.
  ///   - capacity: bytes of data it can carry.
  init(
    _ handle: HandleCore, endpoint: UInt8, type: libusb_transfer_type, capacity: Int
  ) throws(TransportError) {
    guard let raw = libusb_alloc_transfer(0) else {
      throw TransportError(
        libusb: LIBUSB_ERROR_NO_MEM.rawValue, "cannot make a transfer", address: handle.address)
    }
    self.handle = handle
    self.raw = raw
    self.capacity = capacity
    isInbound = endpoint & 0x80 != 0
    isControl = type == LIBUSB_TRANSFER_TYPE_CONTROL
    buffer = .allocate(capacity: max(1, capacity + (isControl ? Self.setupBytes : 0)))
    raw.pointee.dev_handle = handle.raw
    raw.pointee.endpoint = endpoint
    raw.pointee.type = UInt8(type.rawValue)
    raw.pointee.buffer = buffer
    raw.pointee.callback = { transfer in
      guard let transfer, let owner = transfer.pointee.user_data else { return }
      Unmanaged<USBTransfer>.fromOpaque(owner).takeRetainedValue().finish()
    }
  }

  deinit {
    libusb_free_transfer(raw)
    buffer.deallocate()
  }

  /// Starts the transfer; `completed` is called once, on the event thread, unless the result is not 0.
  ///
  /// - Parameters:
  ///   - output: what goes out; for transfers in `nil`.
  ///   - setup: the setup packet of a control request.
  ///   - length: bytes asked for; for transfers out those of `output`.
  ///   - limit: `nil` waits for ever.
  func submit(
    output: ArraySlice<UInt8>? = nil, setup: [UInt8] = [], length: Int, limit: Duration?,
    completed: @escaping @Sendable (Completion) -> Void
  ) -> Int32 {
    precondition(length <= capacity && (output?.count ?? 0) <= length, "a transfer holds \(capacity) bytes")
    return state.withLock { s in
      precondition(!s.isSubmitted, "a transfer was submitted twice")
      guard !s.isCancelled else { return LIBUSB_ERROR_INTERRUPTED.rawValue }
      guard handle.begin(self) else { return LIBUSB_ERROR_NO_DEVICE.rawValue }
      var place = buffer
      for byte in setup {
        place.pointee = byte
        place += 1
      }
      output?.withUnsafeBufferPointer { bytes in
        if let base = bytes.baseAddress { place.update(from: base, count: bytes.count) }
      }
      raw.pointee.length = Int32(length + setup.count)
      raw.pointee.timeout = limit.map { UInt32(max(1, $0.milliseconds)) } ?? 0
      raw.pointee.user_data = Unmanaged.passRetained(self).toOpaque()
      s.completed = completed
      s.isSubmitted = true
      let rc = libusb_submit_transfer(raw)
      if rc != 0 {
        // No callback will come: take back what was given for it.
        Unmanaged.passUnretained(self).release()
        s.completed = nil
        s.isSubmitted = false
        handle.end(self)
      }
      return rc
    }
  }

  /// Asks libusb to end the transfer; the callback still comes. Before the submit: the submit will fail.
  func cancel() {
    state.withLock { s in
      // Fails only if the transfer has ended already.
      if s.isSubmitted { libusb_cancel_transfer(raw) } else { s.isCancelled = true }
    }
  }

  private func finish() {
    let count = Int(raw.pointee.actual_length)
    let start = buffer + (isControl ? Self.setupBytes : 0)
    let bytes = isInbound || isControl ? Array(UnsafeBufferPointer(start: start, count: count)) : []
    let completion = Completion(
      number: TransportError.number(of: raw.pointee.status), bytes: bytes, count: count)
    let completed = state.withLock { s in
      s.isSubmitted = false
      defer { s.completed = nil }
      return s.completed
    }
    completed?(completion)
    // Last: whoever closes the handle waits for this.
    handle.end(self)
  }
}

extension Duration {
  /// Whole milliseconds, rounded up.
  var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
  }
}
