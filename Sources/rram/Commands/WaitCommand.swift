import ArgumentParser
import RRAMKit

struct WaitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wait", abstract: "Let chip time pass: virtual on an emulated board, real on hardware.")

  @Argument(help: "How long: 10ms, 1s, 600s, 10min, 1h, 1d.", transform: parseDuration)
  var time: Duration

  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func run() async throws {
    let output = try await withRecordedBoard(options, runOptions, settings: ["time_s": "\(time.seconds)"]) {
      board, record in
      let advanced = board.info.capabilities.contains(.advanceTime)
      if advanced { try await board.advanceTime(by: time) } else { try await Task.sleep(for: time) }
      try record.events.append([.init("wait", detail: "\(time.seconds) s")])
      return WaitOutput(chipSeconds: time.seconds, virtual: advanced)
    }
    try answer(output, json: options.common.json)
  }
}

struct WaitOutput: CommandOutput {
  var chipSeconds: Double
  var virtual: Bool

  var text: String { "\(chipSeconds.formatted(digits: 6)) s of chip time passed\(virtual ? " (virtual)" : "")" }
}

/// `1.5s`, `10ms`, `600s`, `10min`, `1h`, `1d`: more than 0 and at most 10 years.
func parseDuration(_ text: String) throws -> Duration {
  let units: [(suffix: String, seconds: Double)] = [
    ("min", 60), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("s", 1), ("h", 3600), ("d", 86_400),
  ]
  guard let unit = units.first(where: { text.hasSuffix($0.suffix) }),
    let value = Double(text.dropLast(unit.suffix.count)),
    value * unit.seconds > 0, value * unit.seconds <= 10 * 365.25 * 86_400
  else {
    throw ValidationError("'\(text)' is not a time: a number above 0 with ms, s, min, h or d, at most 10 years")
  }
  return .seconds(value * unit.seconds)
}
