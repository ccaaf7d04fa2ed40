import ArgumentParser
import Foundation
import RRAMKit

/// Who knows and who changes the chip's temperature.
struct SurroundingsOptions: ParsableArguments {
  @Option(help: "The chip's temperature in °C, as the operator knows it. Default: the board's sensor.")
  var temperature: Double?

  @Option(help: "A command that prints the chip's temperature in °C.")
  var temperatureCommand: String?

  @Option(
    help: "A command that brings the chip to the temperature in °C that is its argument, and ends when it is there.")
  var ovenCommand: String?

  func validate() throws {
    if temperature != nil, temperatureCommand != nil {
      throw ValidationError("--temperature and --temperature-command both say the temperature: give one")
    }
    if let temperature, !(-273.15...1000).contains(temperature) {
      throw ValidationError("--temperature \(temperature): not a temperature in °C")
    }
  }

  func surroundings(of board: Board) -> Surroundings {
    var surroundings = Surroundings.own(of: board)
    if let temperature { surroundings.temperature = { _ in temperature } }
    if let temperatureCommand {
      surroundings.temperature = { _ in
        let answer = try await shell(temperatureCommand)
        guard let celsius = Double(answer.trimmingCharacters(in: .whitespacesAndNewlines)), celsius.isFinite else {
          throw CommandError(
            message: "'\(temperatureCommand)' printed '\(answer.prefix(80))' where a temperature in °C belongs",
            exitCode: ExitStatus.failure)
        }
        return celsius
      }
    }
    if let ovenCommand { surroundings.bring = { _, celsius in _ = try await shell(ovenCommand + " \(celsius)") } }
    return surroundings
  }
}

/// What a command of the operator prints.
private func shell(_ command: String) async throws -> String {
  try await withCheckedThrowingContinuation { continuation in
    // Waiting for a process blocks: not on the threads that everybody shares.
    Thread.detachNewThread {
      continuation.resume(
        with: Result {
          let process = Process()
          process.executableURL = URL(filePath: "/bin/sh")
          process.arguments = ["-c", command]
          let output = Pipe()
          process.standardOutput = output
          try process.run()
          let text = output.fileHandleForReading.readDataToEndOfFile()
          process.waitUntilExit()
          guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw CommandError(
              message: "'\(command)' failed with status \(process.terminationStatus)", exitCode: ExitStatus.failure)
          }
          return String(decoding: text, as: UTF8.self)
        })
    }
  }
}

extension Board {
  /// Against what the conductances hold that this board reads.
  nonisolated var absoluteScale: String {
    guard let calibration else { return "uncalibrated" }
    let day = Date(timeIntervalSince1970: calibration.madeAt).formatted(.iso8601)
    return "\(calibration.reference), calibration \(calibration.id) of \(day)"
      + (calibration.celsius.map { " at \($0.formatted(digits: 3)) °C" } ?? "")
  }

  /// What speaks against the calibration in force: its age, or another temperature; nil if nothing does.
  func calibrationDoubt(now: Date = Date()) async throws -> String? {
    guard let calibration else { return nil }
    let days = (now.timeIntervalSince1970 - calibration.madeAt) / 86_400
    if days > Self.oldCalibrationDays {
      return
        "calibration \(calibration.id) of the read chain is \(Int(days)) days old (over \(Int(Self.oldCalibrationDays)))"
    }
    guard let made = calibration.celsius, info.capabilities.contains(.rawConverters) else { return nil }
    let here = try await readADC(.temperature, channel: 0).value
    guard abs(here - made) > Self.calibrationSpan else { return nil }
    return
      "calibration \(calibration.id) of the read chain was made at \(made.formatted(digits: 3)) °C, and the board shows \(here.formatted(digits: 3)) °C"
  }

  private static let oldCalibrationDays = 30.0
  /// °C within which amplifiers and resistors are taken to stay what they are.
  private static let calibrationSpan = 10.0
}
