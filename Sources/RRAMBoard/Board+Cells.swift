internal import DequeModule
internal import RRAMProfiles
public import RRAMUnits
public import RRAMWire

extension Board {
  /// Bytes of a request besides masks and per-cell data: ids, block, ramps and biases with their tags.
  private static let fixedRequestBytes = 256

  /// Cells of a part of a resumable write, rounded to whole rows; a second part may wait on the board. Of a network of some 600 cells, what a
  /// dead host leaves half written and is ramped up anew costs less than a tenth of the pulses (`tools/soak/run kill`).
  private static let resumableCells = 56

  /// In how many parts a resumable write of a block is sent at most.
  public nonisolated func resumableParts(of block: CellBlock) -> Int {
    parts(CellSelection(block: block), bytesPerCell: WriteVerify.mostBytesPerCell, limit: Self.resumableCells).count
  }

  private nonisolated func parts(
    _ cells: CellSelection, bytesPerCell: Int = 0, limit: Int = .max
  ) -> [CellSelection] {
    cells.parts(bytesPerCell: bytesPerCell, budget: info.maximumRequestBytes - Self.fixedRequestBytes, limit: limit)
  }

  /// The board's own read: its voltages, within the limits.
  public nonisolated func defaultReadBias(averages: Int = 1) -> ReadBias {
    ReadBias(
      wordLine: min(boardDescription.sensing.readWordLine, limits.wordLine),
      bitLine: min(boardDescription.sensing.readVoltage, limits.read), averages: averages)
  }

  /// Reads the conductance of every selected cell, siemens, in row-major order.
  ///
  /// A whole macro is one request, unless its mask does not fit into one.
  /// - Parameter bias: `nil`: ``defaultReadBias(averages:)``.
  public func read(_ cells: CellSelection, bias: ReadBias? = nil) async throws -> [Float] {
    try await readings(cells, bias: bias).conductance
  }

  /// What a read gives beside the conductances.
  public struct Readings: Sendable, Hashable {
    /// Siemens, of the selected cells in row-major order.
    public var conductance: [Float]
    /// True where the board knows a cell to be formed, whatever it conducts now; empty where the board does not keep it.
    public var formed: [Bool]
  }

  /// Reads the selected cells, with what the board knows of them; see ``read(_:bias:)-(CellSelection,_)``.
  public func readings(_ cells: CellSelection, bias: ReadBias? = nil) async throws -> Readings {
    let bias = bias ?? defaultReadBias()
    try check.check(ReadCells(cells: cells, bias: bias))
    let readings = try await asking { try await $0.readOnce(cells, bias) }
    book.enter(readings, of: cells)
    return readings
  }

  private func readOnce(_ cells: CellSelection, _ bias: ReadBias) async throws -> Readings {
    let streams = try await open(parts(cells).map { ReadCells(cells: $0, bias: bias) }, cost: readCost(bias))
    var readings = Readings(conductance: [], formed: [])
    readings.conductance.reserveCapacity(cells.count)
    for (part, stream) in streams {
      let start = readings.conductance.count
      for try await page in stream {
        try checkJoin(page.firstIndex == readings.conductance.count - start, "read_cells")
        readings.conductance += page.conductance
        readings.formed += page.formed
      }
      try checkJoin(readings.conductance.count - start == part.count, "read_cells")
    }
    try checkJoin(readings.formed.isEmpty || readings.formed.count == readings.conductance.count, "read_cells")
    correct(&readings.conductance, of: cells)
    return readings
  }

  /// Reads every cell of a block; see ``read(_:bias:)-(CellSelection,_)``.
  public func read(_ block: CellBlock, bias: ReadBias? = nil) async throws -> [Float] {
    try await read(CellSelection(block: block), bias: bias)
  }

  /// The cells of a selection that a RESET may still be given: those not last read above `share` of the chip's resistance ceiling.
  ///
  /// The board judges by what its converter showed, before any calibration is applied: near the ceiling both may differ.
  public func resettable(_ cells: CellSelection, share: Double = 1) -> CellSelection {
    var mask = CellMask(cellCount: cells.block.cellCount)
    for index in cells.indices {
      mask[index] = check.mayReset(lastRead: book.lastRead(cells.block.address(at: index)), share: share)
    }
    return CellSelection(block: cells.block, mask: mask)
  }

  /// Gives equal pulses to every selected cell; the report holds no conductances unless the board reads after pulsing.
  ///
  /// - Parameter permissions: ``Permissions/forming`` for forming pulses.
  public func pulse(_ request: Pulse, permissions: Permissions = []) async throws -> CellReport {
    try check.check(request)
    if request.kind == .forming { try require(.forming, in: permissions, for: "a forming pulse") }
    try await checkWear(request.cells, pulses: request.count)
    if request.kind == .reset { try check.check(resetOf: request.cells, lastRead: book.lastRead) }
    let requests = parts(request.cells).map { part in
      var piece = request
      piece.cells = part
      return piece
    }
    let seconds = Double(request.count) * (request.width.seconds + boardDescription.drivers.settling.seconds)
    return try await pulsing(request.cells, requests, cost: { Double($0) * seconds }, forming: request.kind == .forming)
  }

  /// Work that is never begun again after a lost answer: only what became of it is asked.
  private func pulsing<R: CellOperation>(
    _ cells: CellSelection, _ requests: [R], cost: (Int) -> Double, forming: Bool
  ) async throws -> CellReport where R.Response == CellResults {
    do {
      var waiting = Deque(try await open(requests, cost: cost))
      return try await report(
        cells, forming: forming, progress: nil, pending: { Array(waiting) }, next: { _ in waiting.popFirst() })
    } catch var error as BoardError where error.isOutcomeUnknown && configuration.retries > 0 {
      error.outcome = try? await settle(error)
      let unheard = await enterUnheard(error, of: cells)
      error.partial?.merge(unheard)
      throw error
    }
  }

  /// Gives SET–RESET cycles to every selected cell; the report holds pulses, two a cycle, and no conductances.
  public func cycle(_ request: CycleCells) async throws -> CellReport {
    try require(.cycleCells, for: "cycling cells")
    try check.check(request)
    try await checkWear(request.cells, pulses: 2 * request.count)
    try check.check(resetOf: request.cells, lastRead: book.lastRead)
    let requests = parts(request.cells).map { part in
      var piece = request
      piece.cells = part
      return piece
    }
    let settling = boardDescription.drivers.settling.seconds
    let seconds =
      Double(request.count) * (request.set.width.seconds + request.reset.width.seconds + 2 * settling)
    return try await pulsing(request.cells, requests, cost: { Double($0) * seconds }, forming: false)
  }

  /// Forms the selected cells one by one: a ramp of pulses, a read after each, until a cell conducts.
  ///
  /// - Throws: `permissionRequired` without ``Permissions/forming``.
  public func form(
    _ request: Form, permissions: Permissions, progress: (@Sendable (OperationProgress) -> Void)? = nil
  ) async throws -> CellReport {
    try require(.forming, in: permissions, for: "forming")
    try require(.form, for: "form")
    try check.check(request)
    try await checkWear(request.cells, pulses: request.steps)
    return try await working(on: request.cells) { board, cells in
      let requests = board.parts(cells).map { part in
        var piece = request
        piece.cells = part
        return (part, piece)
      }
      return try await board.reportStreaming(cells, requests, forming: true, progress: progress)
    }
  }

  /// Writes targets by board-run write-verify.
  ///
  /// Cells that do not converge are results with a reason, not errors. A request that is too large for the board is split;
  /// each part is an operation of its own, and the report and the progress are sums.
  public func writeVerify(
    _ request: WriteVerify, progress: (@Sendable (OperationProgress) -> Void)? = nil
  ) async throws -> CellReport {
    try require(.writeVerify, for: "write-verify")
    if request.needsStrategies { try require(.writeStrategies, for: "write-verify by another strategy") }
    try check.check(request)
    try await checkWear(request.cells, pulses: request.maximumPulses)
    let places = Dictionary(uniqueKeysWithValues: request.cells.indices.enumerated().map { ($1, $0) })
    var before: [WrittenCell] = []
    var mask = CellMask(cellCount: request.cells.block.cellCount)
    for (index, target) in zip(request.cells.indices, request.targets) {
      // Of a pair only the difference counts: what one of its cells was written to before says nothing.
      if !request.pairs, let known = configuration.writtenBefore?(request.cells.block.address(at: index), target) {
        before.append(known)
      } else {
        mask[index] = true
      }
    }
    var report = CellReport(selection: request.cells)
    report.enter(before)
    guard mask.selectedCount > 0 else { return report }
    let open = before.isEmpty ? request.cells : CellSelection(block: request.cells.block, mask: mask)
    let asked = shown(request)
    let found = try await working(on: open) { board, cells in
      let left = cells.indices.compactMap { places[$0] }
      var first = 0
      // Where somebody keeps what is finished, little is in the making at a time.
      let limit = board.configuration.cellsWritten == nil ? Int.max : Self.resumableCells
      let requests = board.parts(cells, bytesPerCell: request.bytesPerCell, limit: limit).map { part in
        defer { first += part.count }
        return (part, asked.part(left[first..<first + part.count], cells: part))
      }
      if request.pairs, let odd = requests.first(where: { !$0.0.count.isMultiple(of: 2) }) {
        throw BoardError(
          .badArgument,
          "\(odd.0.count) cells of \(odd.0.block) in one request: its limit of \(board.info.maximumRequestBytes) bytes cuts a pair",
          address: board.address)
      }
      return try await board.reportStreaming(
        cells, requests, forming: false, targets: left.map { request.targets[$0] }, progress: progress)
    }
    guard !before.isEmpty else { return found }
    report.merge(found)
    return report
  }

  /// Currents of the block's columns with its rows driven, amperes: I_c = Σ_r v_r · G_rc.
  public func matrixProduct(_ request: MatrixProduct) async throws -> [Float] {
    try require(.matrixProduct, for: "matrix product")
    try check.check(request)
    var currents: [Float] = []
    var ranges: [UInt8] = []
    var saturated = 0
    for try await page in try await responses(request) {
      try checkJoin(page.firstIndex == currents.count, "matrix_product")
      currents += page.currents
      ranges += page.ranges
      saturated += page.saturated
    }
    try checkJoin(currents.count == request.block.shape.columns, "matrix_product")
    guard saturated == 0 else {
      throw BoardError(
        .overRange,
        "\(saturated) conversions of \(currents.count) columns of \(request.block) lie beyond the converter: drive fewer rows, or lower voltages",
        address: address)
    }
    if let calibration {
      let voltage = defaultReadBias().bitLine
      for column in currents.indices {
        currents[column] = calibration.corrected(
          current: currents[column], macro: request.block.macro, column: request.block.firstColumn + column,
          range: ranges.count == currents.count ? Int(ranges[column]) : nil, voltage: voltage)
      }
    }
    return currents
  }

  /// Sets one bias converter; returns the voltage that its code stands for: what its channel makes of it is read back (`LOOPBACK_ADC`).
  public func setDAC(_ kind: DACKind, channel: Int, code: DACCode) async throws -> Volts {
    try require(.rawConverters, for: "setting converters")
    let request = SetDAC(kind: kind, channel: channel, code: code)
    try check.check(request)
    return try await exchange(request).voltage
  }

  /// Converts once.
  public func readADC(_ kind: ADCKind, channel: Int) async throws -> ADCResult {
    try require(.rawConverters, for: "reading converters")
    return try await exchange(ReadADC(kind: kind, channel: channel))
  }

  // MARK: parts

  private func readCost(_ bias: ReadBias) -> (Int) -> Double {
    let sensing = boardDescription.sensing
    let conversion = sensing.conversionTime.seconds + sensing.integrationTime.seconds
    return { Double($0 * bias.averages) * conversion }
  }

  /// Sends all parts at once, as far as the board has places; they are answered in order.
  ///
  /// - Parameter cost: seconds of chip time that so many cells take at most; real boards are silent that long.
  private func open<R: CellOperation>(
    _ requests: [R], cost: (Int) -> Double
  ) async throws -> [(part: CellSelection, stream: ResponseStream<R.Response>)] {
    var streams: [(part: CellSelection, stream: ResponseStream<R.Response>)] = []
    for request in requests {
      let part = request.body.cells ?? CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 0, columns: 0)))
      let allowance = Duration.seconds(2 * cost(part.count))
      streams.append((part, try await responses(request, limit: configuration.responseLimit + allowance)))
    }
    return streams
  }

  private typealias Part = (part: CellSelection, stream: ResponseStream<CellResults>)

  /// Keeps two parts with the board, so that it need not wait for the host between them.
  private func reportStreaming<R: StreamingRequest>(
    _ cells: CellSelection, _ requests: [(CellSelection, R)], forming: Bool, targets: [Float] = [],
    progress: (@Sendable (OperationProgress) -> Void)?
  ) async throws -> CellReport where R.Response == CellResults {
    var unsent = Deque(requests)
    var open: Deque<Part> = []
    return try await report(
      cells, forming: forming, targets: targets, progress: progress, pending: { Array(open) },
      next: { board in
        if open.isEmpty, let (part, request) = unsent.popFirst() {
          open.append((part, try await board.stream(request)))
        }
        let current = open.popFirst()
        if open.isEmpty, let (part, request) = unsent.first, let stream = try await board.streamNow(request) {
          unsent.removeFirst()
          open.append((part, stream))
        }
        return current
      })
  }

  /// Enters pulses into the books of the session and of whoever keeps the chip's.
  func enter(_ report: CellReport, isForming: Bool) {
    book.enter(report)
    guard report.totalPulses > 0 else { return }
    configuration.pulsed?(
      PulsesGiven(
        chip: info.chipID, macroShape: boardDescription.macros.shape, cells: report.selection, pulses: report.pulses,
        isForming: isForming))
  }

  /// Joins the answers of all parts; `next` gives one part after the other, `pending` those that have been sent beside it.
  private func report(
    _ cells: CellSelection, forming: Bool, targets: [Float] = [],
    progress: (@Sendable (OperationProgress) -> Void)?, pending: () -> [Part],
    next: (isolated Board) async throws -> Part?
  ) async throws -> CellReport {
    var report = CellReport(selection: cells)
    defer { enter(report, isForming: forming) }
    var done = OperationProgress(total: cells.count)
    var offset = 0
    // Cells that have been heard of.
    var said = [Bool](repeating: false, count: cells.count)
    let tell = targets.isEmpty ? nil : configuration.cellsWritten
    let addresses = tell == nil ? [] : report.addresses
    while let (part, stream) = try await next(self) {
      report.operationIDs.append(stream.operationID)
      var latest = OperationProgress()
      do {
        for try await page in stream {
          let results = corrected(page, of: part)
          try checkJoin(report.enter(results, offset: offset, partCount: part.count), "cell results")
          let heard =
            results.indices.isEmpty
            ? Array(offset + results.firstIndex..<offset + results.firstIndex + results.count)
            : results.indices.map { offset + Int($0) }
          let new = heard.filter { !said[$0] && report.reasons[$0] != .notReached }
          if !new.isEmpty {
            for k in new { said[k] = true }
            try tell?(new.map { report.written($0, at: addresses[$0], target: targets[$0]) })
          }
          latest = results.progress
          progress?(done.adding(latest))
        }
      } catch var error as BoardError {
        report.rounds = done.rounds + latest.rounds
        error.partial = report
        for (sent, stream) in [(part, stream)] + pending() {
          let places = offset..<offset + sent.count
          var mask = CellMask(cellCount: sent.block.cellCount)
          for (place, index) in zip(places, sent.indices) where !said[place] { mask[index] = true }
          error.unheard.append(
            UnheardOperation(
              id: stream.operationID, cells: CellSelection(block: sent.block, mask: mask),
              pulses: places.reduce(0) { $0 + Int(report.pulses[$1]) }, isForming: forming))
          offset += sent.count
        }
        throw error
      }
      done = done.adding(latest)
      offset += part.count
    }
    report.rounds = done.rounds
    return report
  }

  func checkJoin(_ joins: Bool, _ name: String) throws {
    if !joins {
      throw BoardError(.protocolViolation, "the parts of the answer to \(name) do not join", address: address)
    }
  }

  // MARK: calibration and wear

  /// Turns what reads show into conductances.
  private nonisolated func correct(_ values: inout [Float], of cells: CellSelection) {
    guard let calibration, values.count == cells.count else { return }
    for (place, index) in cells.indices.enumerated() {
      values[place] = calibration.corrected(values[place], cells.block.address(at: index))
    }
  }

  /// The same for cells that an operation tells of.
  private nonisolated func corrected(_ page: CellResults, of part: CellSelection) -> CellResults {
    guard let calibration, !page.conductance.isEmpty else { return page }
    var page = page
    let cells = Array(part.indices)
    for k in page.conductance.indices {
      let place = page.indices.isEmpty ? page.firstIndex + k : Int(page.indices[k])
      // A place outside is refused when the page is entered.
      guard cells.indices.contains(place) else { continue }
      page.conductance[k] = calibration.corrected(page.conductance[k], part.block.address(at: cells[place]))
    }
    return page
  }

  /// A write as the board's own reads see it.
  private nonisolated func shown(_ request: WriteVerify) -> WriteVerify {
    guard calibration != nil else { return request }
    var asked = request
    asked.targets = shown(request.targets, of: request.cells)
    asked.windows = zip(
      shown(request.windows.map(\.lowerBound), of: request.cells),
      shown(request.windows.map(\.upperBound), of: request.cells)
    ).map { $0...$1 }
    return asked
  }

  /// What reads will show of these targets; at the ends of the window the board's own limit holds.
  private nonisolated func shown(_ targets: [Float], of cells: CellSelection) -> [Float] {
    guard let calibration else { return targets }
    let window = Float(limits.conductance.lowerBound.rawValue)...Float(limits.conductance.upperBound.rawValue)
    return zip(targets, cells.indices).map { target, index in
      min(max(calibration.shown(target, cells.block.address(at: index)), window.lowerBound), window.upperBound)
    }
  }

  /// Refuses pulses beyond what a cell may get in its life or in this run, before anything is asked of the board.
  ///
  /// - Parameter asked: the most that one cell would get.
  public func checkLifetime(of cells: CellSelection, asked: Int) throws {
    try lookUpLife(ofMacro: cells.block.macro)
    try check.check(cells, pulses: asked, given: book)
  }

  private func lookUpLife(ofMacro macro: Int) throws {
    guard check.limits.pulsesPerLife != nil, let lookUp = configuration.lifetimePulses, book.lacksLife(ofMacro: macro)
    else { return }
    book.enter(life: try lookUp(info.chipID, macro), ofMacro: macro)
  }

  // MARK: what must be there

  /// Pulses in run and life, and the die's temperature, before cells are pulsed.
  private func checkWear(_ cells: CellSelection, pulses count: Int) async throws {
    try checkLifetime(of: cells, asked: count)
    try await checkTemperature()
  }

  /// Asks the board's sensor where the host's record is stricter than the board's, which looks itself.
  func checkTemperature() async throws {
    guard let range = check.limits.temperature, limitRecords.first?.limits.temperature != range else { return }
    try check.check(temperature: Celsius(try await readADC(.temperature, channel: 0).value))
  }

  private nonisolated func require(_ permission: Permissions, in given: Permissions, for act: String) throws {
    guard given.isSuperset(of: permission) else {
      throw BoardError(.permissionRequired, "\(act) needs the permission to form", address: address)
    }
  }

  nonisolated func require(_ capability: Capability, for act: String) throws {
    guard info.capabilities.contains(capability) else {
      throw BoardError(
        .unsupported, "\(act): the board \(info.board) lacks the capability \(capability)", address: address)
    }
  }
}

extension Form {
  /// Pulses that the whole ramp gives.
  fileprivate var steps: Int {
    let steps = ((ramp.stop - ramp.start) / ramp.step).rounded(.down)
    return steps.isFinite ? max(0, Int(min(steps, 1e9))) + 1 : 1
  }
}

extension OperationProgress {
  /// The sum; the total stays, it is that of the whole selection.
  fileprivate func adding(_ other: OperationProgress) -> OperationProgress {
    OperationProgress(
      finished: finished + other.finished, total: total, pulses: pulses + other.pulses, reads: reads + other.reads,
      rounds: rounds + other.rounds)
  }
}

extension RequestBody {
  /// The cells of a request for a selection.
  fileprivate var cells: CellSelection? {
    switch self {
    case .form(let request): request.cells
    case .pulse(let request): request.cells
    case .cycleCells(let request): request.cells
    case .readCells(let request): request.cells
    case .writeVerify(let request): request.cells
    default: nil
    }
  }
}
