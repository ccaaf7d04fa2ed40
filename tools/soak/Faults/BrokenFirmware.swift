package import RRAMTransport
import RRAMUnits
package import RRAMWire

/// Honest firmware with somebody between it and the host who breaks one rule.
///
/// What the fault takes from the host and answers itself travels on as a heartbeat, whose answer is then rewritten.
package final class BrokenFirmware: InterruptibleTransport {
  /// The one thing that is wrong.
  package enum Fault: String, CaseIterable, Sendable {
    case ignoresPayloadCheck, ignoresHeaderCheck, looksInsideBadFrames, keepsBadFramesToItself
    case ignoresAbort, abortsAsDone, ignoresSafe, ignoresResync, forgetsWatchdog, remembersOldStatus
    case ignoresCredit, losesMore, skipsCells, blocksBehindStreams, overtakesStreams
    case executesRepeatedIDs, forgetsOperations, wantsNoOperationIDs
    case clampsVoltages, clampsCounts, refusesWithoutNumbers, countsNoReads, countsNoPulses, raisesNoTrigger
    case acceptsAnyVersion, servesBeforeHello, acceptsUnknownRequests, acceptsNaN
    case drawsBootIDs, turnsBackTheClock, cutsSequences
    case survivesReset, survivesSuspend, ignoresLoopCredit, skipsSamples, ignoresAbortOfLoops, readsBackNothing

    /// The check that is there for it.
    package var check: String {
      switch self {
      case .ignoresPayloadCheck, .keepsBadFramesToItself: "framing.payload-check"
      case .ignoresHeaderCheck: "framing.header-check"
      case .looksInsideBadFrames: "framing.payload-inside"
      case .ignoresAbort, .abortsAsDone: "abort.one"
      case .ignoresSafe: "safe.frame"
      case .ignoresResync: "safe.resync"
      case .forgetsWatchdog: "safe.watchdog"
      case .remembersOldStatus: "safe.status"
      case .ignoresCredit, .losesMore, .skipsCells: "streams.credit"
      case .blocksBehindStreams: "streams.others"
      case .overtakesStreams: "order.behind"
      case .executesRepeatedIDs: "operations.repeated"
      case .forgetsOperations: "operations.done"
      case .wantsNoOperationIDs: "messages.operation-id"
      case .clampsVoltages: "limits.bit-line"
      case .clampsCounts: "limits.pulse-count"
      case .refusesWithoutNumbers: "limits.read"
      case .countsNoReads: "counters.reads"
      case .countsNoPulses: "counters.pulses"
      case .raisesNoTrigger: "counters.triggers"
      case .acceptsAnyVersion: "versions.too-new"
      case .servesBeforeHello: "session.hello-first"
      case .acceptsUnknownRequests: "messages.unknown-body"
      case .acceptsNaN: "messages.not-finite"
      case .drawsBootIDs: "answers.boot-id"
      case .turnsBackTheClock: "answers.time"
      case .cutsSequences: "answers.sequence"
      case .survivesReset: "safe.bus-reset"
      case .survivesSuspend: "safe.bus-suspend"
      case .ignoresLoopCredit, .skipsSamples: "loop.stream"
      case .ignoresAbortOfLoops: "loop.abort"
      case .readsBackNothing: "loop.loopback"
      }
    }
  }

  package let address: String
  package let events: AsyncStream<TransportEvent>
  private let fault: Fault
  private let limits: WireLimits
  private let link: BusLink
  private let state = Monitor(State())
  private let feeder: Task<Void, Never>?

  private struct State {
    /// Bytes of the host that are no whole frame yet.
    var pending: [UInt8] = []
    var decoder = FrameDecoder(maximumPayloadBytes: 1 << 20)
    /// Answers to write over those that come.
    var rewrites: [UInt32: ResponseBody] = [:]
    /// Answers the host never asked for.
    var swallowed: Set<UInt32> = []
    /// Streams under way.
    var streams: Set<UInt32> = []
    var runs: Set<UInt64> = []
    var operations: Set<UInt64> = []
    var status: [UInt8]?
    var hasSession = false
    var answers: UInt64 = 0
  }

  package init(_ fault: Fault, on link: BusLink, limits: WireLimits, watchdog: Duration) {
    self.fault = fault
    self.limits = limits
    self.link = link
    address = link.address
    events = link.events
    feeder =
      fault == .forgetsWatchdog
      ? Task {
        while !Task.isCancelled {
          _ = try? await link.control(.status)
          try? await Task.sleep(for: watchdog / 5)
        }
      } : nil
  }

  package func close() async {
    feeder?.cancel()
    await link.close()
  }

  package var interruptions: Set<BusInterruption> { link.interruptions }

  package func interrupt(_ interruption: BusInterruption) async throws(TransportError) -> [UInt8] {
    switch (fault, interruption) {
    case (.survivesReset, .reset), (.survivesSuspend, .suspend): return try link.status()
    default: return try await link.interrupt(interruption)
    }
  }

  package func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    if fault == .ignoresResync, request == .resync { return [] }
    if request == .resync {
      state.withLock {
        $0.pending = []
        $0.hasSession = false
      }
    }
    let answer = try await link.control(request, data: data)
    guard fault == .remembersOldStatus, request == .status else { return answer }
    return state.withLock { state in
      state.status = state.status ?? answer
      return state.status ?? answer
    }
  }

  // MARK: Host to board

  package func send(_ bytes: [UInt8]) async throws(TransportError) {
    let out = state.withLock { state in
      state.pending += bytes
      return forward(&state)
    }
    if !out.isEmpty { try await link.send(out) }
  }

  /// What the firmware gets to see of the bytes so far.
  private func forward(_ state: inout State) -> [UInt8] {
    var out: [UInt8] = []
    while !state.pending.isEmpty {
      let bytes = state.pending
      guard bytes[0] == 0x52 else {
        out.append(state.pending.removeFirst())
        continue
      }
      guard bytes.count >= Frame.headerBytes else {
        if bytes.count > 1, bytes[1] != 0x52 {
          out.append(state.pending.removeFirst())
          continue
        }
        return out
      }
      let length = Int(number(bytes[8..<12]))
      let isHeader = bytes[1] == 0x52 && bytes[2] == Frame.version && length <= 1 << 16
      let checks = CRC32.checksum(Array(bytes[0..<12])) == number(bytes[12..<16])
      guard isHeader, checks || fault == .ignoresHeaderCheck else {
        out.append(state.pending.removeFirst())
        continue
      }
      let size = Frame.overheadBytes + length
      guard bytes.count >= size else { return out }
      state.pending.removeFirst(size)
      let payload = Array(bytes[16..<16 + length])
      let isIntact = (length == 0 ? 0 : CRC32.checksum(payload)) == number(bytes[(16 + length)..<size])
      guard isIntact || fault == .ignoresPayloadCheck else {
        out += fault == .looksInsideBadFrames ? payload : Array(bytes[0..<size])
        continue
      }
      out += request(payload, sequence: number(bytes[4..<8]), flags: bytes[3], &state)
    }
    return out
  }

  private func request(_ payload: [UInt8], sequence: UInt32, flags: UInt8, _ state: inout State) -> [UInt8] {
    func frame(_ payload: [UInt8], _ sequence: UInt32) -> [UInt8] {
      let encoder = FrameEncoder(maximumPayloadBytes: 1 << 20)
      return (try? encoder.encode(Frame(flags: Frame.Flags(rawValue: flags), sequence: sequence, payload: payload)))
        ?? []
    }
    func instead(_ body: ResponseBody?) -> [UInt8] {
      state.rewrites[sequence] = body
      return frame((try? RequestMessage(body: .heartbeat(Heartbeat())).payload()) ?? [], sequence)
    }
    guard var message = try? RequestMessage(payload: payload) else {
      switch fault {
      case .acceptsUnknownRequests, .acceptsNaN: return instead(nil)
      case .wantsNoOperationIDs: return frame([0x08, 0x7F] + payload, sequence)
      default: return frame(payload, sequence)
      }
    }
    var out: [UInt8] = []
    switch (fault, message.body) {
    case (.ignoresAbort, .abort): return instead(.abort(AbortResult(abortedOperations: 1)))
    case (.ignoresAbortOfLoops, .abort(let abort)) where state.runs.contains(abort.operationID):
      return instead(.abort(AbortResult(abortedOperations: 1)))
    case (.ignoresLoopCredit, .runLoop(var run)):
      run.credit = 1000
      message.body = .runLoop(run)
    case (.ignoresAbortOfLoops, .runLoop): state.runs.insert(message.operationID)
    case (.ignoresSafe, .safe): return instead(.safe(SafeResult(abortedOperations: 1, isGrounded: true)))
    case (.blocksBehindStreams, .heartbeat) where !state.streams.isEmpty: return []
    case (.overtakesStreams, .readCells(let read)) where !state.streams.isEmpty:
      return instead(
        .conductances(Conductances(firstIndex: 0, conductance: [Float](repeating: 1e-5, count: read.cells.count))))
    case (.ignoresCredit, .writeVerify(var write)):
      write.credit = 1000
      message.body = .writeVerify(write)
    case (.clampsVoltages, .pulse(var pulse)):
      pulse.bitLine = min(pulse.bitLine, limits.bitLine)
      message.body = .pulse(pulse)
    case (.clampsCounts, .pulse(var pulse)):
      pulse.count = min(pulse.count, limits.pulsesPerRequest)
      message.body = .pulse(pulse)
    case (.acceptsAnyVersion, .hello(var hello)):
      hello.minimumLevel = ProtocolLevel.minimum
      message.body = .hello(hello)
    case (.executesRepeatedIDs, _) where message.operationID != 0:
      // A number nobody used before, wherever the id was seen.
      if !state.operations.insert(message.operationID).inserted { message.operationID ^= 1 << 63 | UInt64(sequence) }
    case (.servesBeforeHello, .hello): state.hasSession = true
    case (.servesBeforeHello, _) where !state.hasSession:
      state.hasSession = true
      state.swallowed.insert(.max - 7)
      let hello = RequestMessage(body: .hello(Hello(sessionID: 99, client: "nobody")))
      out = frame((try? hello.payload()) ?? [], .max - 7)
    default: break
    }
    if case .writeVerify = message.body { state.streams.insert(sequence) }
    return out + frame((try? message.payload()) ?? payload, sequence)
  }

  // MARK: Board to host

  package func receive() async throws(TransportError) -> [UInt8] {
    while true {
      let bytes = try await link.receive()
      let out = state.withLock { state in
        state.decoder.decode(bytes).flatMap { finding -> [UInt8] in
          guard case .frame(let frame) = finding else { return [] }
          return answer(frame, &state)
        }
      }
      if !out.isEmpty { return out }
    }
  }

  private func answer(_ frame: Frame, _ state: inout State) -> [UInt8] {
    var frame = frame
    let encoder = FrameEncoder(maximumPayloadBytes: 1 << 20)
    if frame.sequence == 0 {
      if fault == .keepsBadFramesToItself, case .badFrame? = (try? EventMessage(payload: frame.payload))?.event {
        return []
      }
      return (try? encoder.encode(frame)) ?? []
    }
    if state.swallowed.contains(frame.sequence) { return [] }
    if !frame.flags.contains(.more) { state.streams.remove(frame.sequence) }
    guard var message = try? ResponseMessage(payload: frame.payload) else { return (try? encoder.encode(frame)) ?? [] }
    if let body = state.rewrites.removeValue(forKey: frame.sequence) { message.body = body }
    state.answers += 1
    switch (fault, message.body) {
    case (.abortsAsDone, .operation(var operation)) where operation.state == .aborted:
      operation.state = .done
      message.body = .operation(operation)
    case (.forgetsOperations, .operation(var operation)):
      operation.state = .unknown
      message.body = .operation(operation)
    case (.losesMore, .cellResults): frame.flags = []
    case (.skipsCells, .cellResults(var results)) where results.count > 0:
      results.firstIndex += 1
      message.body = .cellResults(results)
    case (.skipsSamples, .runResults(var results)) where results.count > 0:
      results.firstIndex += 1
      message.body = .runResults(results)
    case (.refusesWithoutNumbers, _): message.refusal = nil
    case (.countsNoReads, .counters(var counters)):
      counters.reads = 0
      message.body = .counters(counters)
    case (.raisesNoTrigger, .counters(var counters)):
      counters.triggers = 0
      message.body = .counters(counters)
    case (.readsBackNothing, .adc(var result)):
      result.value = 0
      message.body = .adc(result)
    case (.countsNoPulses, .counters(var counters)):
      (counters.pulses, counters.setPulses) = (0, 0)
      message.body = .counters(counters)
    case (.drawsBootIDs, _): message.bootID &+= state.answers
    case (.turnsBackTheClock, _): message.boardTime = .seconds(1000) - .microseconds(Int64(state.answers))
    case (.cutsSequences, _): frame.sequence &= 0x7FFF_FFFF
    default: break
    }
    frame.payload = (try? message.payload()) ?? frame.payload
    return (try? encoder.encode(frame)) ?? []
  }

  private func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) } }
}
