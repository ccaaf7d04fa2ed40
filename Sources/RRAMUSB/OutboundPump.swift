internal import CLibUSB
internal import RRAMTransport

/// Carries bursts out: gathers what waits into one transfer, ends each burst by a short or an empty packet, clears stalls.
final class OutboundPump: Sendable {
  private struct State {
    /// Taken from the pipe and not yet taken by the board.
    var pending: [UInt8] = []
    /// The burst filled its last packet: an empty one has to follow.
    var owesEmptyPacket = false
    var isBusy = false
    var hasEnded = false
    var stalls = 0
  }

  private let handle: HandleCore
  private let endpoint: UInt8
  private let packetBytes: Int
  private let pipe: BytePipe
  private let transfer: USBTransfer
  private let state = Monitor(State())
  private let lost: @Sendable (TransportError) -> Void

  /// A multiple of every packet size that USB knows.
  static let transferBytes = 64 * 1024

  init(
    _ handle: HandleCore, endpoint: UInt8, packetBytes: Int, pipe: BytePipe,
    lost: @escaping @Sendable (TransportError) -> Void
  ) throws(TransportError) {
    self.handle = handle
    self.endpoint = endpoint
    self.packetBytes = packetBytes
    self.pipe = pipe
    self.lost = lost
    transfer = try USBTransfer(
      handle, endpoint: endpoint, type: LIBUSB_TRANSFER_TYPE_BULK, capacity: Self.transferBytes)
  }

  /// Sends what waits, unless a transfer is under way.
  func pump() {
    let rc = state.withLock { s -> Int32 in
      guard !s.isBusy, !s.hasEnded else { return 0 }
      // Bursts that wait together leave together: the board sees one longer burst.
      while s.pending.count < Self.transferBytes, case .bytes(let bytes) = pipe.tryTake() { s.pending += bytes }
      guard !s.pending.isEmpty || s.owesEmptyPacket else { return 0 }
      let length = min(s.pending.count, Self.transferBytes)
      s.isBusy = true
      let rc = transfer.submit(output: s.pending.prefix(length), length: length, limit: nil) { [self] in
        finished(length, $0)
      }
      if rc != 0 {
        s.isBusy = false
        s.hasEnded = true
      }
      return rc
    }
    if rc != 0 { fail(rc) }
  }

  func end() { state.withLock { $0.hasEnded = true } }

  /// Blocks until all has left, at most for `limit`.
  func flush(atMost limit: Duration) {
    _ = state.wait(atMost: limit) { s in
      s.hasEnded || !s.isBusy && s.pending.isEmpty && !s.owesEmptyPacket && pipe.isEmpty ? true : nil
    }
  }

  private func fail(_ number: Int32) {
    lost(TransportError(libusb: number, "the link was lost: cannot send", address: handle.address))
  }

  private func finished(_ length: Int, _ completion: USBTransfer.Completion) {
    let isStalled = completion.number == LIBUSB_ERROR_PIPE.rawValue
    let isLost = state.withLock { s in
      // What the board took is not sent again, however the transfer ended.
      s.pending.removeFirst(min(completion.count, s.pending.count))
      s.stalls = isStalled && completion.count == 0 ? s.stalls + 1 : 0
      if completion.number == 0 {
        // Only the end of a burst needs an end: while more is pending, full packets follow.
        s.owesEmptyPacket = length > 0 && length % packetBytes == 0 && s.pending.isEmpty
        s.isBusy = false
      } else if !isStalled || s.stalls > StallRecovery.attempts {
        s.isBusy = false
        s.hasEnded = true
        return true
      }
      return false
    }
    if isLost {
      fail(completion.number)
    } else if isStalled {
      StallRecovery.clear(handle, endpoint) { [self] error in
        state.withLock { s in
          s.isBusy = false
          s.hasEnded = s.hasEnded || error != nil
        }
        if let error { lost(error) } else { pump() }
      }
    } else {
      pump()
    }
  }
}
