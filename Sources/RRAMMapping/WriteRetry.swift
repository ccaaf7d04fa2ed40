internal import Foundation
internal import RRAMBoard
internal import RRAMProfiles
public import RRAMUnits
internal import RRAMWire

/// Writing again what has drifted off: after a wait all cells are read, and those that lie too far off are written once more.
///
/// Every write leaves another filament, and one that relaxes much need not do so again, so passes narrow the errors.
public struct WriteRetry: Sendable, Hashable {
  /// How often.
  public var epochs: Int
  /// Chip time from the end of one write to the reads of the next epoch.
  public var wait: Duration
  /// |G − target| that is left alone; tighter than about the drift of one wait, retries make it worse.
  public var tolerance: Siemens
  /// Reads of every cell that are averaged.
  public var reads: Int
  /// Errors of a weight are cancelled by one of its cells: that one, of those which carry it, with more room is written to where the sum
  /// is right, and the others are left alone. The tolerance is then that of the sum.
  public var cancels: Bool

  public init(epochs: Int, wait: Duration, tolerance: Siemens, reads: Int = 4, cancels: Bool = false) {
    precondition(epochs >= 0 && reads >= 1, "\(epochs) epochs of \(reads) reads")
    self.epochs = epochs
    self.wait = wait
    self.tolerance = tolerance
    self.reads = reads
    self.cancels = cancels
  }

  /// Cells to write again, indices into the block, with their targets.
  func rewrites(_ layer: MappingPlan.LayerPlacement, _ read: [Float], window: ClosedRange<Siemens>) -> [Int: Float] {
    var rewrites: [Int: Float] = [:]
    let written = layer.written
    guard cancels else {
      for cell in read.indices
      where written[cell] && !(abs(Double(read[cell] - layer.targets[cell])) <= tolerance.rawValue) {
        rewrites[cell] = layer.targets[cell]
      }
      return rewrites
    }
    let (low, high) = (window.lowerBound.rawValue, window.upperBound.rawValue)
    for cells in layer.weightCells {
      var error = 0.0
      for (cell, factor) in cells { error += factor * Double(read[cell] - layer.targets[cell]) }
      guard abs(error) > tolerance.rawValue else { continue }
      // The member that stays farthest from the ends of the window; what the window leaves over is left for the next epoch.
      var best: (cell: Int, target: Double, room: Double)?
      for (cell, factor) in cells where written[cell] && factor != 0 {
        let target = Double(read[cell]) - error / factor
        let room = min(target - low, high - target)
        if room > best?.room ?? -.infinity { best = (cell, target, room) }
      }
      if let best { rewrites[best.cell] = Float(min(max(best.target, low), high)) }
    }
    return rewrites
  }
}

/// What the epochs of a retry did.
public struct RetryReport: Sendable, Hashable, Codable {
  /// Cells written again, one number an epoch.
  public var rewritten: [Int] = []
  public var pulses = 0
  public var reads = 0
  /// Chip time from the end of the first write to the end of the last epoch, waits included.
  public var chipSeconds = 0.0
}

extension Board {
  /// Carries out the epochs of a retry on cells that were just written.
  ///
  /// - Parameters:
  ///   - conductances: S, one array a layer: the reads that accepted the cells; renewed where cells are written again.
  ///   - end: board time at the end of the write.
  func retry(
    _ plan: MappingPlan, _ retry: WriteRetry, options: ProgramOptions, conductances: inout [[Float]],
    history: inout ResponseHistory, end: Duration, progress: (@Sendable (MappingEvent) -> Void)?
  ) async throws -> RetryReport {
    var report = RetryReport()
    var last = end
    var retry = retry
    // What was written as pairs is right in the sums of weights.
    if options.method.strategy == .pairAware { retry.cancels = true }
    for epoch in 0..<retry.epochs {
      progress?(.retrying(epoch: epoch, of: retry.epochs))
      try await wait(until: last + retry.wait)
      var rewritten = 0
      for (index, layer) in plan.layers.enumerated() {
        var sums = [Double](repeating: 0, count: layer.block.cellCount)
        for _ in 0..<retry.reads {
          for (cell, value) in try await read(layer.block).enumerated() { sums[cell] += Double(value) }
        }
        report.reads += retry.reads * layer.block.cellCount
        let means = sums.map { Float($0 / Double(retry.reads)) }
        let written = layer.written
        for cell in means.indices where written[cell] { conductances[index][cell] = means[cell] }
        let rewrites = retry.rewrites(layer, means, window: limits.conductance)
        guard !rewrites.isEmpty else { continue }
        var mask = CellMask(cellCount: layer.block.cellCount)
        for cell in rewrites.keys { mask[cell] = true }
        let selection = CellSelection(block: layer.block, mask: mask)
        let request = try options.method.request(
          selection, targets: selection.indices.map { rewrites[$0] ?? 0 }, tolerance: options.tolerance,
          verify: defaultReadBias(averages: options.method.averages), history: history)
        let cells = try await write(request, runner: options.method.runner)
        if case .response(let response) = request.strategy {
          history.enter(cells, sent: response, base: options.method.response)
        }
        for (cell, value) in zip(selection.indices, cells.conductance) { conductances[index][cell] = value }
        report.pulses += cells.totalPulses
        report.reads += cells.totalReads
        rewritten += cells.pulses.count { $0 > 0 }
      }
      report.rewritten.append(rewritten)
      // Answers tell the board's clock.
      try await heartbeat()
      last = await boardTime
    }
    report.chipSeconds = (last - end).seconds
    return report
  }
}

extension MappingPlan.LayerPlacement {
  /// The cells that carry each weight, with the factor by which they count in its sum.
  fileprivate var weightCells: [[(cell: Int, factor: Double)]] {
    (0...inputs).flatMap { input in
      let rows = rows(of: input)
      return (0..<outputs).map { out in
        rows.flatMap { row in
          let plus = row * block.shape.columns + 2 * out
          return [(plus, self.rows[row].factor), (plus + 1, -self.rows[row].factor)]
        }
      }
    }
  }
}
