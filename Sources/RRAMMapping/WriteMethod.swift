public import RRAMProfiles
public import RRAMUnits
public import RRAMWire
internal import RRAMWriting

/// How cells are brought to their targets.
public enum WriteStrategyName: String, Sendable, Hashable, Codable, CaseIterable {
  /// Incremental step pulse programming: amplitudes climb, in both directions.
  case ispp
  /// Attempts of a RESET and SET pulses whose gate climbs: what published test chips of several bits a cell are written with.
  case gateRamp = "gate-ramp"
  /// Attempts of a RESET and one SET at a tabulated gate; published likewise.
  case fixedGate = "fixed-gate"
  /// Pulses computed from the chip's response, corrected for each cell: coarse by the table, fine by the cell's own moves.
  case response
  /// As `response`, but the two cells of a pair are written together: only their difference counts, and the one with more room moves.
  case pairAware = "pair-aware"
}

/// Who decides on the pulses.
public enum WriteRunner: String, Sendable, Hashable, Codable, CaseIterable {
  /// The firmware, in one request.
  case board
  /// The host, with requests for pulses and reads.
  case host
}

/// A write-verify: strategy, verification and caps; a chip's profile gives the defaults.
public struct WriteMethod: Sendable, Hashable {
  public var strategy: WriteStrategyName
  public var runner: WriteRunner
  /// Ramps of the SET and RESET pulses: no pulse exceeds their stops.
  public var set: PulseRamp
  public var reset: PulseRamp
  /// What the chip's profile says of its response; the history of a chip corrects it.
  public var response: PulseResponse
  /// True where the gate controls how far a SET goes.
  public var hasGateControl: Bool
  /// RESET of attempts, on the source line.
  public var attemptReset: Volts
  /// Conductance that a RESET leaves, and targets whose window holds it need no SET.
  public var resetReaches: Siemens
  /// Conversions averaged in a verify read.
  public var averages: Int
  /// Further reads, one a round, before a cell is accepted.
  public var confirmReads: Int
  /// True: the mean of these reads counts, and none is taken where it cannot change the answer. False: every one must pass.
  public var confirmMean: Bool
  /// Caps of a cell.
  public var maximumPulses: Int
  public var maximumReversals: Int
  public var maximumEnergy: Joules?
  /// SET–RESET cycles.
  public var maximumCycles: Double?

  /// The profile's own pulses and caps, run by the board. Computed pulses are verified by the mean of up to two reads; the others
  /// by one, as published.
  public init(_ profile: ChipProfile, _ strategy: WriteStrategyName = .ispp) {
    let programming = profile.programming
    self.strategy = strategy
    runner = .board
    set = PulseRamp(programming.set)
    reset = PulseRamp(programming.reset)
    response = PulseResponse(profile)
    hasGateControl = programming.setControl == .gate && programming.gate != nil
    // A RESET that leaves the published high-resistive state, and 0.4 V for devices that reset badly.
    attemptReset = min(programming.endpoints.resetReference + Volts(0.4), programming.reset.stop)
    resetReaches = profile.cells.asymptotes.lowerBound
    averages = 1
    let isComputed = strategy == .response || strategy == .pairAware
    confirmReads = isComputed ? 1 : 0
    confirmMean = isComputed
    maximumPulses = programming.maximumPulses
    maximumReversals = programming.maximumReversals
  }

  /// Caps the amplitude of every pulse, SET on the bit line and RESET on the source line; one above the profile's ramps changes nothing.
  public mutating func limitAmplitude(to most: Volts) {
    for ramp in [\WriteMethod.set, \.reset] {
      self[keyPath: ramp].stop = min(self[keyPath: ramp].stop, most)
      self[keyPath: ramp].start = min(self[keyPath: ramp].start, most)
    }
    attemptReset = min(attemptReset, most)
  }

  /// Gate voltages of published attempts: they begin 0.3 V above what passes any current, and climb by 0.1 V.
  private static let firstGate = Volts(0.3)
  private static let gateStep = Volts(0.1)

  /// The request that writes cells this way.
  ///
  /// - Parameters:
  ///   - targets: S, one a selected cell.
  ///   - windows: S, one a selected cell; empty: target ± `tolerance`.
  ///   - history: what is known of the chip.
  ///   - pairs: the selected cells are pairs, two by two, of which only the difference counts; `tolerance` is its.
  /// - Throws: ``MappingError`` `unsupported` if the chip has no gate to control.
  public func request(
    _ cells: CellSelection, targets: [Float], windows: [ClosedRange<Float>] = [], tolerance: Siemens, verify: ReadBias,
    history: ResponseHistory? = nil, pairs: Bool = false
  ) throws(MappingError) -> WriteVerify {
    var request = WriteVerify(
      cells: cells, targets: targets, tolerance: tolerance, set: set, reset: reset, verify: verify,
      confirmReads: confirmReads, maximumPulses: maximumPulses, maximumReversals: maximumReversals, credit: 0)
    request.windows = windows
    request.confirmMean = confirmMean
    request.pairs = pairs
    request.maximumEnergy = maximumEnergy
    request.maximumCycles = maximumCycles
    switch strategy {
    case .ispp: break
    case .gateRamp, .fixedGate:
      guard hasGateControl else {
        throw MappingError(
          .unsupported, "strategy \(strategy.rawValue): the gate does not control the SET of this chip's cells")
      }
      let first = zip(targets, targets.indices).map { target, k -> Float in
        let lowest = windows.isEmpty ? Double(target) - tolerance.rawValue : Double(windows[k].lowerBound)
        if lowest <= resetReaches.rawValue { return .nan }
        guard strategy == .fixedGate else { return Float((response.gateThreshold + Self.firstGate).rawValue) }
        let gate = response.gateThreshold.rawValue + Double(target) / response.gateSlope
        return Float(min(gate, set.wordLine.rawValue))
      }
      request.reset.stop = attemptReset
      request.reset.start = min(reset.start, attemptReset)
      request.strategy = .gateRamp(
        GateRamp(first: first, step: strategy == .gateRamp ? Self.gateStep : .zero, stop: set.wordLine))
    case .response, .pairAware:
      var response = history?.response(response, for: cells) ?? response
      // From here, cells with the same amplitude share a request: steps of a sixth of a decade are lost among the spreads of moves.
      if runner == .host { response.grid = response.voltsPerDecade / 6 }
      request.strategy = .response(response)
    }
    return request
  }
}

extension PulseRamp {
  init(_ bias: ChipProfile.Programming.Bias) {
    self.init(wordLine: bias.wordLine, start: bias.start, step: bias.step, stop: bias.stop, width: bias.width)
  }
}

extension ChipProfile {
  /// Half width of the verify window with which a strategy leaves a weight the error that single cells leave it, each within the profile's
  /// window: the error of a difference of two is √2 times as wide.
  public func tolerance(_ strategy: WriteStrategyName) -> Siemens {
    strategy == .pairAware ? 2.0.squareRoot() * programming.tolerance : programming.tolerance
  }
}
