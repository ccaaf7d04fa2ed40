import Glibc
import RRAMEmulator
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

/// Form, Pulse, ReadCells, WriteVerify and MatrixProduct as a host sees them.
@Suite(.timeLimit(.minutes(1)))
struct CellOperationTests {
  // MARK: Forming and reading

  @Test func formingMakesCellsConductAndTellsTheVoltage() async throws {
    let host = try BoardHost()
    try await host.hello()
    let pristine = try await host.read(BoardHost.block(4, 8))
    #expect(pristine.allSatisfy { $0 < 0.1e-6 })
    let results = try await host.form(BoardHost.block(4, 8))
    let result = try #require(results.last)
    #expect(result.firstIndex == 0 && result.count == 32)
    #expect(result.reasons.allSatisfy { $0 == .converged })
    // `ideal` forms at 3.0 V ± 10 mV, from 2.6 V by 0.1 V: the sixth pulse at the latest.
    #expect(result.formingVoltage.allSatisfy { $0 >= 2.9 && $0 <= 3.1 })
    #expect(result.pulses.allSatisfy { (4...6).contains($0) })
    #expect(zip(result.reads, result.pulses).allSatisfy { $0 == $1 + 1 })
    #expect(result.progress.finished == 32 && result.progress.total == 32)
    let formed = try await host.read(BoardHost.block(4, 8))
    #expect(formed.allSatisfy { abs($0 - 100e-6) < 0.1e-6 })
    // A formed cell gets no further pulse.
    let again = try #require(try await host.form(BoardHost.block(4, 8)).last)
    #expect(again.pulses.allSatisfy { $0 == 0 } && again.reads.allSatisfy { $0 == 1 })
    #expect(again.formingVoltage.allSatisfy { $0.isNaN })
    let counters = try await host.request(GetCounters())
    #expect(counters.formingPulses == result.pulses.reduce(0) { $0 + Int($1) })
    #expect(counters.pulses == counters.formingPulses)
    await host.board.close()
  }

  @Test func wholeMacroIsReadWithOneRequest() async throws {
    let host = try BoardHost()
    try await host.hello()
    #expect(try await host.read(BoardHost.block(64, 64, macro: 3)).count == 4096)
    await host.board.close()
  }

  @Test func partsOfAnAnswerFollowWithoutGaps() async throws {
    let host = try BoardHost(board: "multiplexed")
    try await host.hello()
    let messages = try await host.exchange(
      .readCells(ReadCells(cells: BoardHost.block(64, 64), bias: BoardHost.readBias)))
    var next = 0
    for message in messages {
      let part = try message.response(as: Conductances.self)
      #expect(part.firstIndex == next)
      next += part.conductance.count
    }
    #expect(next == 4096)
    // 4 096 bytes a frame, of which bulk data take 3 584.
    #expect(messages.count == 5)
    await host.board.close()
  }

  @Test func maskSelectsCellsInRowMajorOrder() async throws {
    let host = try BoardHost()
    try await host.hello()
    let block = CellBlock(macro: 1, firstRow: 3, firstColumn: 5, shape: MacroShape(rows: 2, columns: 3))
    let mask = CellMask([true, false, false, false, false, true])
    try await host.form(CellSelection(block: block, mask: mask))
    let all = try await host.read(CellSelection(block: block))
    #expect(all.map { $0 > 1e-6 } == [true, false, false, false, false, true])
    let outside = CellBlock(macro: 1, firstRow: 2, firstColumn: 4, shape: MacroShape(rows: 4, columns: 5))
    #expect(try await host.read(CellSelection(block: outside)).count { $0 > 1e-6 } == 2)
    await host.board.close()
  }

  @Test(arguments: [
    CellBlock(macro: 4, shape: MacroShape(rows: 1, columns: 1)),
    CellBlock(macro: 0, firstRow: 64, shape: MacroShape(rows: 1, columns: 1)),
    CellBlock(macro: 0, firstColumn: 60, shape: MacroShape(rows: 1, columns: 5)),
    CellBlock(macro: 0, shape: MacroShape(rows: 0, columns: 1)),
  ])
  func blocksOutsideTheMacrosAreRefused(block: CellBlock) async throws {
    let host = try BoardHost()
    try await host.hello()
    let answer = try await host.failure(
      .readCells(ReadCells(cells: CellSelection(block: block), bias: BoardHost.readBias)))
    #expect(answer.status == .badArgument)
    await host.board.close()
  }

  // MARK: Pulses and limits

  @Test func pulsesMoveCellsBothWays() async throws {
    let host = try BoardHost()
    try await host.hello()
    let cells = BoardHost.block(1, 4)
    try await host.form(cells)
    let before = try await host.read(cells)
    let reset = Pulse(
      cells: cells, kind: .reset, wordLine: Volts(3), sourceLine: Volts(2.2), width: .microseconds(1), count: 3)
    let results = try await host.cellResults(.pulse(reset))
    #expect(results.last?.pulses == [3, 3, 3, 3])
    let low = try await host.read(cells)
    #expect(zip(low, before).allSatisfy { $0 < $1 - 1e-6 })
    let set = Pulse(cells: cells, kind: .set, wordLine: Volts(2), bitLine: Volts(2.3), width: .microseconds(1))
    _ = try await host.cellResults(.pulse(set))
    let high = try await host.read(cells)
    #expect(zip(high, low).allSatisfy { $0 > $1 + 1e-6 })
    let counters = try await host.request(GetCounters())
    #expect(counters.resetPulses == 12 && counters.setPulses == 4)
    #expect(try await host.request(GetLabel(macro: 0)).writeCounter == 3)
    await host.board.close()
  }

  struct Excess: Sendable, CustomTestStringConvertible {
    var name: String
    var pulse: Pulse
    var limit: Refusal.Limit
    var asked: Double
    var range: ClosedRange<Double>
    var testDescription: String { name }

    init(
      _ name: String, kind: PulseKind = .set, wordLine: Double = 2, bitLine: Double = 0, sourceLine: Double = 0,
      width: Duration = .microseconds(1), count: Int = 1, _ limit: Refusal.Limit, _ asked: Double,
      _ range: ClosedRange<Double>
    ) {
      self.name = name
      pulse = Pulse(
        cells: BoardHost.block(2, 2, macro: 1), kind: kind, wordLine: Volts(wordLine), bitLine: Volts(bitLine),
        sourceLine: Volts(sourceLine), width: width, count: count)
      self.limit = limit
      self.asked = asked
      self.range = range
    }
  }

  @Test(arguments: [
    Excess("word line", wordLine: 3.4, bitLine: 2, .wordLine, 3.4, 0...3.3),
    Excess("bit line", bitLine: 2.7, .bitLine, 2.7, 0...2.6),
    Excess("negative bit line", bitLine: -0.1, .bitLine, -0.1, 0...2.6),
    Excess("source line", kind: .reset, sourceLine: 2.61, .sourceLine, 2.61, 0...2.6),
    Excess("forming", kind: .forming, bitLine: 3.7, .forming, 3.7, 0...3.6),
    Excess("long pulse", bitLine: 2, width: .microseconds(101), .pulseWidth, 101_000, 20...100_000),
    Excess("short pulse", bitLine: 2, width: .nanoseconds(10), .pulseWidth, 10, 20...100_000),
    Excess("many pulses", bitLine: 2, count: 10_001, .pulseCount, 10_001, 0...10_000),
  ])
  func whatExceedsALimitIsRefusedAndNothingIsDone(excess: Excess) async throws {
    let host = try BoardHost()
    try await host.hello()
    let answer = try await host.failure(.pulse(excess.pulse))
    #expect(answer.status == .limitRefused)
    let refusal = try #require(answer.refusal)
    #expect(refusal.limit == excess.limit)
    #expect(abs(refusal.asked - excess.asked) < 1e-6)
    #expect(abs(refusal.minimum - excess.range.lowerBound) < 1e-6)
    #expect(abs(refusal.maximum - excess.range.upperBound) < 1e-6)
    #expect(refusal.cell == BoardHost.block(1, 1, macro: 1).block)
    #expect(try await host.request(GetCounters()).pulses == 0)
    #expect(try await host.request(GetLabel(macro: 1)).writeCounter == 0)
    await host.board.close()
  }

  @Test func exactlyTheLimitIsAllowed() async throws {
    let host = try BoardHost()
    try await host.hello()
    let pulse = Pulse(
      cells: BoardHost.block(1, 1), kind: .set, wordLine: Volts(3.3), bitLine: Volts(2.6), width: .microseconds(100))
    #expect(try await host.failure(.pulse(pulse)).status == .ok)
    await host.board.close()
  }

  @Test func targetOutsideTheWindowNamesItsCell() async throws {
    let host = try BoardHost()
    try await host.hello()
    let answer = try await host.failure(
      .writeVerify(try host.writeVerify(BoardHost.block(2, 2), targets: [10e-6, 10e-6, 151e-6, 10e-6])))
    let refusal = try #require(answer.refusal)
    #expect(refusal.limit == .conductance)
    #expect(refusal.cell?.firstRow == 1 && refusal.cell?.firstColumn == 0)
    #expect(try await host.request(GetCounters()).reads == 0)
    await host.board.close()
  }

  // MARK: Operations

  @Test func repeatedIdIsAnsweredFromMemory() async throws {
    let host = try BoardHost()
    try await host.hello()
    try await host.form(BoardHost.block(1, 2))
    let pulse = RequestBody.pulse(
      Pulse(cells: BoardHost.block(1, 2), kind: .set, wordLine: Volts(2), bitLine: Volts(2), width: .microseconds(1)))
    let id = host.newOperationID()
    _ = try await host.exchange(pulse, id: id)
    let pulses = try await host.request(GetCounters()).pulses
    let again = try #require(try await host.exchange(pulse, id: id).first)
    #expect(again.status == .ok)
    let expected = OperationState(operationID: id, state: .done, finished: 2, total: 2, pulses: 2, reads: 0)
    #expect(try again.response(as: OperationState.self) == expected)
    #expect(try await host.request(GetOperation(operationID: id)) == expected)
    #expect(try await host.request(GetCounters()).pulses == pulses)
    await host.board.close()
  }

  @Test func sixtyFourOperationsAreRemembered() async throws {
    let host = try BoardHost()
    try await host.hello()
    for id in 1...65 {
      _ = try await host.exchange(
        .readCells(ReadCells(cells: BoardHost.block(1, 1), bias: BoardHost.readBias)), id: UInt64(id))
    }
    #expect(try await host.request(GetOperation(operationID: 1)).state == .unknown)
    #expect(try await host.request(GetOperation(operationID: 2)).state == .done)
    await host.board.close()
  }

  @Test func withoutCreditAStreamWaitsAndEverythingElseGoesOn() async throws {
    let host = try BoardHost()
    try await host.hello()
    let stream = try await host.send(.form(try host.formRequest(BoardHost.block(2, 2), credit: 0)))
    #expect(try await host.request(Heartbeat()).queuedOperations == 1)
    // Another macro goes on, the same one waits.
    #expect(try await host.read(BoardHost.block(1, 1, macro: 1)).count == 1)
    let behind = try await host.send(
      .readCells(ReadCells(cells: BoardHost.block(1, 1), bias: BoardHost.readBias)))
    #expect(try await host.request(Heartbeat()).queuedOperations == 2)
    try await host.send(.credit(Credit(sequence: stream, frames: 1)))
    #expect(try await host.responses(to: stream).last?.status == .ok)
    let read = try await host.responses(to: behind)
    // Behind the forming: the cell conducts.
    #expect(try #require(read.first).response(as: Conductances.self).conductance[0] > 1e-6)
    await host.board.close()
  }

  @Test func safeAndAbortOvertakeAStreamWithoutCredit() async throws {
    let host = try BoardHost()
    try await host.hello()
    let stream = try await host.send(.form(try host.formRequest(BoardHost.block(2, 2), credit: 0)))
    #expect(try await host.request(Abort(operationID: 0)).abortedOperations == 1)
    #expect(try await host.responses(to: stream).last?.status == .aborted)
    let second = try await host.send(.form(try host.formRequest(BoardHost.block(2, 2), credit: 0)))
    #expect(try await host.request(Safe()).abortedOperations == 1)
    #expect(try await host.responses(to: second).last?.status == .aborted)
    await host.board.close()
  }

  @Test func operationsOnAMacroKeepTheirOrder() async throws {
    let host = try BoardHost()
    try await host.hello()
    let cells = BoardHost.block(1, 1)
    let read = RequestBody.readCells(ReadCells(cells: cells, bias: BoardHost.readBias))
    let first = try await host.send(read)
    let form = try await host.send(.form(try host.formRequest(cells)))
    let second = try await host.send(read)
    let before = try #require(try await host.responses(to: first).first).response(as: Conductances.self)
    #expect(try await host.responses(to: form).last?.status == .ok)
    let after = try #require(try await host.responses(to: second).first).response(as: Conductances.self)
    #expect(before.conductance[0] < 1e-6 && after.conductance[0] > 1e-6)
    await host.board.close()
  }

  @Test func fullQueueSaysBusy() async throws {
    let host = try BoardHost(board: "multiplexed")
    try await host.hello()
    for _ in 0..<2 { try await host.send(.form(try host.formRequest(BoardHost.block(1, 1), credit: 0))) }
    let answer = try await host.failure(.readCells(ReadCells(cells: BoardHost.block(1, 1), bias: BoardHost.readBias)))
    #expect(answer.status == .busy)
    await host.board.close()
  }

  // MARK: Write-verify

  /// Targets spread over a window, by a fixed permutation.
  static func targets(_ count: Int, _ low: Float, _ high: Float) -> [Float] {
    (0..<count).map { low + (high - low) * Float($0 * 37 % count) / Float(count - 1) }
  }

  @Test(arguments: [("ideal", 1.0, 3e-6 as Float, 148e-6 as Float), ("cmo-hfox", 0.98, 12e-6, 88e-6)])
  func writeVerifyConverges(profile: String, share: Double, low: Float, high: Float) async throws {
    // Seed 1, n = 256 cells; of `cmo-hfox` 0.03 % are stuck, the rest must pass at the profile's tolerance.
    let host = try BoardHost(profile: profile)
    try await host.hello()
    let cells = BoardHost.block(4, 64)
    try await host.form(cells, profile: profile)
    let targets = Self.targets(256, low, high)
    let request = try host.writeVerify(cells, targets: targets, profile: profile)
    let results = try await host.cellResults(.writeVerify(request))
    let reasons = results.flatMap(\.reasons)
    #expect(reasons.count == 256)
    #expect(Double(reasons.count { $0 == .converged }) >= share * 256)
    for (index, conductance) in results.flatMap(\.conductance).enumerated() where reasons[index] == .converged {
      #expect(abs(Double(conductance) - Double(targets[index])) <= request.tolerance.rawValue)
    }
    let progress = try #require(results.last).progress
    #expect(progress.finished == 256)
    #expect(progress.pulses == results.flatMap(\.pulses).reduce(0) { $0 + Int($1) })
    #expect(progress.reads == results.flatMap(\.reads).reduce(0) { $0 + Int($1) })
    let counters = try await host.request(GetCounters())
    #expect(counters.setPulses + counters.resetPulses == progress.pulses)
    await host.board.close()
  }

  @Test func pristineCellsAreNotPulsed() async throws {
    let host = try BoardHost()
    try await host.hello()
    let results = try await host.cellResults(
      .writeVerify(try host.writeVerify(BoardHost.block(1, 2), targets: [10e-6, 20e-6])))
    #expect(try #require(results.last).reasons == [.notFormed, .notFormed])
    #expect(try await host.request(GetCounters()).pulses == 0)
    #expect(try await host.request(GetLabel(macro: 0)).writeCounter == 0)
    await host.board.close()
  }

  @Test func stuckCellsAreToldFromSlowOnes() async throws {
    // Every cell is made stuck low: it forms and then stays at the lower asymptote, 1 µS.
    let host = try BoardHost(changing: { profile, _ in profile.cells.stuckLowFraction = 1 })
    try await host.hello()
    let cells = BoardHost.block(1, 4)
    let profile = try ChipProfile.named("ideal")
    _ = try await host.exchange(
      .form(
        Form(
          cells: cells, ramp: BoardHost.ramp(profile.programming.forming), read: BoardHost.readBias,
          stopConductance: .microsiemens(0.5), credit: 10)))
    let results = try await host.cellResults(
      .writeVerify(try host.writeVerify(cells, targets: [50e-6, 60e-6, 70e-6, 80e-6])))
    let last = try #require(results.last)
    #expect(last.reasons == [.stuckLow, .stuckLow, .stuckLow, .stuckLow])
    #expect(last.pulses.allSatisfy { $0 < 60 })
    await host.board.close()
  }

  @Test func pulseAndReversalLimitsEndACell() async throws {
    let host = try BoardHost()
    try await host.hello()
    let cells = BoardHost.block(1, 2)
    try await host.form(cells)
    var request = try host.writeVerify(cells, targets: [20e-6, 30e-6])
    request.maximumPulses = 3
    let limited = try #require(try await host.cellResults(.writeVerify(request)).last)
    #expect(limited.reasons == [.pulseLimit, .pulseLimit] && limited.pulses == [3, 3])
    // Ramps that begin at their ends overshoot the target every time.
    request.maximumPulses = 400
    request.maximumReversals = 2
    request.set.start = request.set.stop
    request.reset.start = request.reset.stop
    let oscillating = try #require(try await host.cellResults(.writeVerify(request)).last)
    #expect(oscillating.reasons == [.oscillating, .oscillating])
    await host.board.close()
  }

  /// A host that dies between two rounds has the results of the cells that were finished before.
  @Test func finishedCellsAreToldOfBetweenTheRounds() async throws {
    let host = try BoardHost(profile: "cmo-hfox")
    try await host.hello()
    let cells = BoardHost.block(2, 64)
    try await host.form(cells, profile: "cmo-hfox")
    let request = try host.writeVerify(cells, targets: Self.targets(128, 12e-6, 88e-6), profile: "cmo-hfox")
    let frames = try await host.exchange(.writeVerify(request)).map { try $0.response(as: CellResults.self) }
    let inOrder = frames.filter(\.indices.isEmpty)
    let (conductance, pulses) = (inOrder.flatMap(\.conductance), inOrder.flatMap(\.pulses))
    var told: Set<UInt32> = []
    for frame in frames where !frame.indices.isEmpty {
      for (k, index) in frame.indices.enumerated() {
        #expect(told.insert(index).inserted)
        #expect(frame.conductance[k] == conductance[Int(index)] && frame.pulses[k] == pulses[Int(index)])
        #expect(frame.reasons[k] == .converged)
      }
      #expect(frame.progress.finished >= told.count)
    }
    // All but those that the last round finished.
    #expect(told.count > 64 && told.count <= 128)
    await host.board.close()
  }

  /// Less than one step of the driver is 0 V, and no fault of the board.
  @Test func aReadBelowOneStepOfTheDriverIsRefused() async throws {
    let host = try BoardHost()
    try await host.hello()
    let bias = ReadBias(wordLine: Volts(1.1), bitLine: Volts(3e-6), averages: 1)
    let refused = try await host.failure(.readCells(ReadCells(cells: BoardHost.block(1, 2), bias: bias)))
    #expect(refused.status == .badArgument)
    #expect(try await host.request(GetCounters()).faults.isEmpty)
    await host.board.close()
  }

  @Test func confirmingReadsAreCounted() async throws {
    let host = try BoardHost()
    try await host.hello()
    let cells = BoardHost.block(1, 8)
    try await host.form(cells)
    var request = try host.writeVerify(cells, targets: Self.targets(8, 10e-6, 90e-6))
    request.tolerance = .microsiemens(0.5)
    request.confirmReads = 5
    let result = try #require(try await host.cellResults(.writeVerify(request)).last)
    #expect(result.reasons.allSatisfy { $0 == .converged })
    // A first read, one after each pulse, and five that confirm.
    #expect(zip(result.reads, result.pulses).allSatisfy { $0 == $1 + 6 })
    await host.board.close()
  }

  @Test func abortInMidWriteVerifyTellsHowFarItCame() async throws {
    let host = try BoardHost(profile: "cmo-hfox")
    try await host.hello()
    let cells = BoardHost.block(2, 64)
    try await host.form(cells, profile: "cmo-hfox")
    let formed = try await host.request(GetCounters()).pulses
    // Two frames of progress, then the stream waits in the third round.
    let id = host.newOperationID()
    let stream = try await host.send(
      .writeVerify(
        try host.writeVerify(cells, targets: Self.targets(128, 12e-6, 88e-6), profile: "cmo-hfox", credit: 2)),
      id: id)
    for round in 1...2 {
      let (message, more) = try await host.frame(of: stream)
      #expect(more)
      #expect(try message.response(as: CellResults.self).progress.rounds == round)
    }
    #expect(try await host.request(Abort(operationID: id)).abortedOperations == 1)
    let rest = try await host.responses(to: stream)
    // The grant is used up: beside it only the frame that ends the response may come.
    #expect(rest.map(\.status) == [.aborted])
    let results = try rest.map { try $0.response(as: CellResults.self) }
    #expect(results.reduce(0) { $0 + $1.count } == 128)
    #expect(results.flatMap(\.reasons).contains(.notReached))
    let pulses = results.flatMap(\.pulses).reduce(0) { $0 + Int($1) }
    #expect(pulses > 0)
    #expect(try await host.request(GetCounters()).pulses - formed == pulses)
    let state = try await host.request(GetOperation(operationID: id))
    #expect(state.state == .aborted && state.pulses == pulses)
    await host.board.close()
  }

  // MARK: Matrix product

  @Test func matrixProductIsTheSumOfTheCells() async throws {
    let host = try BoardHost()
    try await host.hello()
    let cells = BoardHost.block(3, 4)
    try await host.form(cells)
    _ = try await host.cellResults(.writeVerify(try host.writeVerify(cells, targets: Self.targets(12, 10e-6, 120e-6))))
    let conductances = try await host.read(cells)
    let inputs: [Float] = [0.1, -0.05, 0.2]
    let result = try await host.request(MatrixProduct(block: cells.block, inputs: inputs, wordLine: Volts(1.1)))
    #expect(result.currents.count == 4)
    for (column, current) in result.currents.enumerated() {
      let expected = (0..<3).reduce(Float(0)) { $0 + inputs[$1] * conductances[$1 * 4 + column] }
      // Four times the converter's noise of 8 µV behind 10 kΩ, and the cells' own reading errors.
      #expect(abs(current - expected) < 5e-9)
    }
    let refused = try await host.failure(
      .matrixProduct(MatrixProduct(block: cells.block, inputs: [0, 0.31, 0], wordLine: Volts(1.1))))
    #expect(refused.refusal?.limit == .read)
    #expect(refused.refusal?.cell?.firstRow == 1)
    await host.board.close()
  }

  @Test("a product follows sinh, polarity and gate of the cells as single reads of each do")
  func matrixProductOfCellsThatAreNotOhmic() async throws {
    let host = try BoardHost { profile, _ in
      profile.cells.curvature = 4
      profile.cells.polarity = 0.8
      profile.cells.selectorResistance = Ohms(3000)
    }
    try await host.hello()
    let cells = BoardHost.block(2, 3)
    try await host.form(cells)
    _ = try await host.cellResults(.writeVerify(try host.writeVerify(cells, targets: Self.targets(6, 20e-6, 120e-6))))
    let conductances = try await host.read(cells).map(Double.init)
    for (gate, inputs) in [(1.1, [0.1, -0.2]), (0.8, [0.25, 0.05]), (2, [-0.05, -0.3])] as [(Double, [Double])] {
      let result = try await host.request(
        MatrixProduct(block: cells.block, inputs: inputs.map { Float($0) }, wordLine: Volts(gate)))
      for (column, current) in result.currents.enumerated() {
        let expected = (0..<2).reduce(0.0) { sum, row in
          let seen = 1 / (1 / conductances[row * 3 + column] + 3000 * (0.6 / (gate - 0.5) - 1))
          let v = inputs[row]
          return sum + seen * 0.2 * sinh(4 * v) / sinh(0.8) * (v < 0 ? 0.8 : 1)
        }
        // As above, and half a percent for the steps of the word line's driver.
        #expect(abs(Double(current) - expected) < 5e-9 + 5e-3 * abs(expected), "gate \(gate), column \(column)")
      }
    }
    await host.board.close()
  }

  // MARK: Determinism

  @Test func sameSeedGivesTheSameChip() async throws {
    var reads: [[Float]] = []
    for seed in [3, 3, 4] as [UInt64] {
      let host = try BoardHost(profile: "cmo-hfox", seed: seed)
      try await host.hello()
      try await host.form(BoardHost.block(2, 16), profile: "cmo-hfox")
      reads.append(try await host.read(BoardHost.block(2, 16)))
      await host.board.close()
    }
    #expect(reads[0] == reads[1])
    #expect(reads[0] != reads[2])
  }
}
