/// Allows more response frames of a stream. The board does not answer it.
public struct Credit: Sendable, Hashable {
  /// Sequence number of the stream's request.
  public var sequence: UInt32
  /// Frames allowed in addition.
  public var frames: Int

  public init(sequence: UInt32, frames: Int) {
    self.sequence = sequence
    self.frames = frames
  }

  public var body: RequestBody { .credit(self) }
}

extension Credit {
  init(_ message: Rram_Board_V1_Credit) {
    sequence = message.sequence
    frames = Int(message.frames)
  }

  func message() throws(WireError) -> Rram_Board_V1_Credit {
    var message = Rram_Board_V1_Credit()
    message.sequence = sequence
    message.frames = try wire32(frames, "credit.frames")
    return message
  }
}
