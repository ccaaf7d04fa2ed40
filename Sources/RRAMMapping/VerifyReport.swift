public import RRAMBoard

/// What the cells of a program are now, against their targets.
public struct VerifyReport: Sendable, Hashable, Codable {
  public var model: String
  public var label: String
  public var strategy: WriteStrategyName?
  /// Written cells, and those of them within the tolerance of the write: of the strategy `pair-aware` both cells of a pair whose difference
  /// is.
  public var cells: Int
  public var inTolerance: Int
  /// µS.
  public var tolerance: Double
  /// All layers pooled, µS.
  public var error: ErrorStatistics
  /// Of the differences G+ − G−, µS; nil where no pair has two written cells.
  public var difference: ErrorStatistics?
  /// Layer by layer.
  public var layers: [ErrorStatistics]
  /// As in ``ProgramReport/weightErrorPercent``.
  public var weightErrorPercent: Double?
  public var reads: Int
  public var requests: Int
  public var chipSeconds: Double
  public var hostSeconds: Double
  public var busSeconds: Double?

  enum CodingKeys: String, CodingKey {
    case model, label, strategy, cells, inTolerance
    case tolerance = "tolerance_uS"
    case error = "error_uS"
    case difference = "differenceError_uS"
    case layers = "layerError_uS"
    case weightErrorPercent, reads, requests, chipSeconds, hostSeconds, busSeconds
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(model, forKey: .model)
    try container.encode(label, forKey: .label)
    try container.encode(strategy, forKey: .strategy)
    try container.encode(cells, forKey: .cells)
    try container.encode(inTolerance, forKey: .inTolerance)
    try container.encode(tolerance, forKey: .tolerance)
    try container.encode(error, forKey: .error)
    try container.encode(difference, forKey: .difference)
    try container.encode(layers, forKey: .layers)
    try container.encode(weightErrorPercent, forKey: .weightErrorPercent)
    try container.encode(reads, forKey: .reads)
    try container.encode(requests, forKey: .requests)
    try container.encode(chipSeconds, forKey: .chipSeconds)
    try container.encode(hostSeconds, forKey: .hostSeconds)
    try container.encode(busSeconds, forKey: .busSeconds)
  }
}

extension Board {
  /// Reads the cells of a program again and compares them with their targets.
  ///
  /// - Parameter averages: conversions averaged a cell.
  /// - Returns: the report, and the conductances in siemens, one array a layer, row-major over its block.
  public func verify(
    _ record: ProgramRecord, averages: Int = 1
  ) async throws -> (report: VerifyReport, conductances: [[Float]]) {
    let tally = await Tally(self)
    let plan = record.plan
    let values = try await read(plan, averages: averages)
    let errors = zip(plan.layers, values).map { $0.errors(of: $1) }
    let tolerance = record.report.tolerance
    func within(_ errors: [Double]) -> Int { errors.count { abs($0) <= tolerance } }
    let inTolerance = zip(plan.layers, values).reduce(0) { sum, layer in
      guard record.report.strategy == .pairAware else { return sum + within(layer.0.errors(of: layer.1)) }
      return sum + 2 * within(layer.0.differenceErrors(of: layer.1)) + within(layer.0.singleErrors(of: layer.1))
    }
    let passed = try await tally.passed()
    let report = VerifyReport(
      model: record.model, label: record.label, strategy: record.report.strategy,
      cells: errors.reduce(0) { $0 + $1.count }, inTolerance: inTolerance, tolerance: tolerance,
      error: plan.errorStatistics(of: values), difference: plan.differenceStatistics(of: values),
      layers: errors.map(ErrorStatistics.init),
      weightErrorPercent: plan.weightErrorPercent(of: values), reads: plan.cellCount, requests: passed.requests,
      chipSeconds: passed.chipSeconds, hostSeconds: passed.hostSeconds, busSeconds: passed.busSeconds)
    return (report, values)
  }
}
