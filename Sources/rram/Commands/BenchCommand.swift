import ArgumentParser
import Foundation
import Glibc
import Logging
import RRAMKit

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure what this machine does: closed loop, emulator, latencies.",
    discussion: """
      One network evaluation is one sample at one stage of one integration step of the ring's network. Rates are medians over repeated \
      runs. 'Poles' is the loop of the board 'parallel', three evaluations a step where others take two. 'Noisy' draws fresh noise for all 30 node outputs in each evaluation (Euler), 'band-limited' and 'cells' are the noise of \
      the emulated chip, per output and per cell (Heun). RRAM_ISA forces an instruction set. Takes less than a minute; 'tools/bench/compare' \
      sets the rates beside PyTorch's.
      """)

  @Option(help: "Threads of the closed loop.")
  var threads = 1

  @Option(help: "Measure only rows whose name contains this.")
  var only = ""

  @Option(help: "Keep the log that the row 'eventLog' writes (10 million lines) in this file.")
  var eventLog: String?

  @Option(help: "Measurements of a row, of which the median is taken; 1 for a rough look.")
  var rounds = 5

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds \(rounds): 1 to 1000 are possible") }
    guard (1...1024).contains(threads) else { throw ValidationError("--threads \(threads): 1 to 1024 are possible") }
  }

  func run() async throws {
    try checkWritable(eventLog)
    let progress = ProgressLine(quiet: common.quiet)
    var bench = try Bench(threads: threads, only: only, rounds: rounds, keepingLogAs: eventLog) {
      progress.show($0, finished: $1, total: Bench.rowCount)
    }
    try await bench.run(logger: common.logger)
    progress.clear()
    guard !bench.report.isEmpty else {
      throw ValidationError(
        "--only '\(only)': no row has that in its name; rows are \(bench.names.joined(separator: ", "))")
    }
    try answer(bench.report, json: common.json)
  }
}

/// What `rram bench` prints.
struct BenchReport: CommandOutput {
  /// A rate of the closed loop.
  struct Row: Encodable {
    var name: String
    /// Widths of the network, inputs first.
    var network: [Int]
    var batch: Int
    var method: String
    /// The code that served: `specialised` for 2→14→14→2, else `general`.
    var path: String
    var evaluationsPerCPUSecond: Double
    var evaluationsPerSecond: Double
    /// Two floating-point operations a weight, biases and what is beside the products not counted.
    var flopsPerCPUSecond: Double
  }

  /// CPU seconds of one unit of work.
  struct Cost: Encodable {
    var name: String
    var per: String
    var cpuSeconds: Double
  }

  struct Latency: Encodable {
    var name: String
    var p50: Double
    var p99: Double
    var count: Int

    enum CodingKeys: String, CodingKey {
      case name
      case p50 = "p50_s"
      case p99 = "p99_s"
      case count
    }
  }

  /// A run's event log.
  struct Log: Encodable {
    var name: String
    var rows: Int
    var bytes: Int
    /// Until the kernel has them: what is on record after a `kill -9`.
    var rowsPerSecond: Double
    var rowsPerCPUSecond: Double
    /// Until the disk has them as well.
    var rowsPerSecondSynced: Double
  }

  /// Bytes of whole frames that are made or read in a CPU second.
  struct Codec: Encodable {
    var name: String
    var frameBytes: Int
    var bytesPerCPUSecond: Double
  }

  /// A sampling session on an emulated ideal chip, files excluded.
  struct Sampling: Encodable {
    var name: String
    var samplesPerCommand: Int
    /// (preset + loop + conversion) over chip time, USB high-speed timing modelled.
    var dutyCycle: Double
    /// CPU of host and emulated board together, and of the loop's kernel alone for as many samples; medians.
    var cpuSecondsPerSample: Double
    var kernelCPUSecondsPerSample: Double
    /// What is not kernel over the kernel: the median of runs that were measured in turn with the kernel, so that a load on the machine
    /// meets both.
    var overhead: Double
  }

  var isa: String
  var threads: Int
  var version = toolkitVersion
  var rows: [Row] = []
  var codec: [Codec] = []
  var costs: [Cost] = []
  var latencies: [Latency] = []
  var logs: [Log] = []
  var sampling: [Sampling] = []

  var isEmpty: Bool {
    rows.isEmpty && sampling.isEmpty && costs.isEmpty && latencies.isEmpty && codec.isEmpty && logs.isEmpty
  }

  var text: String {
    var blocks = ["closed loop on \(isa), \(threads) thread\(threads == 1 ? "" : "s"); million network evaluations"]
    if !rows.isEmpty {
      blocks.append(
        table(
          [["", "network", "batch", "method", "path", "per CPU s", "per s", "GFLOP per CPU s"]]
            + rows.map {
              [
                $0.name, $0.network.map(String.init).joined(separator: "-"), "\($0.batch)", $0.method, $0.path,
                ($0.evaluationsPerCPUSecond / 1e6).formatted(digits: 3),
                ($0.evaluationsPerSecond / 1e6).formatted(digits: 3),
                ($0.flopsPerCPUSecond / 1e9).formatted(digits: 3),
              ]
            }))
    }
    if !sampling.isEmpty {
      blocks.append(
        table(
          [["", "samples a command", "duty cycle", "µs CPU a sample", "kernel alone", "overhead"]]
            + sampling.map {
              [
                $0.name, "\($0.samplesPerCommand)", "\(($0.dutyCycle * 100).formatted(digits: 3)) %",
                ($0.cpuSecondsPerSample * 1e6).formatted(digits: 3),
                ($0.kernelCPUSecondsPerSample * 1e6).formatted(digits: 3),
                "\(($0.overhead * 100).formatted(digits: 2)) %",
              ]
            }))
    }
    if !codec.isEmpty {
      blocks.append(
        table(
          [["", "frame", "GB per CPU s"]]
            + codec.map { [$0.name, "\($0.frameBytes) B", ($0.bytesPerCPUSecond / 1e9).formatted(digits: 3)] }))
    }
    if !logs.isEmpty {
      blocks.append(
        table(
          [["", "rows", "MB", "million rows per s", "per CPU s", "per s, on disk"]]
            + logs.map {
              [
                $0.name, "\($0.rows)", (Double($0.bytes) / 1e6).formatted(digits: 4),
                ($0.rowsPerSecond / 1e6).formatted(digits: 3), ($0.rowsPerCPUSecond / 1e6).formatted(digits: 3),
                ($0.rowsPerSecondSynced / 1e6).formatted(digits: 3),
              ]
            }))
    }
    if !costs.isEmpty {
      blocks.append(
        table([["", "CPU s", "per"]] + costs.map { [$0.name, $0.cpuSeconds.formatted(digits: 3), $0.per] }))
    }
    if !latencies.isEmpty {
      blocks.append(
        table(
          [["", "50 %", "99 %", "of"]]
            + latencies.map {
              [
                $0.name, "\(($0.p50 * 1e6).formatted(digits: 3)) µs", "\(($0.p99 * 1e6).formatted(digits: 3)) µs",
                "\($0.count)",
              ]
            }))
    }
    return blocks.joined(separator: "\n\n")
  }
}

/// Measures one row after the other.
private struct Bench {
  var report: BenchReport
  private let threads: Int
  private let only: String
  private let rounds: Int
  /// Where the event log goes that is written; nil: nowhere.
  private let logFile: String?
  private var begun = 0
  private let progress: (String, Int) -> Void
  private let ring: LoopNetwork
  private let tables: LoopTables

  /// Least wall time of a measurement, of which the median of several is taken.
  private static let leastTime = 0.25
  /// Variance of a weight's read noise: that of two cells with 1 % of the largest weight each.
  private static let noise: Float = 0.01

  init(
    threads: Int, only: String, rounds: Int, keepingLogAs logFile: String?,
    progress: @escaping (String, Int) -> Void
  ) throws {
    self.logFile = logFile
    self.threads = threads
    self.only = only
    self.rounds = rounds
    self.progress = progress
    report = BenchReport(isa: try InstructionSet.selected().rawValue, threads: threads)
    let model = try ModelLibrary.scoreModel("ring")
    let network = model.network
    ring = LoopNetwork(
      layers: network.layers.enumerated().map { index, layer in
        var weights: [Float] = []
        for out in 0..<layer.outputs {
          weights += layer.weight[out * layer.inputs..<(out + 1) * layer.inputs]
          weights.append(layer.bias[out])
        }
        let largest = weights.map(abs).max() ?? 0
        return .init(
          inputs: layer.inputs, outputs: layer.outputs, weights: weights,
          variances: [Float](repeating: 2 * Self.noise * Self.noise * largest * largest, count: weights.count),
          telegraph: weights.indices.map { $0.isMultiple(of: 20) ? Self.noise * largest : 0 },
          embeddingColumn: index + 1 < network.layers.count ? 0 : nil)
      }, amplitude: network.amplitude)
    let process = model.metadata.process
    let ticks = 200
    let times = Schedule.midpoints(ticks: ticks)
    tables = LoopTables(
      tickDuration: (1 - DiffusionProcess.endTime) / Double(ticks),
      a: times.map { Float(process.stateCoefficient(at: $0)) },
      b: times.map { Float(process.scoreCoefficient(at: $0, equation: .ode)) },
      embedding: times.flatMap { network.timeEmbedding(Float($0)) }, embeddingColumns: network.hiddenSize)
  }

  mutating func run(logger: Logger) async throws {
    for batch in [1, 100, 10_000, 50_000] { try loop("closedLoopIdeal", batch: batch) }
    try loop("closedLoopIdeal", batch: 10_000, method: .euler)
    try loop("closedLoopNoisy", batch: 10_000, method: .euler, noise: .white)
    // 1/(2πf) of an amplifier pole at 8 MHz in a run of 20 µs.
    try loop("closedLoopBandLimited", batch: 10_000, noise: .bandLimited(correlationTime: 0.001))
    // What the board 'parallel' adds: its limits and poles, and the curve and noise of a chip behind its amplifiers.
    let board = try BoardDescription.named("parallel")
    try loop("closedLoopPoles", batch: 10_000, board: board)
    try loop(
      "closedLoopPolesBandLimited", batch: 10_000,
      noise: .bandLimited(correlationTime: LoopPoles(Self.parts(of: board)).amplifier), board: board,
      cells: ChipProfile.named("cmo-hfox").cells)
    try loop("closedLoopCells", batch: 1_000, noise: .perCell(Self.cells))
    try loop("closedLoopGeneral", batch: 10_000, network: Self.wide)
    try publishedRun("publishedRunIdeal", noise: .none)
    try publishedRun("publishedRunNoisy", noise: .white)
    try ageing()
    try metrics()
    try wires()
    try codec()
    try eventLog()
    try ledger()
    try await emulator(logger)
    try await exits()
    try await sampling(logger)
  }

  /// 1/f noise of two decades within a run, and two states.
  private static let cells = LoopNoise.CellNoise(
    modes: [.init(correlationTime: 0.05, share: 0.5), .init(correlationTime: 0.5, share: 0.5)], telegraphTime: 0.1)

  /// The largest network the loop takes.
  private static let wide: LoopNetwork = {
    let widths = [2, 64, 64, 64, 2]
    var stream = PhiloxStream(seed: 1, stream: (0, 0, 0))
    return LoopNetwork(
      layers: (1..<widths.count).map { index in
        let (inputs, outputs) = (widths[index - 1], widths[index])
        return .init(
          inputs: inputs, outputs: outputs,
          weights: (0..<outputs * (inputs + 1)).map { _ in Float(stream.normal()) / Float(inputs + 1).squareRoot() })
      })
  }()

  /// What ``run()`` measures, for its progress.
  static let rowCount = 29

  /// Names of all rows met so far.
  private(set) var names: [String] = []

  private mutating func isAsked(_ name: String) -> Bool {
    if !names.contains(name) { names.append(name) }
    let asked = only.isEmpty || name.localizedCaseInsensitiveContains(only)
    if asked { progress(name, begun) }
    begun += 1
    return asked
  }

  private mutating func loop(
    _ name: String, batch: Int, method: LoopIntegration.Method = .heun, noise: LoopNoise = .none,
    network: LoopNetwork? = nil, board: BoardDescription? = nil, cells: ChipProfile.Cells? = nil
  ) throws {
    guard isAsked(name) else { return }
    let network = network ?? ring
    let loop =
      try board.map { try Self.loop(network, noise: noise, on: $0, cells: cells) }
      ?? ClosedLoop(network: network, noise: noise)
    let x0 = Self.starts(batch)
    let (tables, threads) = (tables, threads)
    let integration = LoopIntegration(method: method)
    // A single sample is a few microseconds: many runs between two looks at the clock.
    let runs = max(1, 20_000 / batch)
    let perRun = batch * tables.ticks * loop.stepEvaluations(tables, integration)
    var rates: [(cpu: Double, wall: Double)] = []
    for _ in 0...rounds {
      let begin = Clocks()
      var evaluations = 0
      repeat {
        for run in 0..<runs {
          _ = try loop.run(x0: x0, tables: tables, integration: integration, noiseSeed: UInt64(run), threads: threads)
        }
        evaluations += runs * perRun
      } while Clocks().wall - begin.wall < Self.leastTime
      let end = Clocks()
      rates.append((Double(evaluations) / (end.cpu - begin.cpu), Double(evaluations) / (end.wall - begin.wall)))
    }
    // The first one warms caches and clock up.
    rates.removeFirst()
    let cpu = median(rates.map(\.cpu))
    report.rows.append(
      .init(
        name: name, network: [network.dimensions] + network.layers.map(\.outputs), batch: batch,
        method: method == .heun ? "heun" : "euler", path: loop.path(tables, integration).rawValue,
        evaluationsPerCPUSecond: cpu,
        evaluationsPerSecond: median(rates.map(\.wall)), flopsPerCPUSecond: cpu * 2 * Double(network.products)))
  }

  /// 50 000 samples in 10 000 Euler steps, as the published notebook runs them.
  private mutating func publishedRun(_ name: String, noise: LoopNoise) throws {
    guard isAsked(name) else { return }
    let loop = try ClosedLoop(network: ring, noise: noise)
    let begin = Clocks()
    _ = try loop.run(
      x0: Self.starts(50_000), tables: tables,
      integration: LoopIntegration(method: .euler, substeps: 10_000 / tables.ticks), threads: threads)
    report.costs.append(.init(name: name, per: "50 000 samples of 10 000 steps", cpuSeconds: Clocks().cpu - begin.cpu))
  }

  private mutating func ageing() throws {
    guard isAsked("ageing") else { return }
    let profile = try ChipProfile.named("cmo-hfox")
    let forming = profile.programming.forming
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 1000, columns: 1000), macro: 0, seed: 1)
    try crossbar.pulse(
      Array(0..<crossbar.cellCount),
      Pulse(kind: .forming, wordLine: forming.wordLine, amplitude: forming.stop, width: forming.width), at: 0)
    var seconds: [Double] = []
    for step in 1...rounds {
      let begin = Clocks()
      crossbar.advance(to: Double(step) * 600)
      seconds.append(Clocks().cpu - begin.cpu)
    }
    report.costs.append(.init(name: "ageing", per: "10^6 cells, once", cpuSeconds: median(seconds)))
  }

  /// Every metric of a million points against the ring's data.
  private mutating func metrics() throws {
    guard isAsked("metrics") else { return }
    let data = try EvaluationData("ring")
    let points = Self.starts(1_000_000)
    var seconds: [(cpu: Double, wall: Double)] = []
    for _ in 0..<3 {
      let begin = Clocks()
      _ = try SampleMetrics.quality(of: points, against: data)
      let end = Clocks()
      seconds.append((end.cpu - begin.cpu, end.wall - begin.wall))
    }
    let wall = median(seconds.map(\.wall)).formatted(digits: 3)
    report.costs.append(
      .init(
        name: "metrics", per: "all of 10^6 samples; \(wall) s on all processors", cpuSeconds: median(seconds.map(\.cpu))
      ))
  }

  /// The matrix that rows and columns see through the wires, renewed for cells of 10 to 90 µS that have moved.
  private mutating func wires() throws {
    for (size, renewals) in [(64, 15), (256, 3)] where isAsked("effectiveMatrix\(size)") {
      let shape = MacroShape(rows: size, columns: size)
      var stream = PhiloxStream(seed: 1, stream: (0, 0, 0))
      var cells = (0..<shape.cellCount).map { _ in 10e-6 + 80e-6 * stream.uniform() }
      let network = try WireNetwork(
        shape: shape, wires: ArrayWires(rowSegment: Ohms(1), columnSegment: Ohms(1), driver: Ohms(50)))
      // The first one is set up as well.
      _ = try network.effective(cells)
      var seconds: [Double] = []
      for _ in 0..<renewals {
        for index in cells.indices { cells[index] *= 1 + 1e-3 * (stream.uniform() - 0.5) }
        let begin = Clocks()
        _ = try network.effective(cells)
        seconds.append(Clocks().cpu - begin.cpu)
      }
      report.costs.append(
        .init(name: "effectiveMatrix\(size)", per: "macro of \(size)×\(size)", cpuSeconds: median(seconds)))
    }
  }

  /// A frame with the conductances of a macro: message, protobuf and checks, there and back.
  private mutating func codec() throws {
    let message = ResponseMessage(
      bootID: 1, boardTime: .seconds(1),
      body: .conductances(
        Conductances(
          firstIndex: 0, conductance: (0..<4096).map { Float(1e-5 + 2e-8 * Double($0)) },
          formed: [Bool](repeating: true, count: 4096))))
    let encoder = FrameEncoder(maximumPayloadBytes: 65_536)
    let bytes = try encoder.encode(Frame(sequence: 1, payload: message.payload()))
    func rate(_ body: () throws -> Void) rethrows -> Double {
      var rates: [Double] = []
      for _ in 0...rounds {
        let begin = Clocks()
        var count = 0
        repeat {
          for _ in 0..<100 { try body() }
          count += 100
        } while Clocks().wall - begin.wall < Self.leastTime / 5
        rates.append(Double(count * bytes.count) / (Clocks().cpu - begin.cpu))
      }
      return median(Array(rates.dropFirst()))
    }
    if isAsked("frameEncode") {
      let found = try rate { _ = try encoder.encode(Frame(sequence: 1, payload: message.payload())) }
      report.codec.append(.init(name: "frameEncode", frameBytes: bytes.count, bytesPerCPUSecond: found))
    }
    if isAsked("frameDecode") {
      var decoder = FrameDecoder(maximumPayloadBytes: 65_536)
      let found = try rate {
        for case .frame(let frame) in decoder.decode(bytes) { _ = try ResponseMessage(payload: frame.payload) }
      }
      report.codec.append(.init(name: "frameDecode", frameBytes: bytes.count, bytesPerCPUSecond: found))
    }
  }

  /// Runs `body` with a home for records that is gone afterwards.
  private func withScratchHome<R>(_ body: (RecordsHome) throws -> R) throws -> R {
    let scratch = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: scratch) }
    return try body(RecordsHome(root: scratch))
  }

  /// Ten million lines of a run's log, as reads of a macro of 4096 cells hand them over: float32 conductances and one board time a read.
  private mutating func eventLog() throws {
    guard isAsked("eventLog") else { return }
    let (rows, cells) = (10_000_000, 4096)
    report.logs.append(
      try withScratchHome { home in
        let record = try RunDirectory(home: home, toolkit: toolkitVersion, command: ["rram", "bench"], settings: [:])
        var stream = PhiloxStream(seed: 3, stream: (0, 0, 0))
        var events = (0..<cells).map {
          EventLog.Event(
            "read", cell: CellAddress(macro: 0, row: $0 / 64, column: $0 % 64),
            conductance: Siemens(Double(Float(1e-5 + 8e-5 * stream.uniform()))), reads: 1)
        }
        let begin = Clocks()
        var written = 0
        while written < rows {
          let count = min(cells, rows - written)
          let time = Duration.microseconds(written)
          for index in 0..<count { events[index].boardTime = time }
          try record.events.append(count == cells ? events : Array(events.prefix(count)))
          written += count
        }
        try record.events.flush()
        let end = Clocks()
        try record.events.sync()
        let synced = Clocks()
        let file = record.file("events.csv")
        let bytes = try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int ?? 0
        if let logFile {
          try? FileManager.default.removeItem(atPath: logFile)
          try FileManager.default.moveItem(atPath: file.path, toPath: logFile)
        }
        return .init(
          name: "eventLog", rows: rows, bytes: bytes, rowsPerSecond: Double(rows) / (end.wall - begin.wall),
          rowsPerCPUSecond: Double(rows) / (end.cpu - begin.cpu),
          rowsPerSecondSynced: Double(rows) / (synced.wall - begin.wall))
      })
  }

  /// Questions to a ledger that holds 1 000 runs on 20 chips: with the file opened first, as a command does, and in an open one.
  private mutating func ledger() throws {
    let asked = ["ledgerOpenAndList", "ledgerRuns", "ledgerRunsOfChip", "ledgerRunByName"].filter { isAsked($0) }
    guard !asked.isEmpty else { return }
    let rows = try withScratchHome { home in
      let record = try RunDirectory(home: home, toolkit: toolkitVersion, command: ["rram", "bench"], settings: [:])
      let ledger = try ChipLedger(home: home)
      for run in 1..<1000 {
        var manifest = record.currentManifest
        manifest.chip = .init(id: "chip-\(run % 20)", profile: "cmo-hfox")
        manifest.startedUTC += Double(run)
        manifest.exitStatus = 0
        try ledger.enter(manifest, folder: home.runs.appending(path: "run-\(run)"))
      }
      // One in twenty is on each chip; the run of the record itself is on none.
      let expected = ["ledgerOpenAndList": 20, "ledgerRuns": 1000, "ledgerRunsOfChip": 50]
      return try asked.map { name in
        var seconds: [Double] = []
        for index in 0..<200 {
          let begin = Clocks()
          let found =
            switch name {
            case "ledgerOpenAndList": try ChipLedger(home: home).runs(limit: 20).count
            case "ledgerRuns": try ledger.runs().count
            case "ledgerRunsOfChip": try ledger.runs(chip: "chip-\(1 + index % 19)").count
            default: try ledger.runs(named: "run-\(500 + index)").count
            }
          seconds.append(Clocks().wall - begin.wall)
          precondition(found == expected[name, default: 1], "\(name): \(found) runs")
        }
        return Self.latency(name, seconds)
      }
    }
    report.latencies += rows
  }

  /// An emulated chip in memory behind the wire protocol.
  private mutating func emulator(_ logger: Logger) async throws {
    let asked = ["writeVerify", "readOneCell", "safe"].filter { isAsked($0) }
    guard !asked.isEmpty else { return }
    let profile = try ChipProfile.named("cmo-hfox")
    let (costs, latencies) = try await RRAM.withBoard("emu:profile=cmo-hfox,seed=1", logger: logger) { board in
      let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 64, columns: 64)))
      _ = try await board.form(
        [CellBlock(macro: 0, shape: MacroShape(rows: 64, columns: 64))], options: FormOptions(profile))
      let options = ProgramOptions(profile)
      let begin = Clocks()
      _ = try await board.writeVerify(
        WriteVerify(
          cells: cells,
          targets: (0..<cells.count).map { Float(15e-6 + 70e-6 * Double($0 * 37 % cells.count) / Double(cells.count)) },
          tolerance: options.tolerance, set: options.method.set, reset: options.method.reset,
          verify: board.defaultReadBias(), maximumPulses: options.method.maximumPulses,
          maximumReversals: options.method.maximumReversals, credit: 4))
      let cost = BenchReport.Cost(
        name: "writeVerify", per: "cell of 4096, host and emulated chip",
        cpuSeconds: (Clocks().cpu - begin.cpu) / Double(cells.count))
      let cell = CellBlock(macro: 1, shape: MacroShape(rows: 1, columns: 1))
      var reads: [Double] = []
      for _ in 0..<2000 {
        let begin = Clocks()
        _ = try await board.read(cell)
        reads.append(Clocks().wall - begin.wall)
      }
      var safes: [Double] = []
      for _ in 0..<500 {
        _ = try await board.read(cell)
        let begin = Clocks()
        try await board.safe()
        safes.append(Clocks().wall - begin.wall)
      }
      return ([cost], [Self.latency("readOneCell", reads), Self.latency("safe", safes)])
    }
    report.costs += costs.filter { asked.contains($0.name) }
    report.latencies += latencies.filter { asked.contains($0.name) }
  }

  /// From a pulled cable to the error of the write under way, and from Ctrl-C, which cancels the command's task, to the board grounded
  /// and its session closed.
  private mutating func exits() async throws {
    let asked = ["unplug", "interrupt"].filter { isAsked($0) }
    guard !asked.isEmpty else { return }
    let profile = try ChipProfile.named("cmo-hfox")
    let device = try EmulatedBoard(profile: profile, board: .named("parallel"), configuration: .init(seed: 1))
    let block = CellBlock(macro: 0, shape: MacroShape(rows: 64, columns: 64))
    // The lost links are what is measured here, no news.
    let quiet = Logger(label: "rram.bench") { _ in SwiftLogNoOpLogHandler() }
    _ = try await withBoard(InMemoryLink(to: device), logger: quiet) { board in
      try await board.form([block], options: FormOptions(profile))
    }
    let options = ProgramOptions(profile)
    for name in asked {
      var seconds: [Double] = []
      for _ in 0..<200 {
        let link = InMemoryLink(to: device)
        let board = try await Board.open(link, logger: quiet)
        // A window that no cell can keep: pulses follow pulses until something ends them.
        let request = WriteVerify(
          cells: CellSelection(block: block), targets: [Float](repeating: 50e-6, count: block.cellCount),
          tolerance: .microsiemens(1e-4), set: options.method.set, reset: options.method.reset,
          verify: board.defaultReadBias(),
          maximumPulses: 10_000, maximumReversals: 10_000, credit: 4)
        let write = Task { try await board.writeVerify(request) }
        while try BoardStatus(bytes: await link.control(.status)).operations == 0 { await Task.yield() }
        let begin = Clocks()
        if name == "unplug" {
          link.unplug()
          _ = await write.result
          seconds.append(Clocks().wall - begin.wall)
          try? await board.close()
        } else {
          write.cancel()
          _ = await write.result
          try await board.close()
          seconds.append(Clocks().wall - begin.wall)
        }
      }
      report.latencies.append(Self.latency(name, seconds))
    }
    await device.close()
  }

  /// The ring on an ideal chip: one run in commands of 512 samples, and in the largest that a board's request holds.
  private mutating func sampling(_ logger: Logger) async throws {
    for (name, count) in [("sampling512", 512), ("samplingLargest", 16_352)] where isAsked(name) {
      report.sampling.append(try await sampling(name, samplesPerCommand: count, logger))
    }
  }

  private func sampling(_ name: String, samplesPerCommand: Int, _ logger: Logger) async throws -> BenchReport.Sampling {
    let model = try ModelLibrary.scoreModel("ring")
    let profile = try ChipProfile.named("ideal")
    let scratch = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: scratch) }
    let home = RecordsHome(root: scratch)
    var description = try BoardDescription.named("parallel")
    let loop = try Self.loop(ring, on: description)
    let x0 = Self.starts(65_536)
    // A host sends as many start points as a request holds: two codes of two bytes a sample beside the rest.
    description.link.maximumRequestBytes = samplesPerCommand * 4 + 128
    // The loop on one thread, as the kernel beside it. Where processors share a core, `taskset -c 0` keeps host and board from slowing each other.
    let device = try EmulatedBoard(profile: profile, board: description, configuration: .init(seed: 1, threads: 1))
    let row = try await withBoard(InMemoryLink(to: device), logger: logger) { board in
      let plan = try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
      _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
      var options = ProgramOptions(profile)
      options.followUp = nil
      _ = try await board.program(plan, model: model, options: options, home: home)
      let session = try await SamplingSession(SamplingProgram(model), on: board, home: home)
      var (seconds, kernel, duty): ([Double], [Double], [Double]) = ([], [], [])
      for _ in 0...rounds {
        let begin = Clocks()
        let statistics = try await session.draw(x0.count / 2, commandsInFlight: 3) { _ in }
        let middle = Clocks()
        _ = try loop.run(x0: x0, tables: tables)
        precondition(
          statistics.requests >= x0.count / 2 / samplesPerCommand,
          "commands hold more than \(samplesPerCommand) samples")
        duty.append(SampleReport(session.program, statistics).dutyCycle)
        seconds.append((middle.cpu - begin.cpu) / Double(x0.count / 2))
        kernel.append((Clocks().cpu - middle.cpu) / Double(x0.count / 2))
      }
      return BenchReport.Sampling(
        name: name, samplesPerCommand: samplesPerCommand, dutyCycle: median(Array(duty.dropFirst())),
        cpuSecondsPerSample: median(Array(seconds.dropFirst())),
        kernelCPUSecondsPerSample: median(Array(kernel.dropFirst())),
        overhead: median(zip(seconds, kernel).dropFirst().map { $0 / $1 - 1 }))
    }
    await device.close()
    return row
  }

  private static func parts(of board: BoardDescription) -> BoardDescription.ClosedLoop {
    guard let parts = board.closedLoop else { preconditionFailure("board '\(board.name)' has a closed loop") }
    return parts
  }

  /// A network with the limits and poles of a board, on ohmic cells if none are given.
  private static func loop(
    _ network: LoopNetwork, noise: LoopNoise = .none, on board: BoardDescription, cells: ChipProfile.Cells? = nil
  ) throws -> ClosedLoop {
    let parts = Self.parts(of: board)
    let unit = parts.unitVoltage
    return try ClosedLoop(
      network: network,
      limits: LoopLimits(
        rowClamp: Float(parts.rowClamp / unit), amplifierRail: Float(parts.amplifierRail / unit),
        integratorRail: Float(parts.integratorRail / unit)),
      noise: noise, poles: LoopPoles(parts), transport: cells.map { LoopTransport($0, unit: unit) } ?? .ohmic)
  }

  private static func latency(_ name: String, _ seconds: [Double]) -> BenchReport.Latency {
    let sorted = seconds.sorted()
    return .init(
      name: name, p50: median(seconds), p99: sorted[min(sorted.count - 1, sorted.count * 99 / 100)], count: sorted.count
    )
  }

  private static func starts(_ count: Int) -> [Float] {
    var stream = PhiloxStream(seed: 7, stream: (0, 0, 0))
    return (0..<2 * count).map { _ in Float(stream.normal()) }
  }
}

private func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted.count.isMultiple(of: 2)
    ? (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2 : sorted[sorted.count / 2]
}

/// CPU time of all threads and wall time, seconds.
private struct Clocks {
  let cpu = Clocks.read(CLOCK_PROCESS_CPUTIME_ID)
  let wall = Clocks.read(CLOCK_MONOTONIC)

  private static func read(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
