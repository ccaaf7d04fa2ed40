import RRAMKit

/// What the command line says about an error: one line, maybe one action, and the exit code.
struct Diagnosis: Equatable {
  var message: String
  var hint: String?
  var exitCode: Int32
}

/// Exit codes, as documented in `--help`.
enum ExitStatus {
  static let failure: Int32 = 1
  static let outOfTolerance: Int32 = 3
  static let usage: Int32 = 64
  static let badInput: Int32 = 65
  static let noBoard: Int32 = 69
  static let busy: Int32 = 75
  static let protocolMismatch: Int32 = 76
  static let noPermission: Int32 = 77
  static let interrupted: Int32 = 130
}

/// The one place where errors become words and codes for people; libraries state facts only.
func diagnose(_ error: any Error) -> Diagnosis {
  switch error {
  case is CancellationError:
    Diagnosis(message: "interrupted", exitCode: ExitStatus.interrupted)
  case let error as ConformanceError:
    Diagnosis(message: "\(error)", exitCode: ExitStatus.usage)
  case let error as BoardAddress.ParseError:
    Diagnosis(message: "\(error)", hint: "see 'rram --help' for addresses", exitCode: ExitStatus.usage)
  case let error as ProfileError:
    Diagnosis(
      message: "\(error)", exitCode: error.code == .unknownName ? ExitStatus.usage : ExitStatus.badInput)
  case let error as HDF5Error:
    Diagnosis(message: "\(error)", exitCode: ExitStatus.failure)
  case let error as FileError:
    Diagnosis(message: "\(error)", exitCode: ExitStatus.badInput)
  case let error as ModelError:
    Diagnosis(
      message: "\(error)",
      exitCode: error.code == .unknownName || error.code == .invalidLabel ? ExitStatus.usage : ExitStatus.badInput)
  case let error as RecordsError:
    records(error)
  case let error as EmulatorError:
    emulator(error)
  case let error as TransportError:
    transport(error)
  case let error as BoardError:
    board(error)
  case let error as MappingError:
    mapping(error)
  case let error as CharacterizationError:
    Diagnosis(
      message: "\(error)",
      hint: error.code == .limit
        ? "'rram chip show ID' tells a chip's wear and its lifetime limit, 'rram info' its other limits" : nil,
      exitCode: error.code == .malformedRecord
        ? ExitStatus.badInput : error.code == .noMacro ? ExitStatus.usage : ExitStatus.failure)
  case let error as ScheduleError:
    Diagnosis(message: "\(error)", exitCode: ExitStatus.failure)
  case let error as SessionError:
    session(error)
  case let error as HDPMError:
    diagnose(error)
  case let error as CommandError:
    Diagnosis(message: error.message, hint: error.hint, exitCode: error.exitCode)
  default:
    Diagnosis(message: "\(error)", exitCode: ExitStatus.failure)
  }
}

/// An error that only the command line knows.
struct CommandError: Error {
  var message: String
  var hint: String?
  var exitCode: Int32
}

private func records(_ error: RecordsError) -> Diagnosis {
  switch error.code {
  case .newerVersion: Diagnosis(message: "\(error)", hint: "update the toolkit", exitCode: ExitStatus.badInput)
  case .malformed, .notFound: Diagnosis(message: "\(error)", exitCode: ExitStatus.badInput)
  case .occupied: Diagnosis(message: "\(error)", hint: "name another folder", exitCode: ExitStatus.usage)
  case .tool:
    Diagnosis(
      message: "\(error)", hint: error.reason.contains("not installed") ? "'tools/setup run' installs gnuplot" : nil,
      exitCode: ExitStatus.failure)
  default: Diagnosis(message: "\(error)", exitCode: ExitStatus.failure)
  }
}

private func transport(_ error: TransportError) -> Diagnosis {
  let code: Int32 =
    switch error.code {
    case .notFound: ExitStatus.noBoard
    case .busy, .timedOut: ExitStatus.busy
    case .permission: ExitStatus.noPermission
    case .protocolViolation: ExitStatus.protocolMismatch
    case .badAddress, .ambiguous: ExitStatus.usage
    case .cancelled: ExitStatus.interrupted
    default: ExitStatus.failure
    }
  let hint: String? =
    switch error.code {
    case .notFound where error.address.hasPrefix("usb:"):
      "no board at hand? '--board emu:' emulates one"
    case .notFound where error.address.hasPrefix("sock:"):
      "'rram emulate --socket PATH' serves an emulated board there"
    case .notFound where error.address.hasPrefix("hdpm:"):
      "serial adapters show as /dev/ttyUSB… and, by name, in /dev/serial/by-id; 'hdpm-emu:' is the board's twin"
    case .permission where error.address.hasPrefix("hdpm:"):
      "serial ports belong to a group, often dialout: 'sudo usermod -aG dialout $USER', then log in again"
    case .ambiguous: "name one: '--board usb:SERIAL'"
    case .permission where error.address.hasPrefix("usb:"):
      "'tools/setup usb' installs the rule that lets group plugdev use the board; then plug it in again"
    case .busy where error.address.hasPrefix("tcp:") || error.address.hasPrefix("unix:"):
      "another program serves this address; name another one"
    case .busy: "another process holds the board; end it first"
    default: nil
    }
  return Diagnosis(message: "\(error)", hint: hint, exitCode: code)
}

private func board(_ error: BoardError) -> Diagnosis {
  switch error.code {
  case .linkLost, .badDescription:
    if let underlying = error.underlying, !(underlying is BoardError) {
      let below = diagnose(underlying)
      return Diagnosis(message: "\(error)", hint: below.hint, exitCode: below.exitCode)
    }
    return Diagnosis(message: "\(error)", exitCode: ExitStatus.failure)
  case .busy, .timedOut, .replyLost: return Diagnosis(message: "\(error)", exitCode: ExitStatus.busy)
  case .badArgument: return Diagnosis(message: "\(error)", exitCode: ExitStatus.usage)
  case .versionMismatch:
    return Diagnosis(
      message: "\(error)", hint: "update the side with the lower level: the firmware, or this toolkit",
      exitCode: ExitStatus.protocolMismatch)
  case .protocolViolation: return Diagnosis(message: "\(error)", exitCode: ExitStatus.protocolMismatch)
  case .notSafe:
    return Diagnosis(
      message: "\(error)", hint: "the board's watchdog grounds the array by itself; 'rram safe' tries again",
      exitCode: ExitStatus.failure)
  default: return Diagnosis(message: "\(error)", exitCode: ExitStatus.failure)
  }
}

private func mapping(_ error: MappingError) -> Diagnosis {
  let hint: String? =
    switch error.code {
    case .notFormed: "'rram form --for MODEL' forms the cells that a model needs"
    case .notProgrammed, .changedSince, .unknownLabel, .otherModel: "'rram program MODEL' puts it there"
    default: nil
    }
  let code = error.code == .malformedRecord ? ExitStatus.badInput : ExitStatus.failure
  return Diagnosis(message: "\(error)", hint: hint, exitCode: code)
}

private func session(_ error: SessionError) -> Diagnosis {
  let hint: String? =
    switch error.code {
    case .otherCalibration, .unknownCalibration:
      "'rram calibrate schedule MODEL' makes one for what is on the chip; '--calibration none' plays the model's own tables"
    default: nil
    }
  let code: Int32 =
    switch error.code {
    case .malformedFile, .presetOutOfRange, .targetData: ExitStatus.badInput
    case .invalidArgument: ExitStatus.usage
    default: ExitStatus.failure
    }
  return Diagnosis(message: "\(error)", hint: hint, exitCode: code)
}

private func emulator(_ error: EmulatorError) -> Diagnosis {
  switch error.code {
  case .busy:
    Diagnosis(
      message: "\(error)", hint: "one process at a time uses a chip; 'rram emulate' serves one to others",
      exitCode: ExitStatus.busy)
  case .newerVersion: Diagnosis(message: "\(error)", hint: "update the toolkit", exitCode: ExitStatus.badInput)
  case .olderVersion:
    Diagnosis(
      message: "\(error)", hint: "name another state=FILE, or remove this one", exitCode: ExitStatus.badInput)
  case .mismatch:
    Diagnosis(
      message: "\(error)", hint: "give the profile, board and seed the file was made with, or another state=FILE",
      exitCode: ExitStatus.badInput)
  case .damaged, .file: Diagnosis(message: "\(error)", exitCode: ExitStatus.badInput)
  default: Diagnosis(message: "\(error)", exitCode: ExitStatus.failure)
  }
}

private func diagnose(_ error: HDPMError) -> Diagnosis {
  let code: Int32 =
    switch error.code {
    case .unknownPreset, .value: ExitStatus.usage
    case .coefficients, .capture: ExitStatus.badInput
    case .silent, .busy: ExitStatus.busy
    case .wrongAnswer: ExitStatus.protocolMismatch
    default: ExitStatus.failure
    }
  let hint: String? =
    switch error.code {
    case .overflow: "'rram hdpm schedule PRESET --allow-overflow' tells what each channel would do"
    case .silent: "is this the board's port, and is the board powered?"
    case .wrongAnswer: "is this the board's port, and does nothing else use it?"
    case .noCapture: "does the scope trigger on S1 and write into this folder?"
    case .unsupported: "its verbs are 'rram sample' and 'rram hdpm'"
    default: nil
    }
  return Diagnosis(message: "\(error)", hint: hint, exitCode: code)
}

/// The command that mends what `doctor` found.
func remedy(_ problem: Checkup.Problem) -> String? {
  switch problem {
  case .noUSB: "rram info --board emu:"
  case .noDeviceNodes: "docker run --device /dev/bus/usb …"
  case .noBoard: "plug it in, or: rram info --board emu:"
  case .notABoard, .failed: nil
  case .sameSerial: "unplug one of them"
  case .noRule: "tools/setup usb"
  case .udevNotRunning: "sudo systemctl start systemd-udevd"
  case .memory(let needed): "echo \(needed) | sudo tee /sys/module/usbcore/parameters/usbfs_memory_mb"
  case .notPermitted: "sudo udevadm trigger --action=change --subsystem-match=usb"
  case .notInGroup(let group, let user): "sudo adduser \(user) \(group), then log in again"
  case .loginOlderThanGroup(let group): "newgrp \(group), or log in again"
  case .firmwareTooOld: "update the firmware"
  case .hostTooOld: "update the side with the lower level: the firmware, or this toolkit"
  case .busy(let holders):
    switch holders.count {
    case 0: "sudo rram doctor"
    case 1: "kill \(holders[0].processID)"
    // Who merely looks at the board has it open as well.
    default: "end the one that works on it: " + holders.map { "\($0)" }.joined(separator: ", ")
    }
  case .silent: "unplug the board and plug it in again"
  case .garbled: "update the firmware, or unplug the board if it is none"
  }
}

/// The code with which other commands would end for the same reason.
func exitCode(_ problem: Checkup.Problem) -> Int32 {
  switch problem {
  case .noUSB, .noDeviceNodes, .noBoard, .notABoard: ExitStatus.noBoard
  case .noRule, .notPermitted, .notInGroup, .loginOlderThanGroup: ExitStatus.noPermission
  case .firmwareTooOld, .hostTooOld, .garbled: ExitStatus.protocolMismatch
  case .busy, .silent: ExitStatus.busy
  case .sameSerial: ExitStatus.usage
  case .memory, .udevNotRunning, .failed: ExitStatus.failure
  }
}
