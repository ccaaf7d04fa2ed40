import ArgumentParser

@main
struct RRAMCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "rram")
}
