public import Foundation
public import RRAMBoard
public import RRAMModel
internal import RRAMProfiles
public import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// What was programmed onto a chip: the host's side of the label that its macros carry.
public struct ProgramRecord: Sendable, Hashable, Codable {
  /// The write counter of a macro when its label was set.
  public struct Macro: Sendable, Hashable, Codable {
    public var macro: Int
    public var writeCounter: UInt64

    public init(macro: Int, writeCounter: UInt64) {
      self.macro = macro
      self.writeCounter = writeCounter
    }
  }

  /// Version of this layout; a larger one is refused.
  public static let currentSchema = 2

  public var schema = ProgramRecord.currentSchema
  /// 16 bytes as 32 hexadecimal digits.
  public var label: String
  public var programmedUTC: Date
  public var chip: String
  /// Name of the chip's profile; empty where the board does not know it.
  public var profile: String
  public var serial: String
  /// Name of the board description.
  public var board: String
  public var model: String
  public var modelSHA256: String
  public var plan: MappingPlan
  public var macros: [Macro]
  public var report: ProgramReport
  /// The latest read of every cell, siemens, one array a layer, row-major over its block; nil where it was not read.
  public var conductances: [[Float?]]
  /// When the last cell was written; nil in records that do not say.
  public var written: BoardMoment?

  /// The label as bytes.
  public var labelBytes: [UInt8] { bytes(hexadecimal: label) }

  /// A new label: the first 16 bytes of SHA-256 over model, plan, chip and a nonce, so that programming the same again
  /// gives another label.
  static func makeLabel(plan: MappingPlan, modelSHA256: String, chip: String, nonce: UInt64) throws -> [UInt8] {
    struct Contents: Codable {
      var model: String
      var plan: MappingPlan
      var chip: String
      var nonce: UInt64
    }
    let contents = Contents(model: modelSHA256, plan: plan, chip: chip, nonce: nonce)
    return Array(SHA256.hash(Array(try JSONEncoder.records.encode(contents))).prefix(MacroLabel.byteCount))
  }

  /// Keeps the record under its label.
  public func save(home: RecordsHome) throws {
    let encoder = JSONEncoder.records
    encoder.dateEncodingStrategy = .iso8601
    try home.saveProgram(try encoder.encode(self), label: labelBytes, chip: chip)
  }

  /// The record of what is on the chip, after checking label and write counter of every macro concerned; its column gains are trimmed to what
  /// the board's calibration of the loop says.
  ///
  /// - Parameter model: if given, the chip must carry it.
  /// - Throws: ``MappingError`` with `notProgrammed`, `unknownLabel`, `changedSince`, `otherModel` or `malformedRecord`,
  ///   saying what was found.
  public static func find(on board: Board, home: RecordsHome, model: ScoreModel? = nil) async throws -> ProgramRecord {
    let chip = board.info.chipID
    let macros = board.boardDescription.closedLoop?.layerMacros ?? Array(0..<board.boardDescription.macros.count)
    var found: [Int: MacroLabel] = [:]
    for macro in Set(macros).sorted() { found[macro] = try await board.label(macro: macro) }
    guard let first = found.values.filter({ !$0.isUnset }).min(by: { $0.macro < $1.macro }) else {
      throw MappingError(
        .notProgrammed, "chip \(chip) of \(board.address): no macro carries a label, so no network was programmed")
    }
    let label = hexadecimal(first.label)
    guard let data = try home.program(label: first.label, chip: chip) else {
      throw MappingError(
        .unknownLabel,
        "chip \(chip) of \(board.address): macro \(first.macro) carries label \(label), which \(home.root.path) "
          + "does not know: it was programmed from elsewhere, or programming was interrupted"
      )
    }
    var record = try read(data, label: label)
    for expected in record.macros {
      let actual: MacroLabel
      if let known = found[expected.macro] {
        actual = known
      } else {
        actual = try await board.label(macro: expected.macro)
      }
      let place = "chip \(chip) of \(board.address): macro \(expected.macro)"
      guard actual.label == first.label else {
        throw MappingError(
          .changedSince,
          "\(place) carries \(actual.isUnset ? "no label" : "label \(hexadecimal(actual.label))"), and macro "
            + "\(first.macro) label \(label): they were not programmed together")
      }
      guard actual.writeCounter == expected.writeCounter else {
        throw MappingError(
          .changedSince,
          "\(place) was changed after '\(record.model)' was programmed: its write counter is \(actual.writeCounter), and "
            + "was \(expected.writeCounter)")
      }
    }
    if let model, model.sha256 != record.modelSHA256 {
      throw MappingError(
        .otherModel,
        "chip \(chip) of \(board.address) carries '\(record.model)' (SHA-256 \(record.modelSHA256.prefix(12))…), not "
          + "'\(model.name)' (\(model.sha256.prefix(12))…)")
    }
    if let amplifiers = board.loopCalibration, let loop = board.boardDescription.closedLoop {
      try record.plan.trim(amplifiers, on: loop)
    }
    return record
  }

  static func read(_ data: Data, label: String) throws -> ProgramRecord {
    struct Schema: Codable { var schema: Int }
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    do {
      let schema = try decoder.decode(Schema.self, from: data).schema
      guard schema <= currentSchema else {
        throw MappingError(
          .malformedRecord, "record \(label): layout \(schema) is newer than this toolkit's \(currentSchema)")
      }
      guard schema == currentSchema else {
        throw MappingError(
          .malformedRecord,
          "record \(label): layout \(schema) of an older toolkit, which did not say what drives each row: program the model again"
        )
      }
      return try decoder.decode(ProgramRecord.self, from: data)
    } catch let error as MappingError {
      throw error
    } catch {
      throw MappingError(.malformedRecord, "record \(label): is no record of a program", underlying: error)
    }
  }
}

extension MacroLabel {
  /// Never set: all zeros.
  var isUnset: Bool { label.allSatisfy { $0 == 0 } }
}

/// Lower-case hexadecimal digits.
func hexadecimal(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef")
  return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}

private func bytes(hexadecimal text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
