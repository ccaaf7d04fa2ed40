import ArgumentParser
import RRAMKit

struct ListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the boards that are attached, and what can be emulated.")

  @OptionGroup var common: CommonOptions

  func run() async throws {
    try answer(
      ListOutput(
        boards: RRAM.attachedBoards().map(ListOutput.Board.init), chipProfiles: ChipProfile.shippedNames,
        boardDescriptions: BoardDescription.shippedNames,
        models: ModelLibrary.scoreModelNames),
      json: common.json)
  }
}

struct ListOutput: CommandOutput {
  struct Board: Encodable {
    var address: String
    var serial: String?
    /// Where it is plugged in, as the kernel names it.
    var port: String
    var product: String?
    /// The highest protocol level of its firmware.
    var protocolLevel: Int

    init(_ device: USBDevice) {
      address = device.address
      serial = device.serial
      port = device.port
      product = device.product
      protocolLevel = device.protocolLevel
    }
  }

  var boards: [Board]
  var chipProfiles: [String]
  var boardDescriptions: [String]
  var models: [String]

  var text: String {
    let attached =
      boards.isEmpty
      ? "no board found"
      : boards.map { "\($0.address)  \($0.product ?? "board") at port \($0.port), protocol level \($0.protocolLevel)" }
        .joined(separator: "\n")
    return """
      \(attached)
      emulated boards: emu:profile=PROFILE,board=BOARD,seed=N,state=FILE
        profiles  \(chipProfiles.joined(separator: ", "))
        boards    \(boardDescriptions.joined(separator: ", "))
      models: \(models.joined(separator: ", "))
      """
  }
}
