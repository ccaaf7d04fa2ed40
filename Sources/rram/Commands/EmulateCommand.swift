import ArgumentParser
import Foundation
import RRAMKit

struct EmulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emulate",
    abstract: "Serve an emulated board on a socket, over USB or on a pseudo-terminal, until interrupted.",
    discussion: """
      Serves the chip of --board emu:… in one of these ways:
        --socket PATH             other processes reach it as --board sock:PATH; the socket has mode 0600
        --usbip HOST:PORT         any Linux machine attaches it with 'usbip attach'; there it is --board usb:
        --usbredir tcp:HOST:PORT  or unix:PATH: a virtual machine monitor puts it on a USB port of its guest
        --hdpm-pty                the twin of the published board, --board hdpm-emu:…, on a pseudo-terminal; it is reached as \
      --board hdpm:PATH, and by any terminal program
      USB/IP and usbredir have no authentication: whoever can connect has the board. Name a loopback address, or trust the network.
      """)

  @Option(help: "Path of the socket.")
  var socket: String?

  @Option(help: "HOST:PORT of the USB/IP server; the usual one is 127.0.0.1:3240.")
  var usbip: String?

  @Option(help: "tcp:HOST:PORT or unix:PATH of the usbredir server.")
  var usbredir: String?

  @Option(help: "With --usbip or --usbredir: speed of the board, high or full.")
  var speed: BusSpeed?

  @Flag(help: "With --usbip or --usbredir: have the faults that a test asks for by vendor requests.")
  var faults = false

  @Flag(help: "Serve the published board's twin on a pseudo-terminal.")
  var hdpmPty = false

  @Option(help: "With --hdpm-pty: folder that gets one capture a run.")
  var scope: String?

  @OptionGroup var options: BoardOptions

  func validate() throws {
    guard [socket != nil, usbip != nil, usbredir != nil, hdpmPty].count(where: { $0 }) == 1 else {
      throw ValidationError(
        "one of --socket PATH, --usbip HOST:PORT, --usbredir ADDRESS and --hdpm-pty is needed, and only one")
    }
    guard hdpmPty || scope == nil else { throw ValidationError("--scope belongs to --hdpm-pty") }
    guard usbip != nil || usbredir != nil || speed == nil && !faults else {
      throw ValidationError("--speed and --faults belong to --usbip and --usbredir")
    }
    if let usbip, ListenAddress(hostAndPort: usbip) == nil {
      throw ValidationError("--usbip \(usbip): not HOST:PORT; an IPv6 address stands in brackets")
    }
    if let usbredir, ListenAddress(usbredir) == nil {
      throw ValidationError("--usbredir \(usbredir): neither tcp:HOST:PORT nor unix:PATH")
    }
  }

  func run() async throws {
    guard !hdpmPty else { return try await servePublishedBoard() }
    let address = try options.address(default: "emu:")
    guard case .emulated(let chip) = address else {
      throw CommandError(
        message: "'\(address)' cannot be served", hint: "only emu: addresses can",
        exitCode: ExitStatus.usage)
    }
    let board = try RRAM.emulatedBoard(chip)
    do {
      let close = try serve(board, chip)
      // Serving ends by a signal only: the task is cancelled then.
      while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
      await close()
    } catch {
      await board.close()
      throw error
    }
    await board.close()
  }

  /// Starts the server that was asked for, and says where it is; returns what ends it.
  private func serve(
    _ board: EmulatedBoard, _ chip: BoardAddress.EmulatedChip
  ) throws -> () async -> Void {
    if let socket {
      let server = try UnixSocketServer(path: socket, endpoint: board)
      try answer(EmulateOutput(board: chip.description, address: "sock:\(socket)"), json: options.common.json)
      return { await server.close() }
    }
    let description = USBDescription(serial: board.serial, speed: speed?.speed ?? .high)
    let logger = options.common.logger
    if let address = usbip.flatMap(ListenAddress.init(hostAndPort:)) {
      let server = try USBIPServer(
        address, endpoint: board, description: description, allowsFaults: faults, logger: logger)
      warn("USB/IP", server.isLocal)
      try answer(
        EmulateOutput(board: chip.description, address: "usbip:\(server.address.hostAndPort)", busID: server.busID),
        json: options.common.json)
      return { await server.close() }
    }
    guard let address = usbredir.flatMap(ListenAddress.init(_:)) else {
      preconditionFailure("validate() has seen one of the four")
    }
    let server = try USBRedirServer(
      address, endpoint: board, description: description, allowsFaults: faults, logger: logger)
    if case .tcp = server.address { warn("usbredir", server.isLocal) }
    try answer(
      EmulateOutput(board: chip.description, address: "usbredir:\(server.address)"), json: options.common.json)
    return { await server.close() }
  }

  private func warn(_ name: String, _ isLocal: Bool) {
    guard !options.common.quiet else { return }
    let whoever = isLocal ? "every user of this machine" : "whoever reaches this address"
    note("warning: \(name) has no authentication: \(whoever) can take the board")
  }
}

/// The words of `--speed`.
enum BusSpeed: String, CaseIterable, ExpressibleByArgument {
  case full, high

  var speed: USBDescription.Speed { self == .full ? .full : .high }
}

struct EmulateOutput: CommandOutput {
  var board: String
  var address: String
  /// What `usbip attach -b` names.
  var busID: String?

  var text: String {
    "serving \(board) at \(address)" + (busID.map { ", bus id \($0)" } ?? "")
  }
}
