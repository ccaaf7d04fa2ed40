import ArgumentParser
import Foundation
import RRAMKit

struct EmulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emulate",
    abstract: "Serve an emulated board on a Unix socket or a pseudo-terminal, until interrupted.",
    discussion: """
      Serves the chip of --board emu:…; other processes reach it as --board sock:PATH. The socket has mode 0600. With --hdpm-pty the twin \
      of the published board, --board hdpm-emu:…, is served on a pseudo-terminal; it is reached as --board hdpm:PATH, and by any \
      terminal program.
      """)

  @Option(help: "Path of the socket.")
  var socket: String?

  @Flag(help: "Serve the published board's twin on a pseudo-terminal.")
  var hdpmPty = false

  @Option(help: "With --hdpm-pty: folder that gets one capture a run.")
  var scope: String?

  @OptionGroup var options: BoardOptions

  func validate() throws {
    guard hdpmPty != (socket != nil) else { throw ValidationError("either --socket PATH or --hdpm-pty is needed") }
    guard hdpmPty || scope == nil else { throw ValidationError("--scope belongs to --hdpm-pty") }
  }

  func run() async throws {
    guard let socket else { return try await servePublishedBoard() }
    let address = try options.address(default: "emu:")
    guard case .emulated(let chip) = address else {
      throw CommandError(
        message: "'\(address)' cannot be served", hint: "only emu: addresses can",
        exitCode: ExitStatus.usage)
    }
    let board = try RRAM.emulatedBoard(chip)
    let server: UnixSocketServer
    do {
      server = try UnixSocketServer(path: socket, endpoint: board)
    } catch {
      await board.close()
      throw error
    }
    try answer(EmulateOutput(board: chip.description, address: "sock:\(socket)"), json: options.common.json)
    // Serving ends by a signal only: the task is cancelled then.
    while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    await server.close()
    await board.close()
  }
}

struct EmulateOutput: CommandOutput {
  var board: String
  var address: String

  var text: String { "serving \(board) at \(address)" }
}
