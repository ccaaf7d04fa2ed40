import RRAMEmulatorUSB
import RRAMTransport
import RRAMUSB
import RRAMWire

/// The checks, each by itself: it opens what it needs and closes it again.
struct Suite {
  let context: USBContext

  private static let (out, `in`, interrupt): (UInt8, UInt8, UInt8) = (0x01, 0x81, 0x82)
  private static let transferBytes = 16 * 1024
  /// An emulated processor is slow.
  private static let limit = Duration.seconds(10)

  /// Opens the board and takes its interface; what an earlier check left half said is forgotten.
  private func withHandle(_ body: (USBHandle) async throws -> Void) async throws {
    let handle = try await USBHandle.open(try Checks.theBoard(context))
    do {
      try await handle.claim(interface: 0)
      _ = try await handle.control(request: ControlRequest.resync.rawValue)
      try await body(handle)
    } catch {
      await handle.close()
      throw error
    }
    await handle.close()
  }

  /// The error that `body` throws.
  private func failure(_ body: () async throws -> Void) async throws -> TransportError {
    do {
      try await body()
    } catch let error as TransportError {
      return error
    }
    throw Unexpected("no error")
  }

  private func expect(_ code: TransportError.Code, _ body: () async throws -> Void) async throws {
    let error = try await failure(body)
    try require(error.code == code, "'\(error)' has code \(error.code), not \(code)")
  }

  /// A frame that any board answers, session or not.
  private func heartbeat(_ sequence: UInt32) throws -> [UInt8] {
    let payload = try RequestMessage(body: .heartbeat(Heartbeat())).payload()
    return try FrameEncoder(maximumPayloadBytes: 1024).encode(Frame(flags: [], sequence: sequence, payload: payload))
  }

  private func exchange(_ handle: USBHandle, _ sequence: UInt32) async throws {
    let frame = try heartbeat(sequence)
    let sent = try await handle.write(endpoint: Self.out, frame, limit: Self.limit)
    try require(sent == frame.count, "\(sent) of \(frame.count) bytes were sent")
    var decoder = FrameDecoder(maximumPayloadBytes: 4096)
    while true {
      let bytes = try await handle.read(endpoint: Self.in, count: Self.transferBytes, limit: Self.limit)
      for finding in decoder.decode(bytes) {
        // Events may come between.
        if case .frame(let answer) = finding, answer.sequence == sequence { return }
      }
    }
  }

  // MARK: enumeration and use

  func isEnumerated() async throws {
    let device = try Checks.theBoard(context)
    try require(device.matches(.testBoard), "ids or strings are others")
    try require(device.serial?.hasPrefix("EMU-") == true, "serial \(device.serial ?? "none")")
    try require(device.protocolLevel == ProtocolLevel.current, "level \(device.protocolLevel)")
    try require(!device.port.isEmpty && device.node != nil, "no port")
  }

  func claimIsExclusive() async throws {
    try await withHandle { _ in
      let other = try await USBHandle.open(try Checks.theBoard(context))
      do {
        try await expect(.busy) { try await other.claim(interface: 0) }
        let bytes = try await other.control(request: ControlRequest.status.rawValue, answerBytes: 16)
        let status = try BoardStatus(bytes: bytes)
        try require(status.isGrounded && status.bootID != 0, "\(status)")
        _ = try await other.control(request: ControlRequest.safe.rawValue)
      } catch {
        await other.close()
        throw error
      }
      await other.close()
    }
  }

  func framesGoBothWays() async throws {
    try await withHandle { handle in
      for sequence in 1...8 { try await exchange(handle, UInt32(sequence)) }
    }
  }

  func burstsArriveWhole() async throws {
    try await withHandle { handle in
      for count in [1, 63, 64, 65, 511, 512, 513, 1024, Self.transferBytes, Self.transferBytes + 512, 65535] {
        try await handle.ask(.burst, UInt16(count))
        var received: [UInt8] = []
        // A transfer that is not full ends the burst.
        while true {
          let bytes = try await handle.read(endpoint: Self.in, count: Self.transferBytes, limit: Self.limit)
          received += bytes
          if bytes.count < Self.transferBytes { break }
        }
        try require(
          received == (0..<count).map { UInt8(truncatingIfNeeded: $0) }, "\(received.count) bytes came of \(count)")
      }
    }
  }

  func anEventRings() async throws {
    try await withHandle { handle in
      var broken = try heartbeat(1)
      broken[broken.count - 1] ^= 1
      // A frame whose payload check is wrong makes an event.
      _ = try await handle.write(endpoint: Self.out, broken, limit: Self.limit)
      let bytes = try await handle.read(endpoint: Self.interrupt, count: 16, limit: Self.limit, interrupt: true)
      let bell = Doorbell(bytes: bytes)
      try require(bell.map { $0.eventCount > 0 } == true, "\(bytes.count) bytes are no doorbell")
    }
  }

  // MARK: faults

  func timeout() async throws {
    try await withHandle { handle in
      try await expect(.timedOut) {
        _ = try await handle.read(endpoint: Self.in, count: 512, limit: .milliseconds(100))
      }
      try await exchange(handle, 1)
    }
  }

  func cancellation() async throws {
    try await withHandle { handle in
      let reads = (0..<4).map { _ in
        Task { try await handle.read(endpoint: Self.in, count: 512, limit: nil) }
      }
      // They are under way once all have been counted.
      while context.usage.transfers < reads.count { await Task.yield() }
      for read in reads { read.cancel() }
      for read in reads {
        try await expect(.cancelled) { _ = try await read.value }
      }
      try await exchange(handle, 1)
    }
  }

  func slowDevice() async throws {
    try await withHandle { handle in
      try await handle.ask(.delay, 300)
      try await exchange(handle, 1)
    }
  }

  func shortPacket() async throws {
    try await withHandle { handle in
      try await handle.ask(.shortPacket)
      try await handle.ask(.burst, 200)
      let bytes = try await handle.read(endpoint: Self.in, count: 512, limit: Self.limit)
      try require(bytes.count == 101, "\(bytes.count) bytes of a burst cut to 101")
      try await exchange(handle, 1)
    }
  }

  func stallIn() async throws {
    try await withHandle { handle in
      try await handle.ask(.stallIn)
      for _ in 0..<2 {
        try await expect(.refused) { _ = try await handle.read(endpoint: Self.in, count: 512, limit: Self.limit) }
      }
      try await handle.clearHalt(endpoint: Self.in)
      try await exchange(handle, 1)
    }
  }

  func stallOut() async throws {
    try await withHandle { handle in
      try await handle.ask(.stallOut)
      for _ in 0..<2 {
        try await expect(.refused) { _ = try await handle.write(endpoint: Self.out, [1], limit: Self.limit) }
      }
      try await handle.clearHalt(endpoint: Self.out)
      try await exchange(handle, 1)
    }
  }

  func babble() async throws {
    try await withHandle { handle in
      try await handle.ask(.babble)
      try await expect(.protocolViolation) {
        _ = try await handle.read(endpoint: Self.in, count: 512, limit: Self.limit)
      }
      // A controller halts the endpoint; a host clears it.
      try await handle.clearHalt(endpoint: Self.in)
      try await exchange(handle, 1)
    }
  }

  func transportMendsStalls() async throws {
    let transport = try await USBTransport.open(context: context)
    do {
      let handle = try await USBHandle.open(try Checks.theBoard(context))
      do {
        try await handle.ask(.stallIn)
        try await handle.ask(.stallOut)
      } catch {
        await handle.close()
        throw error
      }
      await handle.close()
      try await transport.send(try heartbeat(5))
      var decoder = FrameDecoder(maximumPayloadBytes: 4096)
      var isAnswered = false
      while !isAnswered {
        for finding in decoder.decode(try await transport.receive()) {
          if case .frame(let answer) = finding, answer.sequence == 5 { isAnswered = true }
        }
      }
    } catch {
      await transport.close()
      throw error
    }
    await transport.close()
  }

  func reset() async throws {
    try await withHandle { handle in
      try await exchange(handle, 1)
      try await handle.reset()
      let bytes = try await handle.control(request: ControlRequest.status.rawValue, answerBytes: 16)
      let status = try BoardStatus(bytes: bytes)
      try require(!status.hasSession && status.isGrounded, "\(status)")
      try require(status.lastSafeCause == .linkLost, "the board did not see the reset: \(status.lastSafeCause)")
      try await handle.claim(interface: 0)
      try await exchange(handle, 2)
    }
  }

  func leaveAndReturn() async throws {
    let changes = try context.changes()
    let before = try Checks.theBoard(context)
    var iterator = changes.makeAsyncIterator()
    guard case .arrived = await iterator.next() else { throw Unexpected("the board there is was not announced") }
    let handle = try await USBHandle.open(before)
    do {
      try await handle.claim(interface: 0)
      try await handle.ask(.leave, 700)
      try await expect(.closed) { _ = try await handle.read(endpoint: Self.in, count: 512, limit: nil) }
      try await expect(.closed) { _ = try await handle.write(endpoint: Self.out, [1], limit: Self.limit) }
    } catch {
      await handle.close()
      throw error
    }
    await handle.close()
    guard case .left(let left) = await iterator.next(), left == before else { throw Unexpected("no departure") }
    guard case .arrived(let back) = await iterator.next() else { throw Unexpected("no arrival") }
    try require(back.address == before.address, "\(before.address) came back as \(back.address)")
  }
}
