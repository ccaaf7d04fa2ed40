import Foundation
import RRAMKit

extension SampleCommand {
  /// Draws samples on the published board: requests runs, and takes what the scope saw of each.
  func runOnPublishedBoard(at address: BoardAddress) async throws {
    _ = try runOptions.link.files(for: address)
    if solver != nil || scale != nil || start != nil || calibration != nil || trajectories != nil
      || trigger.request != nil
    {
      throw CommandError(
        message:
          "--solver, --scale, --start, --trajectories, --calibration and --trigger do not apply to \(address): the board plays the schedule of its preset",
        exitCode: ExitStatus.usage)
    }
    var presets = HDPMPreset.all
    var model = try self.model.map { try ScoreModel.open($0, options.common) }
    var virtual: BoardAddress.EmulatedHDPM?
    if case .emulatedHDPM(let board) = address {
      if scope != nil {
        throw CommandError(
          message: "--scope does not apply to \(address): it brings its own scope",
          hint: "'rram emulate --hdpm-pty --scope DIR' writes captures", exitCode: ExitStatus.usage)
      }
      if let name = self.model, name != board.model {
        throw CommandError(
          message: "\(address) carries '\(board.model)', not '\(name)'", hint: "--board hdpm-emu:model=\(name)",
          exitCode: ExitStatus.usage)
      }
      model = try model ?? ScoreModel.open(board.model, options.common)
      presets = try RRAM.presets(of: board)
      virtual = board
    }
    let settings = try published.settings(preset: preset, among: presets)
    let schedule = HDPMSchedule(settings)
    try schedule.checkRange()
    let classNumber = try classNumber(of: model)
    warn(schedule, model: model)

    let progress = ProgressLine(quiet: options.common.quiet)
    let begin = ContinuousClock.now
    let uptime = self.uptime.map { Duration.seconds($0) }
    let result = try await RRAM.withHDPMBoard(at: address, scope: scope, uptime: uptime) { board, source in
      try await board.configure(settings)
      let record = try runOptions.open(settings: [
        "preset": preset, "bias_V": "\(settings.bias.volts.rawValue)", "coefficient": "\(settings.coefficient)",
        "noiseScale": settings.noise ? "\(settings.noiseScale)" : "off",
        "offsets": "\(settings.offsets.x),\(settings.offsets.y)", "samples": "\(count)", "scope": scope ?? "",
        "model": model?.name ?? "unknown", "address": "\(address)",
      ])
      var captures: [ScopeCapture] = []
      try record.note(
        board: .init(
          address: "\(address)", serial: "", name: "hdpm", firmware: "published", protocolLevel: 0,
          emulated: virtual != nil),
        chip: .init(id: "", profile: virtual?.profile ?? ""), limits: nil)
      func keep(report: Bool) throws -> String? {
        guard !captures.isEmpty else { return nil }
        let samples = SampleFile(
          captures, unitVoltage: settings.unitVoltage, model: model, label: classNumber, seed: virtual?.seed ?? 0,
          profile: virtual?.profile)
        let file = output ?? record.file("samples.npz").path
        try samples.write(to: file)
        if report { try record.keep(samples) }
        return file
      }
      do {
        let report = try await board.requestRuns(count, scope: source) { event in
          if case .captured(_, let capture) = event { captures.append(capture) }
          show(event, on: progress, in: record)
        }
        progress.clear()
        let path = try keep(report: true)
        try record.events.append([.init("sample", detail: "\(report.requested) runs requested")])
        try record.finish(exitStatus: 0)
        return HDPMSampleOutput(
          report, settings, state: await board.state, schedule: schedule, classLabel: classNumber,
          hostSeconds: (ContinuousClock.now - begin).seconds, file: path)
      } catch {
        progress.clear()
        // What was measured before is worth keeping.
        if let path = try? keep(report: false), !options.common.quiet {
          note("\(captures.count) samples of before: \(path)")
        }
        try? record.events.append([.init("error", detail: "\(error)")])
        try? record.finish(exitStatus: Int(diagnose(error).exitCode))
        throw error
      }
    }
    try answer(result, json: options.common.json)
  }

  private func show(_ event: HDPMBoard.QueueEvent, on progress: ProgressLine, in record: RunDirectory) {
    func keep(_ name: String, _ detail: String) {
      progress.clear()
      if !options.common.quiet { note(detail) }
      try? record.events.append([.init(name, detail: detail)])
    }
    switch event {
    case .progress(let finished, let total, let timeLeft):
      let left = Int(timeLeft.seconds.rounded())
      progress.show(
        "sampling", finished: finished, total: total, detail: "\(left / 60) min \(left % 60) s left,")
    case .adapterLost(let error):
      keep("adapterLost", "\(error); waiting for it")
    case .adapterBack(let after):
      keep("adapterBack", "the adapter is back after \(Int(after.seconds.rounded())) s; the board was configured anew")
    case .captured(let run, _):
      try? record.events.append([.init("run", detail: "run \(run)")])
    case .missing(let run):
      keep("missing", "no capture of run \(run): requested again")
    }
  }

  private func warn(_ schedule: HDPMSchedule, model: ScoreModel?) {
    guard !options.common.quiet else { return }
    let clipped = schedule.clipped
    if let first = clipped.first {
      note(
        "warning: preset \(preset) at v_bias \(schedule.settings.bias.volts): \(clipped.count) words are clipped at code 0, "
          + "the first on channel \(first.channel) in tick \(first.tick)")
    }
    if let glitch = schedule.glitches.first {
      note("warning: the firmware's sine puts a wrong word on channel \(glitch.channel) in tick \(glitch.tick)")
    }
    if let model, model.network.timeFrequencies != schedule.settings.preset.frequencies {
      note("warning: '\(model.name)' was trained with other embedding frequencies than preset \(preset) plays")
    }
  }

  private func classNumber(of model: ScoreModel?) throws -> Int? {
    guard let label else { return nil }
    let names = model?.metadata.classNames ?? []
    guard let model, let index = names.firstIndex(of: label) ?? Int(label),
      (0..<model.network.classCount).contains(index)
    else {
      throw CommandError(
        message: "--class \(label): \(model.map { "'\($0.name)' has no such class" } ?? "the model is not named")",
        exitCode: ExitStatus.usage)
    }
    return index
  }
}

struct HDPMSampleOutput: CommandOutput {
  /// What the board's answers confirmed; null where it confirmed nothing.
  struct Confirmed: Encodable {
    var bias: Double?
    var coefficient: Double?
    var noiseScale: Double?
    var offsets: [Double]?
    var presetEchoed: String?

    enum CodingKeys: String, CodingKey {
      case bias = "bias_V"
      case coefficient, noiseScale, offsets, presetEchoed
    }
  }

  struct Energy: Encodable {
    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: Key.self)
      for key in Key.allCases { try container.encodeNil(forKey: key) }
    }
    enum Key: String, CodingKey, CaseIterable { case array, amplifiers, converters, board }
  }

  var samples: Int
  var solver = "ode"
  var classLabel: Int?
  var ticks = HDPMSchedule.activeTicks
  var preset: String
  var bias: Double
  /// Runs whose `Go` was answered; no answer says that a run began.
  var requested: Int
  var unanswered: Int
  var missing: Int
  var reconnections: Int
  var possiblyLost: Int
  var clippedWords: Int
  var glitchWords: Int
  var confirmed: Confirmed
  var chipSecondsPerSample: Double
  var hostSeconds: Double
  var dutyCycle: Double
  var energyPerSample = Energy()
  var file: String?

  enum CodingKeys: String, CodingKey {
    case samples, solver, classLabel, ticks, preset, requested, unanswered, missing, reconnections, possiblyLost
    case clippedWords, glitchWords, confirmed, chipSecondsPerSample, hostSeconds, dutyCycle, busSeconds, file
    case bias = "bias_V"
    case energyPerSample = "energyPerSample_J"
  }

  init(
    _ report: HDPMBoard.QueueReport, _ settings: HDPMSettings, state: HDPMState, schedule: HDPMSchedule,
    classLabel: Int?, hostSeconds: Double, file: String?
  ) {
    samples = report.captures.count
    self.classLabel = classLabel
    preset = String(settings.preset.name)
    bias = settings.bias.volts.rawValue
    requested = report.requested
    unanswered = report.unanswered
    missing = report.missing
    reconnections = report.reconnections
    possiblyLost = report.possiblyLost
    clippedWords = schedule.clipped.count
    glitchWords = schedule.glitches.count
    confirmed = Confirmed(
      bias: state.bias?.volts.rawValue, coefficient: state.coefficient.map(Double.init),
      noiseScale: state.noiseScale.map(Double.init), offsets: state.offsets.map { [Double($0.x), Double($0.y)] },
      presetEchoed: state.presetEchoed.map { String($0) })
    chipSecondsPerSample = report.duration.seconds / Double(max(1, report.requested))
    dutyCycle =
      report.duration > .zero
      ? Double(report.requested * HDPMSchedule.activeTicks) * HDPMSchedule.tick.seconds / report.duration.seconds : 0
    self.hostSeconds = hostSeconds
    self.file = file
  }

  func encode(to encoder: any Encoder) throws {
    // Spelled out because the synthesised form would leave out what is nil.
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(samples, forKey: .samples)
    try container.encode(solver, forKey: .solver)
    try container.encode(classLabel, forKey: .classLabel)
    try container.encode(ticks, forKey: .ticks)
    try container.encode(preset, forKey: .preset)
    try container.encode(bias, forKey: .bias)
    try container.encode(requested, forKey: .requested)
    try container.encode(unanswered, forKey: .unanswered)
    try container.encode(missing, forKey: .missing)
    try container.encode(reconnections, forKey: .reconnections)
    try container.encode(possiblyLost, forKey: .possiblyLost)
    try container.encode(clippedWords, forKey: .clippedWords)
    try container.encode(glitchWords, forKey: .glitchWords)
    try container.encode(confirmed, forKey: .confirmed)
    try container.encode(chipSecondsPerSample, forKey: .chipSecondsPerSample)
    try container.encode(hostSeconds, forKey: .hostSeconds)
    try container.encode(dutyCycle, forKey: .dutyCycle)
    try container.encodeNil(forKey: .busSeconds)
    try container.encode(energyPerSample, forKey: .energyPerSample)
    try container.encode(file, forKey: .file)
  }

  var text: String {
    var lines = [
      "\(requested) runs of preset \(preset) at v_bias \(Volts(bias)) requested, \(chipSecondsPerSample.formatted(digits: 4)) s each"
    ]
    if let file {
      lines.append("\(samples) samples from captures: \(file)")
      if missing > 0 { lines.append("\(missing) requests were followed by no capture and repeated") }
    } else {
      lines.append("no captures were taken: the board does not confirm that a run began, and no samples are known")
      if possiblyLost > 0 {
        lines.append("up to \(possiblyLost) requests may be lost to the wrap of the board's tick counter")
      }
    }
    if reconnections > 0 { lines.append("the adapter was away \(reconnections) times") }
    return lines.joined(separator: "\n")
  }
}
