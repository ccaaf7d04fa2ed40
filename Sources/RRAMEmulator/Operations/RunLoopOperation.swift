internal import Dispatch
internal import Glibc
internal import RRAMPhysics
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// Runs the closed loop once a sample and sends the read-out as it comes.
///
/// The cells are looked at again every `chunkSamples` samples or 5 ms of chip time, because they age and their noise moves.
/// How the samples of a chunk are cut into slices and spread over threads changes nothing but the time it takes.
final class RunLoopOperation: Operation {
  /// Samples that see the same conductances.
  private static let chunkSamples = 256
  private static let chunkTime = Duration.milliseconds(5)
  /// Samples in one frame at most, so that the host sees progress.
  private static let frameSamples = 4096
  /// Samples one thread takes at a time at least: whole vectors of the kernel.
  private static let shareSamples = 64
  /// Samples that the kernel runs side by side: fewer take as long.
  private static let lanes = 16
  /// How much longer an evaluation takes where every weight has noise of its own.
  private static let cellNoiseCost = 20
  /// Fewest integration steps in a tick of held noise or of a long table.
  private static let fastStepsPerTick = 2
  /// How much longer a step takes that follows the stages' poles.
  private static let poleCost = 4
  /// Network evaluations × products that take some milliseconds on the slowest path.
  private static let sliceProducts = 40_000_000

  private let request: RunLoop
  private let sequencer: LoopSequencer
  private let loop: BoardDescription.ClosedLoop
  private let schedule: LoopSequencer.Schedule
  private let layers: [LoopSequencer.Layer]
  private let second: [LoopSequencer.Layer]
  private let tables: LoopTables
  private let integration: LoopIntegration
  private let limits: LoopLimits
  private let heldNoise: LoopHeldNoise
  private let points: Int
  private let samplesPerFrame: Int
  private let perSample: (preset: Duration, loop: Duration, conversion: Duration)
  private let nodeSeed: UInt64
  private let threads: Int
  private let sliceSamples: Int
  private let shareSamples: Int
  private(set) var account: OperationAccount
  private var overRangeInRow = 0

  /// The loop on the conductances of the chunk under way, and where the chunk ends.
  private var closedLoop: ClosedLoop?
  private var chunkEnd = 0
  /// Of a run's chunk, once it has come to its end or that of the command.
  private var chunkSamplesDone = 0
  /// The cells are those of the run that the command belongs to.
  private var isRun = false
  /// What a second of the loop does to the cells.
  private var exposure = LoopExposure()
  private var part: RunResults

  init(_ request: RunLoop, _ sequencer: LoopSequencer, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    guard !sequencer.layers.isEmpty else { throw RequestFailure(.wrongState, "no network: ConfigureLoop comes first") }
    guard let schedule = sequencer.schedule(request.scheduleID) else {
      throw RequestFailure(.wrongState, "no schedule \(request.scheduleID): UploadSchedule comes first")
    }
    guard schedule.receivedCount == schedule.ticks else {
      throw RequestFailure(
        .wrongState, "schedule \(request.scheduleID) has \(schedule.receivedCount) of its \(schedule.ticks) ticks")
    }
    let loop = sequencer.description
    let isDrawn = request.startDeviation > .zero
    guard request.samples >= 1, request.preset.count == (isDrawn ? 0 : request.samples * LoopSequencer.dimensions)
    else {
      throw RequestFailure(
        .badArgument, "\(request.preset.count) preset codes for \(request.samples) samples: run_loop.preset")
    }
    guard request.startDeviation <= loop.preset.range.upperBound else {
      throw RequestFailure(
        .badArgument,
        "start points of \(request.startDeviation), the preset converter reaches \(loop.preset.range.upperBound): "
          + "run_loop.start_deviation_v")
    }
    let presetCodes = loop.preset.codeCount
    guard request.preset.allSatisfy({ Int($0) < presetCodes }) else {
      throw RequestFailure(.badArgument, "a code beyond \(loop.preset.bits) bits: run_loop.preset")
    }
    guard UInt64(request.firstSample) + UInt64(request.samples) <= UInt64(UInt32.max) + 1 else {
      throw RequestFailure(.badArgument, "samples from \(request.firstSample) on pass 2³²: run_loop.first_sample")
    }
    guard request.trajectoryEvery <= schedule.ticks else {
      throw RequestFailure(
        .badArgument, "a point every \(request.trajectoryEvery) of \(schedule.ticks) ticks: run_loop.trajectory_every")
    }
    for (network, layers) in [("", sequencer.layers), (" of the second network", sequencer.second)] {
      for (index, layer) in layers.enumerated() {
        guard chip.hasFormedCell(layer.block) else {
          throw RequestFailure(.wrongState, "no cell of layer \(index)\(network) is formed: \(layer.block)")
        }
      }
    }
    self.request = request
    self.sequencer = sequencer
    self.loop = loop
    self.schedule = schedule
    layers = sequencer.layers
    second = sequencer.second
    tables = sequencer.tables(schedule)
    // Held noise moves x by more a tick than the drift does, and tables of more ticks than steps were made for something faster: there
    // one step a tick is too coarse.
    let isFast = schedule.hasNoise || schedule.ticks > chip.loop.steps
    let substeps = max(isFast ? Self.fastStepsPerTick : 1, tables.substeps(forSteps: chip.loop.steps))
    integration = LoopIntegration(
      substeps: substeps, trajectoryInterval: request.trajectoryEvery > 0 ? request.trajectoryEvery : nil)
    let unit = loop.unitVoltage.rawValue
    limits = LoopLimits(
      rowClamp: Float(loop.rowClamp.rawValue / unit), amplifierRail: Float(loop.amplifierRail.rawValue / unit),
      integratorRail: Float(loop.integratorRail.rawValue / unit))
    if schedule.hasNoise {
      let scale = ConverterScale(loop.noise)
      heldNoise = .wiener(
        seed: request.seed,
        converter: .init(
          lower: scale.lower, step: scale.step, lastCode: scale.lastCode, levels: schedule.noise,
          lines: sequencer.lines(.noise)))
    } else {
      heldNoise = .none
    }
    points = request.trajectoryEvery > 0 ? schedule.ticks / request.trajectoryEvery : 0
    samplesPerFrame = min(Self.frameSamples, frameBytes / ((isDrawn ? 9 : 5) + 4 * points))
    guard samplesPerFrame > 0 else {
      throw RequestFailure(
        .badArgument, "a trajectory of \(points) points does not fit into a frame: run_loop.trajectory_every")
    }
    perSample = (
      loop.presetTime, schedule.tick * schedule.ticks,
      // The loop is held while a point of the trajectory is converted.
      loop.readOutTime * (1 + points)
    )
    // Node noise differs between chips and between runs, and is the same for the same samples of the same run.
    let mixed = Philox4x32.block(
      seed: chip.seed, UInt32(truncatingIfNeeded: request.seed),
      UInt32(truncatingIfNeeded: request.seed >> 32), 0, Self.nodeNoiseTag)
    nodeSeed = UInt64(mixed.x) | UInt64(mixed.y) << 32
    threads = chip.threads
    // Two networks run as one of twice the width.
    let products = layers.reduce(0) { $0 + ($1.inputs + 1) * $1.outputs } * (second.isEmpty ? 1 : 4)
    let cost = Self.poleCost * (chip.loop.noise == .cells ? Self.cellNoiseCost : 1)
    let samples = Self.sliceProducts / (products * schedule.ticks * substeps * 2 * cost)
    // What takes milliseconds on the slowest path takes a part of them on wide vectors, and a call of the kernel lays its tables out anew.
    let gain =
      switch try? InstructionSet.selected() {
      case .avx512: 8
      case .avx2: 4
      default: 1
      }
    let most = samples * gain
    shareSamples = max(Self.shareSamples, (most / max(1, threads) + Self.lanes - 1) / Self.lanes * Self.lanes)
    let share = most >= Self.shareSamples ? Self.shareSamples : Self.lanes
    sliceSamples = max(Self.lanes, most / share * share)
    account = OperationAccount(total: request.samples)
    part = RunResults(
      firstIndex: 0, x: [], overRange: [], presetTime: .zero, loopTime: .zero, conversionTime: .zero)
  }

  /// Counter word 3 of the seeds of node noise: "NODE".
  private static let nodeNoiseTag: UInt32 = 0x4E4F_4445

  var macros: MacroSet { MacroSet(blocks.map(\.macro)) }
  private var blocks: [CellBlock] { (layers + second).map(\.block) }

  /// Ends a run whose rows or integrators stay at their ends: a loop that has run away holds its cells at the clamp.
  private func checkOverRange(_ flags: ArraySlice<OverRange>) throws(RequestFailure) {
    guard let most = loop.overRangeAbort else { return }
    for flag in flags {
      overRangeInRow = flag.contains(.rowClamp) || flag.contains(.integratorRail) ? overRangeInRow + 1 : 0
      guard overRangeInRow < most else {
        throw RequestFailure(
          .failed,
          "over range: \(overRangeInRow) samples in a row at a row clamp or an integrator's rail, ended after "
            + "\(account.finished) of \(request.samples)")
      }
    }
  }

  private var sampleTime: Duration { perSample.preset + perSample.loop + perSample.conversion }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    if account.finished == chunkEnd { try beginChunk(chip) }
    guard let closedLoop else { throw RequestFailure(.failed, "the loop has no network") }
    let first = account.finished
    let count = min(chunkEnd - first, sliceSamples, samplesPerFrame - part.count)
    try run(closedLoop, first..<first + count)
    chip.advance(sampleTime * count)
    account.finished += count
    try checkOverRange(part.overRange.suffix(count))
    part.presetTime += perSample.preset * count
    part.loopTime += perSample.loop * count
    part.conversionTime += perSample.conversion * count
    if account.finished == request.samples {
      chip.noteLoopRun()
      if isRun { chip.leaveRun(exposure: exposure.blocks(during: perSample.loop * chunkSamplesDone)) }
      return .finished(takePart())
    }
    return part.count == samplesPerFrame ? .part(takePart()) : .working
  }

  func partialResults() -> [ResponseBody] { part.count > 0 ? [takePart()] : [] }

  private func takePart() -> ResponseBody {
    defer {
      part.firstIndex = account.finished
      part.x = []
      part.overRange = []
      part.trajectory = []
      part.start = []
    }
    return .runResults(part)
  }

  /// Looks at the cells: chunks begin at the same samples whatever the frames and slices are, in a run of several commands at the
  /// same samples of the run.
  private func beginChunk(_ chip: Chip) throws(RequestFailure) {
    try chip.checkConverter()
    let length = max(1, min(Self.chunkSamples, Int(Self.chunkTime / sampleTime)))
    let first = account.finished
    if first == 0 {
      isRun = chip.enterRun(request.runID, firstSample: request.firstSample, macros: blocks.map(\.macro))
    }
    if !blocks.contains(where: { chip.crossbars[$0.macro].ages }) {
      // These cells stand still: nothing to look at again, in this command or the next.
      chunkEnd = request.samples
      closedLoop = try sequencer.standing(chip.revisions(of: blocks)) { () throws(RequestFailure) in
        try chip.closedLoop(
          layers, second: second, loop, limits: limits, use: perSample.loop, at: chip.seconds)
      }
      return
    }
    guard isRun, let run = chip.run else {
      chunkEnd = min(request.samples, first + length)
      let made = try chip.closedLoop(
        layers, second: second, loop, limits: limits, use: perSample.loop, at: chip.seconds)
      if first == 0 { exposure = try exposure(of: made, chip) }
      chip.expose(exposure.blocks(during: perSample.loop * (chunkEnd - first)))
      closedLoop = made
      return
    }
    if first == 0 {
      // A command that goes on with a run must find what the first one found.
      exposure = try chip.withFirstRunCells { time throws(RequestFailure) in
        try exposure(
          of: chip.closedLoop(layers, second: second, loop, limits: limits, use: perSample.loop, at: time), chip)
      }
    }
    let place = first + Int(request.firstSample - run.firstSample)
    chunkEnd = min(request.samples, first + length - place % length)
    chunkSamplesDone = place % length + chunkEnd - first
    closedLoop = try chip.withRunCells(
      chunk: place / length, length: sampleTime * length, blocks: blocks,
      exposure: exposure.blocks(during: perSample.loop * length)
    ) { time throws(RequestFailure) in
      try chip.closedLoop(layers, second: second, loop, limits: limits, use: perSample.loop, at: time)
    }
  }

  private func exposure(of closedLoop: ClosedLoop, _ chip: Chip) throws(RequestFailure) -> LoopExposure {
    try LoopExposure(
      closedLoop, second.isEmpty ? [layers] : [layers, second], tables, integration, heldNoise: heldNoise,
      unit: loop.unitVoltage, law: chip.profile.disturb)
  }

  // MARK: Samples

  /// What a share of samples gives.
  private struct Share: Sendable {
    var x: [Float] = []
    var flags: [OverRange] = []
    var trajectory: [Float] = []
    /// Codes of the start points, if they were drawn here.
    var start: [UInt16] = []
    var failure: String?
  }

  private func run(_ closedLoop: ClosedLoop, _ samples: Range<Int>) throws(RequestFailure) {
    let starts = stride(from: samples.lowerBound, to: samples.upperBound, by: shareSamples)
    let ranges = starts.map { $0..<min($0 + shareSamples, samples.upperBound) }
    var shares = [Share](repeating: Share(), count: ranges.count)
    let inputs = ShareInputs(
      loop: closedLoop, tables: tables, integration: integration, heldNoise: heldNoise, nodeSeed: nodeSeed,
      firstSample: request.firstSample, preset: request.preset, startDeviation: request.startDeviation.rawValue,
      seed: request.seed, presetScale: ConverterScale(loop.preset), presetLines: sequencer.lines(.preset),
      periphery: sequencer.periphery,
      unit: loop.unitVoltage.rawValue)
    if threads > 1, ranges.count > 1 {
      shares.withUnsafeMutableBufferPointer { shares in
        let workers = min(threads, ranges.count)
        // Worker w writes the elements w, w + workers, … and nobody else does.
        nonisolated(unsafe) let shares = shares
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
          for index in stride(from: worker, to: ranges.count, by: workers) {
            shares[index] = Self.share(inputs, ranges[index])
          }
        }
      }
    } else {
      for (index, range) in ranges.enumerated() { shares[index] = Self.share(inputs, range) }
    }
    let readOut = ConverterScale(loop.readOut)
    let unit = loop.unitVoltage.rawValue
    let periphery = sequencer.periphery
    let isIdeal = periphery.isIdeal
    let dimensions = LoopSequencer.dimensions
    let readOutLines = sequencer.lines(.readOut)
    // What the converter shows of a state: its own line, nonlinearity and noise on top.
    func seen(_ value: Float, sample: Int, point: Int, channel: Int) -> Double {
      let volts = Double(value) * unit
      guard !isIdeal else { return volts }
      return readOutLines[channel].of(Volts(volts)).rawValue
        + readOut.step
        * periphery.nonlinearity(.readOut, channel: channel, code: readOut.code(volts).code, of: readOut.lastCode + 1)
        + periphery.readOutNoise(
          runSeed: nodeSeed, sample: request.firstSample &+ UInt32(sample), point: point, channel: channel)
    }
    for (range, share) in zip(ranges, shares) {
      if let failure = share.failure { throw RequestFailure(.failed, failure) }
      var flags = share.flags
      var codes: [UInt16] = []
      codes.reserveCapacity(share.x.count)
      for (index, value) in share.x.enumerated() {
        let (code, saturated) = readOut.code(
          seen(
            value, sample: range.lowerBound + index / dimensions, point: 0,
            channel: index % dimensions))
        codes.append(UInt16(truncatingIfNeeded: code))
        if saturated { flags[index / dimensions].insert(.readOutSaturated) }
      }
      part.x += codes
      part.overRange += flags
      part.start += share.start
      let perSample = max(1, points) * dimensions
      for (index, value) in share.trajectory.enumerated() {
        let volts = seen(
          value, sample: range.lowerBound + index / perSample,
          point: 1 + index % perSample / dimensions, channel: index % dimensions)
        part.trajectory.append(UInt16(truncatingIfNeeded: readOut.code(volts).code))
      }
      if let last = share.x.last {
        sequencer.integrators = [Double(share.x[share.x.count - 2]) * unit, Double(last) * unit]
      }
    }
  }

  /// What threads need to know; all of it values.
  private struct ShareInputs: Sendable {
    var loop: ClosedLoop
    var tables: LoopTables
    var integration: LoopIntegration
    var heldNoise: LoopHeldNoise
    var nodeSeed: UInt64
    var firstSample: UInt32
    var preset: [UInt16]
    /// V; 0: the start points are in `preset`.
    var startDeviation: Double
    var seed: UInt64
    var presetScale: ConverterScale
    var presetLines: [ConverterLine]
    var periphery: LoopPeriphery
    var unit: Double
  }

  private static func share(_ inputs: ShareInputs, _ range: Range<Int>) -> Share {
    let dimensions = LoopSequencer.dimensions
    let scale = inputs.presetScale
    let firstSample = inputs.firstSample + UInt32(range.lowerBound)
    var flags = [OverRange](repeating: [], count: range.count)
    var drawn: [UInt16] = []
    if inputs.startDeviation > 0 {
      drawn.reserveCapacity(range.count * dimensions)
      for index in range.indices {
        for dimension in 0..<dimensions {
          let xi = SamplingNoise.start(
            seed: inputs.seed, sample: firstSample + UInt32(index - range.lowerBound), dimension: UInt32(dimension))
          let (code, saturated) = scale.code(inputs.startDeviation * Double(xi))
          drawn.append(UInt16(truncatingIfNeeded: code))
          if saturated { flags[index - range.lowerBound].insert(.presetClamped) }
        }
      }
    }
    let codes =
      drawn.isEmpty ? inputs.preset[range.lowerBound * dimensions..<range.upperBound * dimensions] : drawn[...]
    let isIdeal = inputs.periphery.isIdeal
    let x0 = codes.enumerated().map { index, code in
      let volts = scale.volts(Int(code))
      guard !isIdeal else { return Float(volts / inputs.unit) }
      let output = inputs.periphery.output(
        .preset, channel: index % dimensions, code: Int(code), of: scale.lastCode + 1, volts: volts, step: scale.step,
        line: inputs.presetLines[index % dimensions])
      return Float(output / inputs.unit)
    }
    do {
      let result = try inputs.loop.run(
        x0: x0, tables: inputs.tables, integration: inputs.integration, firstSample: UInt64(firstSample),
        heldNoise: inputs.heldNoise, noiseSeed: inputs.nodeSeed)
      for (index, flag) in result.flags.enumerated() where !flag.isEmpty {
        if flag.contains(.rowClamp) { flags[index].insert(.rowClamp) }
        if flag.contains(.amplifierRail) { flags[index].insert(.amplifierRail) }
        if flag.contains(.integratorRail) { flags[index].insert(.integratorRail) }
        if flag.contains(.noiseClamp) { flags[index].insert(.noiseClamp) }
      }
      // The kernel's first point is the start, which the host knows.
      let perSample = result.trajectory.count / max(1, range.count)
      var trajectory: [Float] = []
      if perSample > dimensions {
        trajectory.reserveCapacity(range.count * (perSample - dimensions))
        for index in 0..<range.count {
          trajectory += result.trajectory[index * perSample + dimensions..<(index + 1) * perSample]
        }
      }
      return Share(x: result.x, flags: flags, trajectory: trajectory, start: drawn)
    } catch {
      return Share(failure: "\(error)")
    }
  }
}
