import ArgumentParser
import RRAMKit

/// What the user knowingly allows beyond the limits.
struct AllowOptions: ParsableArguments {
  @Option(
    help: """
      Open a limit: overvoltage=V (line voltages up to V, beyond the host's record of the chip) or wear (pulses in run and life). \
      Nothing else can be opened, and the board's own voltages never.
      """)
  var allow: [String] = []

  func allowance() throws -> LimitAllowance {
    var allowance = LimitAllowance()
    for text in allow {
      if text == "wear" {
        allowance.wear = true
      } else if text.hasPrefix("overvoltage="), let volts = Double(text.dropFirst("overvoltage=".count)), volts > 0,
        volts <= 20
      {
        allowance.overVoltage = Volts(volts)
      } else {
        throw CommandError(
          message: "--allow \(text): 'overvoltage=V' with V above 0 and up to 20, or 'wear'", exitCode: ExitStatus.usage
        )
      }
    }
    return allowance
  }
}

/// Every limit in force and where it comes from.
struct LimitsOutput: CommandOutput {
  struct Row: Encodable {
    var limit: String
    var value: String
    /// Records that state this value: board, chip or none.
    var from: [String]
  }

  var address: String
  var chip: String
  var rows: [Row]
  /// Files of the records, by their names in `from`.
  var files: [String: String]
  var allowed: [String]
  var drivers: [String]

  private enum CodingKeys: String, CodingKey {
    case address, chip
    case rows = "limits"
    case files, allowed, drivers
  }

  init(_ board: Board, allowance: LimitAllowance) {
    address = board.address
    chip = board.info.chipID
    let records = board.limitRecords
    files = [:]
    for record in records { if let file = record.file { files[record.source.rawValue] = file } }
    allowed = []
    if let voltage = allowance.overVoltage { allowed.append("overvoltage up to \(voltage)") }
    if allowance.wear { allowed.append("wear") }
    let (limits, drivers) = (board.limits, board.boardDescription.drivers)
    func row<Value: Equatable>(
      _ name: String, _ value: (ChipLimits) -> Value?, _ text: (Value) -> String
    ) -> Row {
      guard let inForce = value(limits) else { return Row(limit: name, value: "not limited", from: []) }
      return Row(
        limit: name, value: text(inForce),
        from: records.filter { value($0.limits) == inForce }.map(\.source.rawValue))
    }
    func width(_ range: ClosedRange<Duration>) -> String {
      "\((range.lowerBound.seconds * 1e9).formatted(digits: 4)) to \((range.upperBound.seconds * 1e9).formatted(digits: 6)) ns"
    }
    func upTo<Value>(_ value: Value) -> String { "up to \(value)" }
    rows = [
      row("word line", \.wordLine, upTo), row("bit line", \.bitLine, upTo), row("source line", \.sourceLine, upTo),
      row("forming", \.forming, upTo), row("read", \.read, upTo), row("slew", \.slew, upTo),
      row("pulse width", \.pulseWidth, width),
      row("pulse energy", \.pulseEnergy, upTo), row("current", \.current, upTo), row("power", \.power, upTo),
      row("conductance", \.conductance) { "\($0.lowerBound) to \($0.upperBound)" },
      row("resistance", \.resistance, upTo), row("disturb", \.disturb) { "loop below \($0)" },
      row("pulses per request", \.pulsesPerRequest, upTo), row("pulses per run", \.pulsesPerRun, upTo),
      row("pulses per life", \.pulsesPerLife, upTo),
      row("temperature", \.temperature) { "\($0.lowerBound) to \($0.upperBound)" },
    ]
    if limits.disturb == nil, let index = rows.firstIndex(where: { $0.limit == "disturb" }) {
      rows[index].value = "not stated: no closed loop"
    }
    self.drivers = [
      "lines \(drivers.bitLine.range.lowerBound) to \(drivers.bitLine.range.upperBound)",
      "compliance \(drivers.compliance?.description ?? "not stated")",
      "slew \(drivers.slew?.description ?? "not stated")",
      "pulses of " + width(drivers.pulseWidth),
    ]
    if let loop = board.boardDescription.closedLoop {
      self.drivers.append(
        "rows of the loop clamped at \(loop.rowClamp), "
          + (loop.overRangeAbort.map { "run ended after \($0) samples over range" } ?? "no over-range abort"))
    }
  }

  var text: String {
    let table = rows.map { [$0.limit, $0.value, $0.from.isEmpty ? "" : "from: " + $0.from.joined(separator: ", ")] }
    let widths = (0..<2).map { column in table.map { $0[column].count }.max() ?? 0 }
    var lines = ["limits of chip \(chip.isEmpty ? "(unknown)" : chip) on \(address)"]
    lines += table.map { row in
      let padded = (0..<2).map { row[$0] + String(repeating: " ", count: widths[$0] - row[$0].count + 2) }
      return (padded.joined() + row[2]).trimmingSuffix { $0 == " " }
    }
    for (source, file) in files.sorted(by: { $0.key < $1.key }) { lines.append("\(source): \(file)") }
    if !allowed.isEmpty { lines.append("opened by --allow: " + allowed.joined(separator: ", ")) }
    lines.append("the board's drivers: " + drivers.joined(separator: "; "))
    return lines.joined(separator: "\n")
  }
}

extension String {
  fileprivate func trimmingSuffix(_ isDropped: (Character) -> Bool) -> String {
    var text = self[...]
    while let last = text.last, isDropped(last) { text.removeLast() }
    return String(text)
  }
}
