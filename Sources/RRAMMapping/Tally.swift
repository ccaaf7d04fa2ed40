internal import Glibc
internal import RRAMBoard
internal import RRAMUnits

/// What passed on chip, bus and host since a moment.
struct Tally {
  let board: Board
  private let chip: Duration
  private let statistics: BoardStatistics
  private let host: ContinuousClock.Instant
  private let processor: Double

  init(_ board: Board) async {
    self.board = board
    chip = await board.boardTime
    statistics = await board.statistics
    host = ContinuousClock.now
    processor = Self.processorSeconds
  }

  struct Passed {
    var chipSeconds: Double
    var hostSeconds: Double
    /// Of all threads of this process; on an emulated board the emulator's are among them.
    var processorSeconds: Double
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
      processorSeconds: Self.processorSeconds - processor,
      busSeconds: isModelled ? now.busSeconds - statistics.busSeconds : nil,
      requests: now.requests - statistics.requests)
  }

  private static var processorSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
