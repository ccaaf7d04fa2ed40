internal import Glibc
internal import Logging
public import RRAMBoard
internal import RRAMTransport
internal import RRAMUSB
internal import RRAMWire

extension RRAM {
  /// Looks for whatever could stand between this user and a board. Boards that somebody holds are not disturbed.
  ///
  /// - Parameters:
  ///   - address: `usb:` looks at every board there is, `usb:SERIAL` at one. Of other addresses only the session is tried.
  public static func checkup(
    _ address: BoardAddress, configuration: BoardConfiguration = BoardConfiguration(), places: Checkup.Places = .init()
  ) async -> Checkup {
    guard case .usb(let serial) = address else {
      return Checkup(findings: [
        await Checkup.session(address: address.description) {
          try await withBoard(at: address, configuration: configuration) { $0.info }
        }
      ])
    }
    let identity = USBIdentity.testBoard
    var findings = [Checkup.machine(places)]
    findings += Checkup.rule(places, identity: identity, isRoot: geteuid() == 0)
    var devices: [USBDevice] = []
    do throws(TransportError) {
      devices = try USBContext().devices(withIDsOf: identity)
    } catch {
      // Where there is no USB the machine's finding says so already.
      if error.code != .notFound { findings.append(Checkup.Finding("USB", nil, "\(error)", .failed)) }
    }
    let boards = devices.filter { $0.matches(identity) }
    if let memory = Checkup.memory(places, boards: boards.count) { findings.append(memory) }
    for stranger in devices where !stranger.matches(identity) {
      findings.append(
        Checkup.Finding(
          "board", nil,
          "the device at port \(stranger.port) has a board's ids, but says it is '\(stranger.product ?? "")' by "
            + "'\(stranger.manufacturer ?? "")'", .notABoard, state: .warning))
    }
    let wanted = serial.map { serial in boards.filter { $0.serial == serial } } ?? boards
    if wanted.isEmpty {
      let serials = boards.map { $0.serial ?? "no serial" }
      let message =
        boards.isEmpty
        ? "no board is plugged in"
        : "no board \(serial ?? "") is plugged in; attached: \(serials.joined(separator: ", "))"
      findings.append(Checkup.Finding("board", nil, message, .noBoard(attached: serials)))
    }
    for board in wanted {
      let others = boards.filter { $0 != board && $0.serial == board.serial }
      findings += await Checkup.board(
        board, sharesSerialWith: others, rule: findings, configuration: configuration)
    }
    return Checkup(findings: findings)
  }
}

extension Checkup {
  /// One board, from its descriptors to a session; what cannot work after a problem is left out.
  static func board(
    _ device: USBDevice, sharesSerialWith others: [USBDevice], rule: [Finding], configuration: BoardConfiguration
  ) async -> [Finding] {
    let address = device.address
    var findings = [
      Finding("board", address, "\(device.product ?? "board") at port \(device.port), \(device.node ?? "no node")")
    ]
    if let other = others.first {
      findings.append(
        Finding("serial", address, "the board at port \(other.port) has the same serial number", .sameSerial))
    }
    let speaks = "the firmware speaks protocol level \(device.protocolLevel)"
    let host = "this host \(ProtocolLevel.minimum) to \(ProtocolLevel.current)"
    let isTooOld = device.protocolLevel < ProtocolLevel.minimum
    findings.append(
      Finding("firmware", address, "\(speaks) at most, \(host)", isTooOld ? .firmwareTooOld : nil))
    let status: Finding
    do throws(TransportError) {
      status = report(try await USBTransport.control(device, .status), address: address)
    } catch {
      if error.code == .permission {
        findings.append(permission(device, rule: rule))
        return findings
      }
      findings.append(failure("status", error, address: address))
      return findings
    }
    findings.append(Finding("permission", address, "this user may use \(device.node ?? "the board")"))
    findings.append(status)
    guard status.problem != .garbled else { return findings }
    do throws(TransportError) {
      try await USBTransport.checkInterface(of: device)
    } catch {
      findings.append(
        error.code == .busy ? busy(device, error) : failure("interface", error, address: address))
      return findings
    }
    findings.append(Finding("interface", address, "free"))
    guard !isTooOld else { return findings }
    findings.append(
      await session(address: address) {
        try await RRAMBoard.withBoard(
          RRAM.openUSB(device, logger: Logger(label: "rram.board")), configuration: configuration
        ) { $0.info }
      })
    return findings
  }

  /// What STATUS says.
  private static func report(_ bytes: [UInt8], address: String) -> Finding {
    do throws(WireError) {
      let status = try BoardStatus(bytes: bytes)
      let power = status.isEnergised ? "energised" : status.isGrounded ? "grounded" : "drivers off"
      guard status.faults.isEmpty else {
        return Finding("status", address, "\(power), with faults: \(status.faults)", .failed)
      }
      return Finding("status", address, "\(power), \(status.hasSession ? "in a session" : "no session"), no faults")
    } catch {
      return Finding("status", address, "the answer to STATUS is none: \(error)", .garbled)
    }
  }

  static func session(address: String, open: () async throws -> BoardInfo) async -> Finding {
    do {
      let info = try await open()
      return Finding(
        "session", address, "firmware \(info.firmwareVersion) answers at protocol level \(info.protocolLevel)")
    } catch {
      return failure("session", error, address: address)
    }
  }

  private static func failure(_ subject: String, _ error: any Error, address: String) -> Finding {
    var problem = Problem.failed
    if let error = error as? BoardError {
      switch error.code {
      case .timedOut, .replyLost: problem = .silent
      case .protocolViolation: problem = .garbled
      case .versionMismatch: problem = .hostTooOld
      default:
        if let below = error.underlying as? TransportError { return failure(subject, below, address: address) }
      }
    }
    if let error = error as? TransportError {
      switch error.code {
      case .timedOut: problem = .silent
      case .protocolViolation, .refused: problem = .garbled
      case .busy: problem = .busy([])
      case .notFound: problem = .noBoard(attached: [])
      default: break
      }
    }
    return Finding(subject, address, "\(error)", problem)
  }

  private static func busy(_ device: USBDevice, _ error: TransportError) -> Finding {
    let holders = device.holders
    let who =
      holders.isEmpty
      ? "a process of another user holds it" : "held by \(holders.map(\.description).joined(separator: ", "))"
    return Finding("interface", device.address, who, .busy(holders))
  }

  /// Why the node cannot be opened, as its owner, its mode and this user's groups tell.
  private static func permission(_ device: USBDevice, rule: [Finding]) -> Finding {
    let node = device.node ?? "the board"
    var status = stat()
    guard stat(node, &status) == 0 else {
      return Finding("permission", device.address, "this user may not look at \(node)", .notPermitted(node: node))
    }
    let owner = getpwuid(status.st_uid).map { String(cString: $0.pointee.pw_name) } ?? "\(status.st_uid)"
    let group = getgrgid(status.st_gid).map { String(cString: $0.pointee.gr_name) } ?? "\(status.st_gid)"
    let mode = "0" + String(status.st_mode & 0o777, radix: 8)
    let message = "this user may not use \(node), which is \(owner):\(group) \(mode)"
    let hasNoRule = rule.contains { $0.problem == .noRule }
    let problem: Problem
    if hasNoRule {
      problem = .noRule
    } else if group != ruleGroup || status.st_mode & 0o060 != 0o060 {
      problem = .notPermitted(node: node)
    } else {
      let user = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "\(getuid())"
      problem =
        members(of: group).contains(user) ? .loginOlderThanGroup(group) : .notInGroup(group, user: user)
    }
    return Finding("permission", device.address, message, problem)
  }

  private static func members(of group: String) -> [String] {
    guard var member = getgrnam(group)?.pointee.gr_mem else { return [] }
    var names: [String] = []
    while let name = member.pointee {
      names.append(String(cString: name))
      member += 1
    }
    return names
  }
}
