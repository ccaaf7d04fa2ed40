import ArgumentParser
import Foundation
import Logging
import RRAMKit

/// Options of every verb.
struct CommonOptions: ParsableArguments {
  @Flag(name: .long, help: "Print one JSON document on stdout.")
  var json = false

  @Flag(name: .shortAndLong, help: "Say more on stderr; -vv also shows every message.")
  var verbose: Int

  @Flag(name: .shortAndLong, help: "No progress and no notes on stderr.")
  var quiet = false

  /// A logger for the library; silent unless asked.
  var logger: Logger {
    var logger = Logger(label: "rram") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = verbose >= 2 ? .trace : verbose == 1 ? .info : .error
    return logger
  }
}

/// Options of verbs that talk to a board.
struct BoardOptions: ParsableArguments {
  @Option(
    name: .long,
    help:
      "The board: usb:, usb:SERIAL, emu:…, sock:PATH, replay:FILE, hdpm:PORT, hdpm-emu:…. Default: RRAM_BOARD, else usb: (for schedule emu:)."
  )
  var board: String?

  @OptionGroup var common: CommonOptions

  /// The address in force.
  func address(default fallback: String = "usb:") throws -> BoardAddress {
    let address = try BoardAddress(board ?? ProcessInfo.processInfo.environment["RRAM_BOARD"] ?? fallback)
    if case .emulated(let chip) = address, let file = chip.stateFile, !common.quiet,
      !FileManager.default.fileExists(atPath: file)
    {
      note("\(file): a new die, no state file was there")
    }
    return address
  }
}

/// Refuses a file that could not be written when the work is done.
func checkWritable(_ path: String?) throws {
  guard let path else { return }
  let folder = URL(filePath: path).deletingLastPathComponent().path
  guard FileManager.default.isWritableFile(atPath: folder) else {
    throw CommandError(message: "\(path): the folder \(folder) cannot be written to", exitCode: ExitStatus.badInput)
  }
  var isFolder: ObjCBool = false
  if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
    throw CommandError(message: "\(path) is a folder", exitCode: ExitStatus.badInput)
  }
}

/// Refuses an ending that says another form than the one that is written.
func checkEnding(_ path: String?, of option: String, _ endings: String...) throws {
  guard let path, !endings.contains(where: { path.hasSuffix($0) }) else { return }
  throw ValidationError("\(option) \(path): this file is written as \(endings.joined(separator: " or "))")
}

/// Options of verbs that talk to a board by frames.
struct LinkOptions: ParsableArguments {
  @Option(help: "Write what crosses the link as USB packets (pcapng), for Wireshark with protocols/wireshark/rram.lua.")
  var capture: String?

  @Option(help: "Record the session in this file, for --board replay:FILE.")
  var record: String?

  /// The files that are wanted, after a look at their folders.
  func files(for address: BoardAddress) throws -> LinkFiles {
    if capture != nil || record != nil {
      switch address {
      case .hdpm, .emulatedHDPM:
        throw CommandError(
          message: "--capture and --record do not apply to \(address): it speaks another protocol",
          exitCode: ExitStatus.usage)
      default: break
      }
    }
    try checkWritable(capture)
    try checkWritable(record)
    return LinkFiles(capture: capture, recording: record)
  }
}

/// Options of verbs that give pulses or run the loop.
struct TriggerOptions: ParsableArguments {
  @Option(
    help:
      "Raise the board's trigger output for a microsecond at the start of: pulses (those of write-verify included), runs (commands to the closed loop, of many samples each) or all."
  )
  var trigger: Trigger?

  /// What the board is asked for; nil: nothing.
  var request: SetTrigger? { trigger?.request }

  enum Trigger: String, ExpressibleByArgument, CaseIterable {
    case pulses, runs, all

    var request: SetTrigger { SetTrigger(pulses: self != .runs, runs: self != .pulses) }
  }
}

/// Options of verbs that change or measure something.
struct RunOptions: ParsableArguments {
  @Option(name: .long, help: "Folder of this run's record. Default: a new one below $RRAM_HOME/runs.")
  var runDir: String?

  @OptionGroup var link: LinkOptions

  /// Opens the run's folder.
  func open(settings: [String: String]) throws -> RunDirectory {
    try RunDirectory(
      home: RecordsHome(), folder: runDir.map { URL(filePath: $0, directoryHint: .isDirectory) },
      toolkit: toolkitVersion,
      command: ["rram"] + hoistGlobalOptions(Array(CommandLine.arguments.dropFirst())), settings: settings)
  }
}
