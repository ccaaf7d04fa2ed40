internal import RRAMPhysics
internal import RRAMUnits
internal import RRAMWire

/// The cells of a run as its samples see them: they age by the run's own time, sample by sample, from where they stood when it began.
///
/// So a sample depends on where in its run it lies, and neither on how the run was cut into commands nor on when they came: a run that was
/// interrupted goes on with the samples it would have had. While nothing else touches the cells they are the chip's own; once a command
/// goes back in its run, or somebody else has read or aged them, the chip's cells go their own way.
struct RunCells {
  let id: UInt64
  /// Number of the sample with which it began, and the chip time, ns.
  let firstSample: UInt32
  let nanoseconds: UInt64
  /// The macros as they stood then.
  let before: [Int: Crossbar]
  /// The macros as of the last chunk of samples, and how many chunks they have been through.
  var now: [Int: Crossbar]
  var chunks = 0
  /// Revisions of the chip's own macros that `now` follows; `nil` once they have parted.
  var followed: [Int: UInt64]?

  var macros: [Int] { before.keys.sorted() }

  init(id: UInt64, firstSample: UInt32, nanoseconds: UInt64, macros: [Int: Crossbar]) {
    self.id = id
    self.firstSample = firstSample
    self.nanoseconds = nanoseconds
    before = macros
    now = macros
    followed = macros.mapValues(\.revision)
  }

  /// As a state file keeps it.
  init(_ state: StateFile.Run, of chip: Chip, file: String) throws(EmulatorError) {
    var macros: [Int: Crossbar] = [:]
    for (macro, arrays) in state.macros {
      guard chip.crossbars.indices.contains(macro) else {
        throw EmulatorError(.damaged, "a run on macro \(macro) of \(chip.macroCount)", file: file)
      }
      var crossbar = chip.crossbars[macro]
      do {
        try crossbar.importState(arrays)
      } catch {
        throw EmulatorError(.damaged, "run, macro \(macro): \(error)", file: file, underlying: error)
      }
      macros[macro] = crossbar
    }
    self.init(id: state.id, firstSample: state.firstSample, nanoseconds: state.nanoseconds, macros: macros)
    followed = nil
  }
}

extension Chip {
  /// Begins run `id` with this sample, or goes on with it.
  ///
  /// - Returns: false if the cells do not age, so that there is nothing to keep.
  func enterRun(_ id: UInt64, firstSample: UInt32, macros: some Sequence<Int>) -> Bool {
    let macros = Set(macros)
    guard id != 0, macros.contains(where: { crossbars[$0].ages }) else { return false }
    if let run, run.id == id, firstSample >= run.firstSample, Set(run.macros) == macros { return true }
    run = RunCells(
      id: id, firstSample: firstSample, nanoseconds: nanoseconds,
      macros: Dictionary(uniqueKeysWithValues: macros.map { ($0, crossbars[$0]) }))
    // A run must survive this process: where it began is on the disk before its first sample leaves.
    noteChanged()
    return true
  }

  /// Calls `body` with the cells as they are in a chunk of the run's samples.
  ///
  /// - Parameters:
  ///   - chunk: counted from the run's first sample.
  ///   - length: of a chunk.
  ///   - blocks: those that are used.
  ///   - exposure: what a chunk does to their cells, felt from the next one on.
  func withRunCells<R>(
    chunk: Int, length: Duration, blocks: [CellBlock], exposure: [LoopExposure.Rows],
    _ body: (_ time: Double) throws(RequestFailure) -> R
  ) throws(RequestFailure) -> R {
    guard var run else { preconditionFailure("no run was entered") }
    // Moved out, so that the macros below are not copied.
    self.run = nil
    if chunk < run.chunks - 1 {
      run.now = run.before
      run.chunks = 0
      run.followed = nil
    }
    for (macro, cells) in run.now { (crossbars[macro], run.now[macro]) = (cells, crossbars[macro]) }
    defer {
      for (macro, cells) in run.now { (crossbars[macro], run.now[macro]) = (cells, crossbars[macro]) }
      run.chunks = chunk + 1
      self.run = run
    }
    func time(_ chunk: Int) -> Double { Double(run.nanoseconds) * 1e-9 + length.seconds * Double(chunk) }
    // What lies between has passed for the cells as well, look by look.
    for next in run.chunks..<max(run.chunks, chunk + 1) {
      if next > 0 { expose(exposure) }
      guard next < chunk else { continue }
      for block in blocks {
        do {
          try crossbars[block.macro].age(used(block), to: time(next))
        } catch {
          throw RequestFailure(error)
        }
      }
    }
    return try body(time(chunk))
  }

  func expose(_ blocks: [LoopExposure.Rows]) {
    for rows in blocks { crossbars[rows.block.macro].expose(rows.block, rows: rows.exposures) }
  }

  /// Calls `body` with the cells as they stood when the run began, and leaves them as they are.
  func withFirstRunCells<R>(_ body: (_ time: Double) throws(RequestFailure) -> R) throws(RequestFailure) -> R {
    guard let run else { preconditionFailure("no run was entered") }
    let kept = crossbars
    defer { crossbars = kept }
    for (macro, cells) in run.before { crossbars[macro] = cells }
    return try body(Double(run.nanoseconds) * 1e-9)
  }

  /// Hands the run's cells to the chip at the end of a command, if nobody else has touched them.
  ///
  /// - Parameter exposure: what the chunk under way has done to the cells so far.
  func leaveRun(exposure: [LoopExposure.Rows]) {
    guard let followed = run?.followed, let now = run?.now else { return }
    guard followed.allSatisfy({ crossbars[$0.key].revision == $0.value }) else {
      run?.followed = nil
      return
    }
    for (macro, cells) in now { crossbars[macro] = cells }
    expose(exposure)
    run?.followed = Dictionary(uniqueKeysWithValues: now.keys.map { ($0, crossbars[$0].revision) })
  }
}
