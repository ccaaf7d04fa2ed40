import ArgumentParser
import RRAMKit

struct SafeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "safe", abstract: "Abort everything and ground the array.",
    discussion: """
      On sock: it works while another process holds the board. A chip in a state file (emu:…,state=FILE) belongs to one process: end \
      that one, and the array is grounded.
      """)

  @OptionGroup var options: BoardOptions
  @OptionGroup var link: LinkOptions

  func run() async throws {
    let address = try options.address()
    switch address {
    case .usb, .socket:
      guard link.record == nil else {
        throw CommandError(
          message: "nothing to record: on \(address) 'safe' is one control request, no session; --capture keeps it",
          exitCode: ExitStatus.usage)
      }
    default: break
    }
    try await RRAM.makeSafe(address, files: link.files(for: address), logger: options.common.logger)
    try answer(SafeOutput(address: address.description, grounded: true), json: options.common.json)
  }
}

struct SafeOutput: CommandOutput {
  var address: String
  var grounded: Bool

  var text: String { "\(address): all lines grounded" }
}
