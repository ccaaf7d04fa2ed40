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
    calibration.map {
      Self.scale("\($0.reference)", $0.id, madeAt: $0.madeAt, celsius: $0.celsius)
    } ?? "uncalibrated"
  }

  /// Against what the voltages of the closed loop hold.
  nonisolated var loopScale: String {
    lineCalibration.map {
      Self.scale("\($0.reference)", $0.id, madeAt: $0.madeAt, celsius: $0.celsius)
    } ?? "uncalibrated"
  }

  private static func scale(_ reference: String, _ id: String, madeAt: Double, celsius: Double?) -> String {
    let day = Date(timeIntervalSince1970: madeAt).formatted(.iso8601)
    return "\(reference), calibration \(id) of \(day)" + (celsius.map { " at \($0.formatted(digits: 3)) °C" } ?? "")
  }

  /// What speaks against the calibrations in force: their age, or another temperature.
  func calibrationDoubts(now: Date = Date()) async throws -> [String] {
    let inForce =
      (calibration.map { [("\($0.id) of the read chain", $0.madeAt, $0.celsius)] } ?? [])
      + (loopCalibration.map { [("\($0.id) of the loop", $0.madeAt, $0.celsius)] } ?? [])
      + (lineCalibration.map { [("\($0.id) of the loop's converters", $0.madeAt, $0.celsius)] } ?? [])
    var doubts =
      staleLoopCalibration.map { stale in
        [
          "calibration \(stale.id) of the loop was made with "
            + (stale.readCalibration.map { "calibration \($0)" } ?? "no calibration")
            + " of the read chain in force and is not used: 'rram characterize loopGains' makes one that holds"
        ]
      } ?? []
    var here: Double?
    for (name, madeAt, celsius) in inForce {
      let days = (now.timeIntervalSince1970 - madeAt) / 86_400
      if days > Self.oldCalibrationDays {
        doubts.append("calibration \(name) is \(Int(days)) days old (over \(Int(Self.oldCalibrationDays)))")
        continue
      }
      guard let celsius, info.capabilities.contains(.rawConverters) else { continue }
      if here == nil { here = try await readADC(.temperature, channel: 0).value }
      guard let here, abs(here - celsius) > Self.calibrationSpan else { continue }
      doubts.append(
        "calibration \(name) was made at \(celsius.formatted(digits: 3)) °C, and the board shows \(here.formatted(digits: 3)) °C"
      )
    }
    return doubts
  }

  private static let oldCalibrationDays = 30.0
  /// °C within which amplifiers and resistors are taken to stay what they are.
  private static let calibrationSpan = 10.0
}
