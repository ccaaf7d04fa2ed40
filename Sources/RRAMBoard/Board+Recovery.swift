internal import RRAMUnits
public import RRAMWire

extension Board {
  /// Asks the board what became of an operation whose answer was lost, and ends it if it is still at it.
  ///
  /// After a restart of the board its memory is gone: a new session is opened, and the cells have to be read.
  /// - Returns: what the board remembers; `nil` if nothing.
  /// - Throws: `BoardError` if the board cannot be asked.
  @discardableResult
  public func settle(_ error: BoardError) async throws -> OperationState? {
    if error.code == .rebooted {
      try await resumeIfNeeded()
      return nil
    }
    guard let id = error.operationID else { return nil }
    let state = try await ended(id)
    return state.state == .unknown ? nil : state
  }

  /// Enters the pulses of operations of which not all was heard, as the board has counted them, and ends those that are still at it.
  ///
  /// The board counts an operation's pulses, not a cell's: the cells that were not heard of get equal shares, and the sum is right.
  /// - Returns: a report of these pulses and nothing else.
  func enterUnheard(_ error: BoardError, of cells: CellSelection) async -> CellReport {
    var sum = CellReport(selection: cells)
    for operation in error.unheard where operation.cells.count > 0 {
      guard let state = try? await ended(operation.id), state.pulses > operation.pulses else { continue }
      let (share, rest) = (state.pulses - operation.pulses).quotientAndRemainder(dividingBy: operation.cells.count)
      var report = CellReport(selection: operation.cells)
      for k in report.pulses.indices { report.pulses[k] = UInt32(clamping: share + (k < rest ? 1 : 0)) }
      enter(report, isForming: operation.isForming)
      sum.merge(report)
    }
    return sum
  }

  /// Where an operation stands once it does nothing more.
  private func ended(_ id: UInt64) async throws -> OperationState {
    let state = try await operationState(id)
    // Its request may still be under way behind the question: an operation that is not known yet is none that has ended.
    guard state.state == .unknown || state.state == .queued || state.state == .running else { return state }
    try await abort(id)
    return try await operationState(id)
  }

  /// Does `body` again where an answer was lost and asking twice changes nothing.
  func asking<R>(_ body: (isolated Board) async throws -> R) async throws -> R {
    var left = configuration.retries
    var isRepeated = false
    while true {
      do {
        // A restart may have come to light after the answer was given up, by a late frame or an event.
        if isRepeated { try await resumeIfNeeded() }
        return try await body(self)
      } catch let error as BoardError where error.isOutcomeUnknown && left > 0 {
        left -= 1
        isRepeated = true
      }
    }
  }

  /// Works on a selection until every cell of it has ended: after a lost answer the board is asked, the operation ended, and a new one
  /// begun for the cells of which nothing was heard. Both kinds of work read a cell before they pulse it.
  func working(
    on cells: CellSelection, _ body: (isolated Board, CellSelection) async throws -> CellReport
  ) async throws -> CellReport {
    var report = CellReport(selection: cells)
    var open = cells
    var left = configuration.retries
    while true {
      do {
        // A restart may have come to light between two pieces of work, by a heartbeat: nothing of this one has been asked for yet.
        if configuration.retries > 0 { try await resumeIfNeeded() }
        report.merge(try await body(self, open))
        return report
      } catch var error as BoardError {
        if let partial = error.partial {
          report.merge(partial)
          error.partial = report
        }
        // An answer that is not this operation's (a doubled frame, say) leaves just as open what became of it.
        guard error.isOutcomeUnknown || error.code == .protocolViolation, configuration.retries > 0 else { throw error }
        do {
          error.outcome = try await settle(error)
        } catch {
          // The first failure is the one to tell of.
        }
        report.merge(await enterUnheard(error, of: cells))
        if error.partial != nil { error.partial = report }
        guard left > 0 else { throw error }
        left -= 1
        let done = Set(report.finished)
        var mask = CellMask(cellCount: cells.block.cellCount)
        for (k, index) in cells.indices.enumerated() where !done.contains(k) { mask[index] = true }
        guard mask.selectedCount > 0 else { return report }
        open = CellSelection(block: cells.block, mask: mask)
      }
    }
  }
}

extension RequestBody {
  /// Asking twice is as good as asking once. What is not known to be so is not asked twice.
  var isIdempotent: Bool {
    switch self {
    case .hello, .getDescription, .getLimits, .safe, .abort, .heartbeat, .getOperation, .getCounters, .getLabel,
      .setLabel, .setTrigger, .readCells, .setDAC, .readADC, .matrixProduct, .configureLoop, .uploadSchedule:
      true
    default: false
    }
  }
}
