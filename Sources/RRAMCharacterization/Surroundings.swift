public import RRAMBoard
internal import RRAMWire

/// The temperature around a chip: who knows it, and who can change it.
public struct Surroundings: Sendable {
  /// Degrees Celsius, or nil where nobody knows.
  public var temperature: @Sendable (Board) async throws -> Double?
  /// Brings the chip to a temperature and returns when it is there; nil where that is not possible.
  public var bring: (@Sendable (Board, _ celsius: Double) async throws -> Void)?

  public init(
    temperature: @escaping @Sendable (Board) async throws -> Double?,
    bring: (@Sendable (Board, _ celsius: Double) async throws -> Void)? = nil
  ) {
    self.temperature = temperature
    self.bring = bring
  }

  /// The board's own sensor; an emulated board is also its own oven.
  public static func own(of board: Board) -> Surroundings {
    var surroundings = Surroundings { board in
      guard board.info.capabilities.contains(.rawConverters) else { return nil }
      return try await board.readADC(.temperature, channel: 0).value
    }
    if board.info.capabilities.contains(.advanceTime) {
      surroundings.bring = { board, celsius in try await board.setTemperature(celsius: celsius) }
    }
    return surroundings
  }
}
