internal import CLibUSB
internal import RRAMTransport

/// Keeps several transfers in under way on one endpoint and hands over what they bring, in order.
///
/// A stall is cleared: the transfers behind it are ended, the halt is lifted, and reading goes on.
final class InboundPump: Sendable {
  private enum Phase {
    case running
    /// Waits for the transfers behind a stall.
    case draining
    case clearing
    case ended
  }

  private struct State {
    var phase = Phase.running
    var idle: [USBTransfer] = []
    var flying: [ObjectIdentifier: USBTransfer] = [:]
    /// Stalls since bytes last came.
    var stalls = 0
  }

  private let handle: HandleCore
  private let endpoint: UInt8
  private let bytes: Int
  private let state: Monitor<State>
  private let hasRoom: @Sendable () -> Bool
  private let deliver: @Sendable ([UInt8]) -> Void
  private let lost: @Sendable (TransportError) -> Void

  /// - Parameters:
  ///   - transfers: how many are under way.
  ///   - bytes: length of each; a multiple of the packet size, or a board could send more than was asked for.
  ///   - hasRoom: false holds further transfers back until ``fill()``.
  ///   - deliver: called on the event thread, in order.
  ///   - lost: called once if reading cannot go on.
  init(
    _ handle: HandleCore, endpoint: UInt8, type: libusb_transfer_type, transfers: Int, bytes: Int,
    hasRoom: @escaping @Sendable () -> Bool = { true }, deliver: @escaping @Sendable ([UInt8]) -> Void,
    lost: @escaping @Sendable (TransportError) -> Void
  ) throws(TransportError) {
    self.handle = handle
    self.endpoint = endpoint
    self.bytes = bytes
    self.hasRoom = hasRoom
    self.deliver = deliver
    self.lost = lost
    var initial = State()
    for _ in 0..<transfers {
      initial.idle.append(try USBTransfer(handle, endpoint: endpoint, type: type, capacity: bytes))
    }
    state = Monitor(initial)
  }

  /// Submits what is idle, as far as there is room.
  func fill() {
    let rc = state.withLock { s in
      while s.phase == .running, hasRoom(), let transfer = s.idle.popLast() {
        // Under the lock: the order of submits is the order of the bytes.
        let rc = transfer.submit(length: bytes, limit: nil) { [self] in finished(transfer, $0) }
        guard rc == 0 else {
          s.phase = .ended
          return rc
        }
        s.flying[ObjectIdentifier(transfer)] = transfer
      }
      return 0
    }
    if rc != 0 { fail(rc) }
  }

  func end() { state.withLock { $0.phase = .ended } }

  private func fail(_ number: Int32) {
    lost(TransportError(libusb: number, "the link was lost: cannot read", address: handle.address))
  }

  private enum Next {
    case fill
    case clear
    case cancel([USBTransfer])
    case lose
    case nothing
  }

  private func finished(_ transfer: USBTransfer, _ completion: USBTransfer.Completion) {
    if !completion.bytes.isEmpty { deliver(completion.bytes) }
    let next = state.withLock { s -> Next in
      s.flying[ObjectIdentifier(transfer)] = nil
      s.idle.append(transfer)
      guard s.phase != .ended else { return .nothing }
      if !completion.bytes.isEmpty { s.stalls = 0 }
      switch completion.number {
      case 0: break
      case LIBUSB_ERROR_PIPE.rawValue where s.stalls < StallRecovery.attempts || s.phase == .draining:
        if s.phase == .running {
          s.phase = .draining
          s.stalls += 1
          if !s.flying.isEmpty { return .cancel(Array(s.flying.values)) }
        }
      case LIBUSB_ERROR_INTERRUPTED.rawValue where s.phase == .draining: break
      default:
        s.phase = .ended
        return .lose
      }
      if s.phase == .draining {
        guard s.flying.isEmpty else { return .nothing }
        s.phase = .clearing
        return .clear
      }
      return .fill
    }
    switch next {
    case .fill: fill()
    case .cancel(let transfers): for transfer in transfers { transfer.cancel() }
    case .lose: fail(completion.number)
    case .nothing: break
    case .clear:
      StallRecovery.clear(handle, endpoint) { [self] error in
        if let error {
          end()
          lost(error)
        } else {
          state.withLock { if $0.phase == .clearing { $0.phase = .running } }
          fill()
        }
      }
    }
  }
}

/// Lifts the halt of an endpoint without blocking the event thread.
enum StallRecovery {
  /// Stalls without a byte between them after which a link counts as lost.
  static let attempts = 3

  static func clear(
    _ handle: HandleCore, _ endpoint: UInt8, then: @escaping @Sendable (TransportError?) -> Void
  ) {
    let rc = startThread {
      do throws(TransportError) {
        try handle.clearHalt(endpoint)
        then(nil)
      } catch {
        then(error)
      }
    }
    if rc != 0 { then(TransportError(errno: rc, "cannot start a thread", address: handle.address)) }
  }
}
