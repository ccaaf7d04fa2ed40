internal import RRAMBoard
internal import RRAMUnits

/// What passed on chip, bus and host since a moment.
struct Tally {
  let board: Board
  private let chip: Duration
  private let statistics: BoardStatistics
  private let host: ContinuousClock.Instant

  init(_ board: Board) async {
    self.board = board
    chip = await board.boardTime
    statistics = await board.statistics
    host = ContinuousClock.now
  }

  struct Passed {
    var chipSeconds: Double
    var hostSeconds: Double
    var busSeconds: Double?
    var requests: Int
  }

  func passed() async throws -> Passed {
    let now = await board.statistics
    // The board's clock is known from its answers, and an answer cannot count its own way over the bus.
    try await board.heartbeat()
    let isModelled = board.info.busRoundTrip > .zero || board.info.busBytesPerSecond > 0
    return Passed(
      chipSeconds: (await board.boardTime - chip).seconds, hostSeconds: (ContinuousClock.now - host).seconds,
      busSeconds: isModelled ? now.busSeconds - statistics.busSeconds : nil,
      requests: now.requests - statistics.requests)
  }
}
