public import RRAMBoard
public import RRAMMapping
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

extension Board {
  /// What the integrators add of their own over a run, units, (x, y): runs from 0 in which all tables are 0.
  ///
  /// - Parameter runs: averaged; one takes what a sample takes.
  /// - Throws: ``ScheduleError`` `noClosedLoop`; `BoardError`.
  public func integratorOffset(_ plan: MappingPlan, runs: Int = 64) async throws -> [Double] {
    precondition(runs > 0, "\(runs) runs")
    guard let loop = boardDescription.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(boardDescription.name)' has no closed loop")
    }
    let ticks = min(Self.offsetTicks, loop.maximumTicks)
    let tick = try Schedule.tick(ticks: ticks, loop: loop, board: boardDescription.name)
    let lines = lineCalibration?.lines ?? ConverterLines(loop)
    let codes = lines.zeroCodes(loop)
    try await configureLoop(plan.first.map(\.loopLayer))
    try await uploadSchedule(
      LoopSchedule(
        id: Self.offsetSchedule, tick: tick, ticks: ticks, codes: (0..<ticks).flatMap { _ in codes }))
    let preset = PresetCodes([Float](repeating: 0, count: 2 * runs), loop: loop, lines: lines)
    var sums = [0.0, 0.0]
    for try await batch in runLoop(LoopRun(scheduleID: Self.offsetSchedule, preset: preset.codes, seed: 0)) {
      for (index, value) in loop.units(ofReadOut: batch.x, lines).enumerated() {
        sums[index % 2] += Double(value) - Double(preset.realised[index % 2])
      }
    }
    return sums.map { $0 / Double(runs) }
  }

  private static let offsetTicks = 40
  /// Above the ids that sampling sessions use.
  private static let offsetSchedule: UInt32 = 1 << 30
}
