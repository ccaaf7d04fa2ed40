import RRAMEmulator
package import RRAMTransport
import RRAMUnits

/// What may go wrong with one message on its way, or with the board while the message travels.
package enum MessageFault: String, CaseIterable, Sendable, Hashable {
  /// The message vanishes, has one bit inverted, comes late, comes twice, or changes places with the one behind it.
  case drop, corrupt, delay, duplicate, reorder
  /// Only its first half arrives.
  case short
  /// Nothing more arrives in this direction.
  case stall
  /// The cable is pulled.
  case disconnect
  /// The firmware starts anew; the link stays up.
  case firmwareReset
  /// The supply dips: the board makes itself safe and reports the fault.
  case brownOut
  /// From here on every conversion of the read-out gives one code; one cell does not move any more.
  case converterStuck, cellStuck

  /// True where the board stays as it is until somebody repairs it.
  package var isLasting: Bool { self == .converterStuck || self == .cellStuck }
}

/// Which message of a session is struck.
package struct FaultPoint: Sendable, Hashable, CustomStringConvertible {
  package enum Direction: String, Sendable, Hashable, CaseIterable { case toBoard, toHost }

  package var fault: MessageFault
  package var direction: Direction
  /// Counted from 0 in its direction.
  package var message: Int
  /// Draws the bit that is inverted, and the cell that sticks.
  package var seed: UInt64

  package init(_ fault: MessageFault, _ direction: Direction, message: Int, seed: UInt64) {
    self.fault = fault
    self.direction = direction
    self.message = message
    self.seed = seed
  }

  package var description: String { "\(fault.rawValue) of message \(message) \(direction.rawValue), seed \(seed)" }
}

/// A transport that knows where messages begin and end, and strikes one of them.
package final class FaultyLink: Transport {
  package let address: String
  package let events: AsyncStream<TransportEvent>
  private let link: InMemoryLink
  private let board: ResettableBoard
  private let delay: Duration
  private let state = Monitor(State())

  private struct State {
    var point: FaultPoint?
    var counts: [FaultPoint.Direction: Int] = [:]
    var stalled: Set<FaultPoint.Direction> = []
    /// A message that waits for the one behind it.
    var held: [FaultPoint.Direction: [UInt8]] = [:]
    /// Bytes of the board that are no whole frame yet.
    var partial: [UInt8] = []
    var ready: [[UInt8]] = []
    var hasStruck = false
  }

  /// - Parameter delay: how long a late message waits; a message that waits for another's place waits as long at most.
  package init(to board: ResettableBoard, striking point: FaultPoint?, delay: Duration) {
    link = InMemoryLink(to: board)
    address = link.address
    events = link.events
    self.board = board
    self.delay = delay
    state.withLock { $0.point = point }
  }

  /// Strikes the next message of a direction.
  package func strikeNext(_ fault: MessageFault, _ direction: FaultPoint.Direction, seed: UInt64 = 1) {
    state.withLock { $0.point = FaultPoint(fault, direction, message: $0.counts[direction] ?? 0, seed: seed) }
  }

  /// True once the fault has happened.
  package var hasStruck: Bool { state.withLock { $0.hasStruck } }
  /// Messages so far, in each direction.
  package var messages: (toBoard: Int, toHost: Int) {
    state.withLock { ($0.counts[.toBoard] ?? 0, $0.counts[.toHost] ?? 0) }
  }

  package func send(_ bytes: [UInt8]) async throws(TransportError) {
    for message in Self.frames(of: bytes).whole {
      for piece in await strike(message, .toBoard) { try await link.send(piece) }
    }
  }

  package func receive() async throws(TransportError) -> [UInt8] {
    while true {
      if let ready = state.withLock({ $0.ready.isEmpty ? nil : $0.ready.removeFirst() }) { return ready }
      let bytes = try await link.receive()
      let messages = state.withLock { state in
        let (whole, rest) = Self.frames(of: state.partial + bytes)
        state.partial = rest
        return whole
      }
      for message in messages {
        let pieces = await strike(message, .toHost)
        state.withLock { $0.ready += pieces }
      }
    }
  }

  package func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    try await link.control(request, data: data)
  }

  package func close() async { await link.close() }

  /// Header of 16 bytes with the payload's length at 8, and four bytes of check behind it; both ends send whole frames.
  private static func frames(of bytes: [UInt8]) -> (whole: [[UInt8]], rest: [UInt8]) {
    var whole: [[UInt8]] = []
    var first = 0
    while bytes.count - first >= 16 {
      let length = (0..<4).reduce(0) { $0 | Int(bytes[first + 8 + $1]) << (8 * $1) }
      let end = first + 20 + length
      guard end <= bytes.count else { break }
      whole.append(Array(bytes[first..<end]))
      first = end
    }
    return (whole, Array(bytes[first...]))
  }

  /// What arrives instead of a message.
  private func strike(_ message: [UInt8], _ direction: FaultPoint.Direction) async -> [[UInt8]] {
    let (point, isStruck, before, isStalled) = state.withLock { state in
      let point = state.point
      let count = state.counts[direction, default: 0]
      state.counts[direction] = count + 1
      let isStruck = point.map { $0.direction == direction && $0.message == count } ?? false
      if isStruck { state.hasStruck = true }
      if isStruck, point?.fault == .stall { state.stalled.insert(direction) }
      return (point, isStruck, state.held.removeValue(forKey: direction), state.stalled.contains(direction))
    }
    if isStalled { return [] }
    guard isStruck, let point else { return [message] + (before.map { [$0] } ?? []) }
    switch point.fault {
    case .drop, .stall: return []
    case .corrupt:
      var spoilt = message
      let bit = Int(point.seed % UInt64(message.count * 8))
      spoilt[bit / 8] ^= 1 << UInt8(bit % 8)
      return [spoilt]
    case .delay:
      try? await Task.sleep(for: delay)
      return [message]
    case .duplicate: return [message, message]
    case .reorder:
      state.withLock { $0.held[direction] = message }
      // Where nothing follows, it is only late.
      Task {
        try? await Task.sleep(for: delay)
        guard let late = state.withLock({ $0.held.removeValue(forKey: direction) }) else { return }
        if direction == .toBoard { try? await link.send(late) } else { state.withLock { $0.ready.append(late) } }
      }
      return []
    case .short: return [Array(message[..<(message.count / 2)])]
    case .disconnect:
      link.unplug()
      return []
    case .firmwareReset:
      await board.reset()
      return [message]
    case .brownOut:
      board.current.inject(.supply)
      return [message]
    case .converterStuck:
      board.current.inject(.converterStuck)
      return [message]
    case .cellStuck:
      board.current.inject(.cellStuck(seed: point.seed))
      return [message]
    }
  }
}
