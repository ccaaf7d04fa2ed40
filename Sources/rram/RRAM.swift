import ArgumentParser
import Foundation
import Glibc
import RRAMKit
import UnixSignals

@main
struct RRAMCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rram",
    abstract: "Drive a resistive-memory test board, or an emulated one.",
    discussion: """
      Boards are named by --board ADDRESS, before or after the verb, or by RRAM_BOARD:
        usb:  usb:SERIAL  emu:profile=cmo-hfox,board=parallel,seed=0,state=FILE  sock:PATH  replay:FILE
        hdpm:PORT (the published STM32F407 board)  hdpm-emu:model=ring,profile=cmo-hfox,seed=0
      'emu:' alone emulates a cmo-hfox chip in memory; with state=FILE the chip is kept between commands.

      Exit codes: 0 ok, 1 failure or wrong chip state, 3 ran but out of tolerance, 64 usage, 65 bad input file, 69 no board, \
      75 board busy or timed out, 76 protocol or firmware mismatch, 77 no permission, 130 interrupted (after making safe).
      """,
    version: toolkitVersion,
    subcommands: [
      ListCommand.self, InfoCommand.self, FormCommand.self, ReadCommand.self, MapCommand.self, ProgramCommand.self,
      WriteCommand.self,
      VerifyCommand.self,
      WaitCommand.self, ScheduleCommand.self, CalibrateCommand.self, SampleCommand.self, EvaluateCommand.self,
      ExportCommand.self, ImportCommand.self,
      SafeCommand.self,
      DoctorCommand.self, EmulateCommand.self, DemoCommand.self, ProfileCommand.self, HDPMCommand.self,
      BenchCommand.self, CharacterizeCommand.self, ConformanceCommand.self, ReproduceCommand.self,
      RunsCommand.self, ChipCommand.self, SweepCommand.self, PulseCommand.self,
    ])

  static func main() async {
    // A reader that goes away shows as an error of the write, not as the death of the process with the array energised.
    signal(SIGPIPE, SIG_IGN)
    let arguments = hoistGlobalOptions(Array(CommandLine.arguments.dropFirst()))
    let work = Task { await run(arguments) }
    let watch = Task {
      var interrupted = false
      for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup) {
        // Losing the link grounds the array too, so a second signal may end the process at once.
        if interrupted { _exit(130) }
        interrupted = true
        note("interrupted: making the board safe; once more to stop at once")
        work.cancel()
      }
    }
    let status = await work.value
    watch.cancel()
    Glibc.exit(status)
  }

  /// Runs one command line and returns its exit code.
  private static func run(_ arguments: [String]) async -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      return 0
    } catch let code as ExitCode {
      return code.rawValue
    } catch {
      // Help, version and usage errors are ArgumentParser's own; its message says where each belongs.
      if let code = parserExitCode(of: error) {
        let message = fullMessage(for: error)
        write(message, to: code == 0 ? .standardOutput : .standardError)
        return code
      }
      let diagnosis = diagnose(error)
      note("error: \(diagnosis.message)")
      if let hint = diagnosis.hint { note("hint: \(hint)") }
      return diagnosis.exitCode
    }
  }

  /// The exit code if `error` is one that ArgumentParser made: 0 for help and version, 64 for bad usage; else `nil`.
  private static func parserExitCode(of error: any Error) -> Int32? {
    if error is CleanExit || error is ValidationError { return exitCode(for: error).rawValue }
    let module = String(reflecting: type(of: error))
    return module.hasPrefix("ArgumentParser.") ? exitCode(for: error).rawValue : nil
  }
}
