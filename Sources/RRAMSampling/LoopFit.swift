internal import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// How a program fits into a board's analog loop: what no table shows, because it depends on what the nodes do.
public struct LoopFit: Sendable, Hashable {
  /// A run may pass the row clamp without harm in this share of runs; clamping the ring's rows there costs 1 % of its KL2d.
  public static let clampedShare = 0.01
  /// A pole slower than this share of the run shows in the samples: 0.8 % costs 8 % of the ring's KL2d.
  public static let poleShare = 0.005

  /// Runs in software from which the rows' voltages are known.
  static let trialRuns = 256

  /// The largest row voltage of each layer that 99 % of the runs stay below, in units.
  public let rows: [Float]
  /// The share of runs in which a row of each layer passes the clamp.
  public let clamped: [Double]
  /// Where rows are clamped, in units.
  public let clamp: Float
  /// Time constant of the column amplifiers over the run time.
  public let pole: Double
  /// One sentence a warning; nothing here keeps a schedule from running.
  public let warnings: [String]

  /// Computes it in software, from 256 runs.
  ///
  /// - Throws: ``ScheduleError`` `rowClamp` if more than ``clampedShare`` of the runs pass the row clamp, with the largest unit
  ///   voltage that fits.
  public init(_ program: SamplingProgram, on board: BoardDescription) throws(ScheduleError) {
    guard let loop = board.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.name)' has no closed loop")
    }
    let peaks = NodePeaks(
      of: program.model.network, process: program.process, equation: program.equation, label: program.classLabel,
      guidance: program.guidance, seed: program.seed, samples: Self.trialRuns)
    let clamp = Float(loop.rowClamp / loop.unitVoltage)
    let layers = peaks.ascending.indices
    let rows = layers.map { peaks.quantile(1 - Self.clampedShare, layer: $0) }
    let clamped = layers.map { peaks.share(above: clamp, layer: $0) }
    if let layer = layers.first(where: { clamped[$0] > Self.clampedShare }) {
      let largest = loop.rowClamp / Double(rows.max() ?? 1)
      var error = ScheduleError(
        .rowClamp,
        "the rows of layer \(layer + 1) reach \(rows[layer]) units in 1 % of the runs of '\(program.model.name)', and are clamped at "
          + "\(clamp) units (\(loop.rowClamp)); the largest unit voltage that fits is \(largest), the board's is \(loop.unitVoltage)"
      )
      error.value = Double(rows[layer])
      throw error
    }
    self.rows = rows
    self.clamped = clamped
    self.clamp = clamp
    let pole = 1 / (2 * Double.pi * loop.amplifierBandwidth) / loop.runTime.seconds
    self.pole = pole
    var warnings: [String] = []
    for layer in layers where clamped[layer] > 0 {
      warnings.append(
        "\(Int((Double(clamped[layer]) * Double(Self.trialRuns)).rounded())) of \(Self.trialRuns) trial runs in software pass the row clamp "
          + "of \(clamp) units in layer \(layer + 1)"
      )
    }
    if pole > Self.poleShare {
      warnings.append(
        "the column amplifiers' pole of \(Float(pole * loop.runTime.seconds * 1e9)) ns is \(Float(pole * 100)) % of the run of "
          + "\(Float(loop.runTime.seconds * 1e6)) µs; above 0.5 % it shows in the samples")
    }
    self.warnings = warnings
  }
}
