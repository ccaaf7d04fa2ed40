public import RRAMWire

extension Board {
  /// Aborts everything, grounds all lines, switches the drivers off: by a frame, else by a control request.
  public func safe() async throws {
    if let failure = await Self.makeSafe(link, limit: configuration.safeLimit) { throw failure }
  }

  /// Ends an operation after the pulse under way; 0: all of them. Returns how many were ended.
  @discardableResult
  public func abort(_ operationID: UInt64 = 0) async throws -> Int {
    try await exchange(Abort(operationID: operationID), limit: configuration.safeLimit).abortedOperations
  }

  /// Feeds the watchdog and asks how the board is; sent by itself while the board is energised.
  @discardableResult
  public func heartbeat() async throws -> HeartbeatResult { try await exchange(Heartbeat()) }

  /// Opens a new session on the same link after the board has started anew (``BoardError/Code-swift.struct/rebooted``).
  ///
  /// What became of operations in flight stays unknown: read the cells before writing them again.
  /// - Throws: `protocolViolation` if another board answers now.
  public func resume() async throws {
    let session = configuration.sessionID.map { $0 ^ 1 << 63 } ?? BoardConfiguration.randomSessionID()
    let hello = try await exchange(
      Hello(sessionID: session, client: configuration.client), limit: configuration.openLimit)
    guard hello.serial == info.serial, hello.chipID == info.chipID else {
      throw BoardError(
        .protocolViolation,
        "board \(hello.serial) with chip \(hello.chipID) answers instead of \(info.serial) with chip \(info.chipID)",
        address: address)
    }
    let before = greetedBoot
    greetedBoot = await link.bootID
    // A new session has forgotten it; one without it counts as none.
    guard let trigger = configuration.trigger else { return }
    do {
      _ = try await exchange(trigger, limit: configuration.openLimit)
    } catch {
      greetedBoot = before
      throw error
    }
  }

  /// Opens a new session if the board has started anew since the last one was opened; several callers may find that out at once.
  func resumeIfNeeded() async throws {
    guard await link.bootID != greetedBoot else { return }
    try await resume()
  }

  /// What became of an operation whose answer was lost. It is never repeated by itself.
  public func operationState(_ operationID: UInt64) async throws -> OperationState {
    try await exchange(GetOperation(operationID: operationID))
  }

  /// The board's own books since its boot.
  public func counters() async throws -> Counters { try await exchange(GetCounters()) }

  /// Lets chip time pass without waiting. Only boards with the capability, which hardware has not.
  public func advanceTime(by duration: Duration) async throws {
    try require(.advanceTime, for: "advancing time")
    let before = await boardTime
    do {
      _ = try await exchange(AdvanceTime(duration: duration), limit: configuration.advanceLimit)
    } catch let error as BoardError where [.timedOut, .replyLost].contains(error.code) && configuration.retries > 0 {
      // The board's clock says whether it was done.
      try await heartbeat()
      guard await boardTime - before >= duration else { throw error }
    }
  }

  /// Brings the chip to a temperature from now on, as an oven would. Only boards with the capability, which hardware has not.
  ///
  /// - Parameter celsius: degrees Celsius.
  public func setTemperature(celsius: Double) async throws {
    try require(.advanceTime, for: "setting the chip's temperature")
    _ = try await exchange(AdvanceTime(duration: .zero, celsius: celsius), limit: configuration.advanceLimit)
  }

  /// What the board knows about the contents of a macro.
  public func label(macro: Int) async throws -> MacroLabel {
    try check.checkMacro(macro)
    return try await exchange(GetLabel(macro: macro))
  }

  /// Names the contents of a macro; the board keeps it without power.
  ///
  /// - Parameter label: 16 bytes.
  @discardableResult
  public func setLabel(_ label: [UInt8], macro: Int) async throws -> MacroLabel {
    try check.checkMacro(macro)
    guard label.count == MacroLabel.byteCount else {
      throw BoardError(
        .badArgument, "a label of \(label.count) bytes, \(MacroLabel.byteCount) belong", address: address)
    }
    return try await exchange(SetLabel(macro: macro, label: label))
  }
}
