import ArgumentParser
import RRAMKit

struct InfoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Say who a board is, what it can do, and what it permits.")

  @Flag(help: "Show every limit in force, and whose it is.")
  var limits = false

  @OptionGroup var allowed: AllowOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var link: LinkOptions

  func run() async throws {
    let address = try options.address()
    let files = try link.files(for: address)
    var configuration = BoardConfiguration()
    configuration.allowance = try allowed.allowance()
    if limits {
      let table = try await RRAM.withBoard(
        at: address, configuration: configuration, files: files, logger: options.common.logger
      ) { board in
        LimitsOutput(board, allowance: configuration.allowance)
      }
      return try answer(table, json: options.common.json)
    }
    let output = try await RRAM.withBoard(
      at: address, configuration: configuration, files: files, logger: options.common.logger
    ) { board in
      let heartbeat = try await board.heartbeat()
      var labels: [MacroLabel] = []
      for macro in 0..<board.boardDescription.macros.count { labels.append(try await board.label(macro: macro)) }
      return InfoOutput(board: board, heartbeat: heartbeat, labels: labels, counters: try await board.counters())
    }
    try answer(output, json: options.common.json)
  }
}

struct InfoOutput: CommandOutput {
  struct Limits: Encodable {
    var wordLine: Double
    var bitLine: Double
    var sourceLine: Double
    var forming: Double
    var read: Double
    var pulseWidth: [Double]
    var pulsesPerRequest: Int
    /// Microsiemens.
    var conductance: [Double]

    enum CodingKeys: String, CodingKey {
      case wordLine = "wordLine_V"
      case bitLine = "bitLine_V"
      case sourceLine = "sourceLine_V"
      case forming = "forming_V"
      case read = "read_V"
      case pulseWidth = "pulseWidth_s"
      case pulsesPerRequest
      case conductance = "conductance_uS"
    }
  }
  struct Macro: Encodable {
    var macro: Int
    var label: String?
    var writeCounter: UInt64
  }

  var address: String
  var serial: String
  var board: String
  var summary: String
  var firmware: String
  var protocolLevel: Int
  var firmwareLevels: [Int]
  var emulated: Bool
  var chip: String
  var chipProfile: String
  var capabilities: [String]
  var macroCount: Int
  var rows: Int
  var columns: Int
  var closedLoop: String
  var unitVoltage: Double?
  /// Against what the voltages of the closed loop hold: a calibration, or `uncalibrated`; nil without a loop.
  var loopScale: String?
  var energised: Bool
  var lastSafeCause: String
  var limits: Limits
  var macros: [Macro]
  var pulses: Int
  var reads: Int
  var badFrames: Int
  var watchdogTrips: Int
  /// Against what reads hold, and the calibration of the loop's gains in force.
  var absoluteScale: String
  var loopCalibration: String?

  enum CodingKeys: String, CodingKey {
    case address, serial, board, summary, firmware, protocolLevel, firmwareLevels, emulated, chip, chipProfile
    case capabilities, macroCount, rows, columns, closedLoop
    case unitVoltage = "unitVoltage_V"
    case energised, lastSafeCause, limits, macros, pulses, reads, badFrames, watchdogTrips, absoluteScale,
      loopCalibration, loopScale
  }

  init(board: Board, heartbeat: HeartbeatResult, labels: [MacroLabel], counters: Counters) {
    let info = board.info
    address = info.address
    serial = info.serial
    self.board = info.board
    summary = board.boardDescription.summary
    firmware = info.firmwareVersion
    protocolLevel = info.protocolLevel
    firmwareLevels = [info.firmwareLevels.lowerBound, info.firmwareLevels.upperBound]
    emulated = info.isEmulated
    chip = info.chipID
    chipProfile = info.chipProfile
    capabilities = info.capabilities.map { "\($0)" }.sorted()
    macroCount = board.boardDescription.macros.count
    rows = board.boardDescription.macros.shape.rows
    columns = board.boardDescription.macros.shape.columns
    closedLoop =
      board.boardDescription.closedLoop.map { "macros " + $0.layerMacros.map { "\($0)" }.joined(separator: " → ") }
      ?? "none"
    unitVoltage = board.boardDescription.closedLoop?.unitVoltage.rawValue
    loopScale = board.boardDescription.closedLoop == nil ? nil : board.loopScale
    energised = heartbeat.isEnergised
    lastSafeCause = "\(heartbeat.lastSafeCause)"
    let limits = board.limits
    self.limits = Limits(
      wordLine: limits.wordLine.rawValue, bitLine: limits.bitLine.rawValue,
      sourceLine: limits.sourceLine.rawValue,
      forming: limits.forming.rawValue, read: limits.read.rawValue,
      pulseWidth: [limits.pulseWidth.lowerBound.seconds, limits.pulseWidth.upperBound.seconds],
      pulsesPerRequest: limits.pulsesPerRequest,
      conductance: [limits.conductance.lowerBound.microsiemens, limits.conductance.upperBound.microsiemens])
    macros = labels.map { label in
      Macro(
        macro: label.macro,
        label: label.label.allSatisfy { $0 == 0 }
          ? nil : label.label.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined(),
        writeCounter: label.writeCounter)
    }
    pulses = counters.pulses
    reads = counters.reads
    badFrames = counters.badFrames
    watchdogTrips = counters.watchdogTrips
    absoluteScale = board.absoluteScale
    loopCalibration = board.loopCalibration?.id
  }

  var text: String {
    var rows = [
      ["board", "\(board): \(summary)"], ["address", address], ["serial", serial],
      ["firmware", "\(firmware), protocol level \(protocolLevel) (speaks \(firmwareLevels[0])–\(firmwareLevels[1]))"],
      [
        "chip",
        chip.isEmpty
          ? "unknown"
          : "\(chip)\(chipProfile.isEmpty ? "" : ", profile \(chipProfile)")\(emulated ? ", emulated" : "")",
      ],
      ["macros", "\(macroCount) of \(self.rows)×\(columns)"], ["closed loop", closedLoop],
      ["can", capabilities.joined(separator: ", ")],
      ["state", energised ? "energised" : "safe (\(lastSafeCause))"],
      [
        "limits",
        limits.pulsesPerRequest == 0
          ? "reads up to \(Volts(limits.read)) and nothing else"
          : "WL \(Volts(limits.wordLine)), BL \(Volts(limits.bitLine)), SL \(Volts(limits.sourceLine)), "
            + "forming \(Volts(limits.forming)), read \(Volts(limits.read)), "
            + "\(limits.conductance[0].formatted(digits: 4))–\(limits.conductance[1].formatted(digits: 4)) µS",
      ],
    ]
    rows.append(["scale", absoluteScale])
    if let loopScale { rows.append(["loop's scale", loopScale]) }
    if let loopCalibration { rows.append(["loop's gains", "calibration \(loopCalibration)"]) }
    for macro in macros {
      rows.append([
        "macro \(macro.macro)",
        "\(macro.writeCounter) writing operations, \(macro.label.map { "label \($0)" } ?? "no label")",
      ])
    }
    let width = rows.map { $0[0].count }.max() ?? 0
    return rows.map { $0[0] + String(repeating: " ", count: width - $0[0].count + 2) + $0[1] }.joined(separator: "\n")
  }
}
