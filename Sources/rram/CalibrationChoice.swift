import Foundation
import RRAMKit

/// What `--calibration` says.
enum CalibrationChoice: Sendable {
  /// The newest that fits, or none.
  case newest
  case none
  /// Refused if it does not fit.
  case file(ScheduleCalibration)
  case id(String)

  /// - Throws: for a file that is no calibration.
  init(_ argument: String?) throws {
    switch argument {
    case nil: self = .newest
    case "none": self = .none
    case let name? where name.contains("/") || name.hasSuffix(".json"):
      self = .file(try ScheduleCalibration(file: URL(filePath: name)))
    case let id?: self = .id(id)
    }
  }

  /// What can be refused before a board is asked.
  func check(_ programs: [SamplingProgram]) throws {
    guard case .file(let calibration) = self else { return }
    for program in programs { try calibration.check(program) }
  }

  /// The programs with the tables that are chosen, after a look at the cells.
  ///
  /// - Returns: also what was used, nil for none.
  func apply(
    to programs: [SamplingProgram], on board: Board, quiet: Bool
  ) async throws -> (programs: [SamplingProgram], use: CalibrationUse?, calibration: ScheduleCalibration?) {
    if case .none = self { return (programs, nil, nil) }
    guard let model = programs.first?.model else { return (programs, nil, nil) }
    // A board that cannot play them is refused before its chip is looked at.
    for program in programs {
      _ = try program.schedule(
        on: board.boardDescription, lines: board.lineCalibration?.lines)
    }
    let home = RecordsHome()
    let record = try await ProgramRecord.find(on: board, home: home, model: model)
    let calibration: ScheduleCalibration
    switch self {
    case .newest:
      let (found, refusal) = ScheduleCalibration.newest(for: programs, on: board, record: record, home: home)
      guard let found else {
        if let refusal, !quiet { note("no calibration is used: \(refusal)") }
        return (programs, nil, nil)
      }
      calibration = found
    case .id(let id): calibration = try .named(id, chip: board.info.chipID, home: home)
    case .file(let given): calibration = given
    case .none: return (programs, nil, nil)
    }
    try calibration.check(on: board, record: record)
    var calibrated = programs
    for index in calibrated.indices { try calibrated[index].apply(calibration) }

    let movement = try await calibration.movement(on: board, record: record)
    if !quiet {
      note(
        "calibration \(calibration.id) (target \(calibration.target.name)): its cells were read \(age(movement.seconds)) ago and have moved by \(movement.percent.formatted(digits: 2)) % of the window since"
      )
      if movement.isTooFar {
        note(
          "warning: the cells have moved by more than the \(ScheduleCalibration.farthestMovement) % of the window that a calibration allows; 'rram calibrate schedule \(calibration.model) --solver \(calibration.solver.rawValue)' makes a new one"
        )
      }
    }
    return (calibrated, CalibrationUse(calibration, movement), calibration)
  }
}

/// A time for people.
func age(_ seconds: Double) -> String {
  switch seconds {
  case ..<120: "\(seconds.formatted(digits: 2)) s"
  case ..<7200: "\((seconds / 60).formatted(digits: 2)) min"
  case ..<172_800: "\((seconds / 3600).formatted(digits: 2)) h"
  default: "\((seconds / 86_400).formatted(digits: 3)) days"
  }
}
