import ArgumentParser
import Foundation
import RRAMKit

struct EmulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "emulate", abstract: "Serve an emulated board on a Unix socket, until interrupted.",
    discussion:
      "Serves the chip of --board emu:…; other processes reach it as --board sock:PATH. The socket has mode 0600.")

  @Option(help: "Path of the socket.")
  var socket: String

  @OptionGroup var options: BoardOptions

  func run() async throws {
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
    throw CancellationError()
  }
}

struct EmulateOutput: CommandOutput {
  var board: String
  var address: String

  var text: String { "serving \(board) at \(address)" }
}
