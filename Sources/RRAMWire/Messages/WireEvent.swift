internal import SwiftProtobuf

/// What a board says unasked, in frames with sequence number 0.
public enum WireEvent: Sendable, Hashable {
  /// A frame whose payload check failed was dropped; nothing of it was executed. Bad frames since boot.
  case badFrame(count: Int)
  case enteredSafe(SafeCause)
  case faultRaised(Faults)
}

/// One message from board to host with sequence number 0: the payload of a frame.
public struct EventMessage: Sendable, Hashable {
  /// Drawn at each boot of the board.
  public var bootID: UInt64
  /// The board's clock since boot, whole microseconds.
  public var boardTime: Duration
  public var event: WireEvent

  public init(bootID: UInt64, boardTime: Duration, event: WireEvent) {
    self.bootID = bootID
    self.boardTime = boardTime
    self.event = event
  }

  /// Reads the payload of a frame with sequence number 0.
  ///
  /// - Throws: `malformedMessage`, `outOfRange`, or `unknownBody` for an event of later firmware, which a host may ignore.
  public init(payload: [UInt8]) throws(WireError) {
    self = try EventMessage(try parse(Rram_Board_V1_Event.self, payload))
  }

  /// The payload of the frame that carries this message.
  public func payload() throws(WireError) -> [UInt8] { try serialize(try message()) }
}

extension EventMessage {
  init(_ message: Rram_Board_V1_Event) throws(WireError) {
    bootID = message.bootID
    boardTime = .microseconds(message.boardTimeUs)
    event =
      switch message.body {
      case nil: throw WireError(.unknownBody, "the event has no body known at level \(ProtocolLevel.current)")
      case .badFrame(let part): .badFrame(count: try count(part.count, "bad_frame.count"))
      case .enteredSafe(let part): .enteredSafe(SafeCause(part.cause))
      case .faultRaised(let part): .faultRaised(Faults(rawValue: part.faults))
      }
  }

  func message() throws(WireError) -> Rram_Board_V1_Event {
    var message = Rram_Board_V1_Event()
    message.bootID = bootID
    message.boardTimeUs = try microseconds(boardTime, "board_time_us")
    switch event {
    case .badFrame(let count):
      var part = Rram_Board_V1_BadFrame()
      part.count = try wire64(count, "bad_frame.count")
      message.badFrame = part
    case .enteredSafe(let cause):
      var part = Rram_Board_V1_EnteredSafe()
      part.cause = cause.message
      message.enteredSafe = part
    case .faultRaised(let faults):
      var part = Rram_Board_V1_FaultRaised()
      part.faults = faults.rawValue
      message.faultRaised = part
    }
    return message
  }
}
