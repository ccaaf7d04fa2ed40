internal import Foundation

/// Embedding frequencies and class offsets that the firmware holds under one letter or digit.
public struct HDPMPreset: Sendable, Hashable {
  /// The character of the `In` command: `0`–`4`, `a`–`g`, `A`–`I`.
  public var name: Character
  /// Factor on the embedding; `nil` = 5·v_bias.
  public var fixedScale: Float?
  /// W_k, k = 1 … 7, periods a run.
  public var frequencies: [Float]
  /// c_k, k = 1 … 14, in units of the network.
  public var offsets: [Float]

  /// Makes a preset of 7 frequencies and 14 offsets.
  public init(name: Character, fixedScale: Float? = nil, frequencies: [Float], offsets: [Float]) {
    precondition(frequencies.count == 7 && offsets.count == 14, "a preset has 7 frequencies and 14 offsets")
    self.name = name
    self.fixedScale = fixedScale
    self.frequencies = frequencies
    self.offsets = offsets
  }

  /// The 21 presets of the published firmware, in its order; their source is named in the package's `presets.csv`.
  public static let all: [HDPMPreset] = {
    guard let url = Bundle.module.url(forResource: "presets", withExtension: "csv"),
      let text = try? String(contentsOf: url, encoding: .utf8),
      let presets = try? HDPMPreset.parse(text, file: "presets.csv"), presets.count == 21
    else { preconditionFailure("the package's own presets.csv is missing or damaged") }
    return presets
  }()

  /// The names in the firmware's order.
  public static var names: String { all.map { String($0.name) }.joined(separator: " ") }

  /// The preset of that name, or ``HDPMError/Code/unknownPreset`` with the names there are.
  public static func named(_ name: String, in presets: [HDPMPreset] = all) throws(HDPMError) -> HDPMPreset {
    guard let preset = presets.first(where: { String($0.name) == name }) else {
      let known = presets.map { String($0.name) }.joined(separator: " ")
      throw HDPMError(.unknownPreset, "preset '\(name)': unknown; there are \(known)")
    }
    return preset
  }

  /// The columns of a table of presets.
  static let columns =
    ["preset", "scale"] + (1...7).map { "W\($0)" } + (1...14).map { "c\($0)" }

  /// Reads a table of presets: CSV with the header `preset,scale,W1,…,W7,c1,…,c14`, lines with `#` are comments.
  ///
  /// `scale` is a number, or the text `5*v_bias`.
  /// - Throws: ``HDPMError`` naming file, line and column.
  public static func parse(_ text: String, file: String) throws(HDPMError) -> [HDPMPreset] {
    func fail(_ line: Int, _ reason: String) -> HDPMError {
      HDPMError(.coefficients, "\(file), line \(line): \(reason)")
    }
    var presets: [HDPMPreset] = []
    var hasHeader = false
    for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let fields = raw.split(separator: ",", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }
      if raw.hasPrefix("#") || fields == [""] { continue }
      guard hasHeader else {
        guard fields == columns else {
          throw fail(index + 1, "columns '\(raw.prefix(80))', '\(columns.joined(separator: ","))' expected")
        }
        hasHeader = true
        continue
      }
      guard fields.count == columns.count else {
        throw fail(index + 1, "\(fields.count) fields, \(columns.count) expected")
      }
      guard fields[0].utf8.count == 1, let name = fields[0].first else {
        throw fail(index + 1, "preset '\(fields[0])' is not one ASCII character")
      }
      guard !presets.contains(where: { $0.name == name }) else {
        throw fail(index + 1, "preset '\(name)' stands twice")
      }
      var numbers: [Float] = []
      for (column, field) in zip(columns, fields).dropFirst(2) {
        guard let number = Float(field), number.isFinite, abs(number) <= 100 else {
          throw fail(index + 1, "\(column) '\(field)' is not a number from -100 to 100")
        }
        numbers.append(number)
      }
      var scale: Float?
      if fields[1] != "5*v_bias" {
        guard let number = Float(fields[1]), number > 0, number <= 100 else {
          throw fail(index + 1, "scale '\(fields[1])' is neither 5*v_bias nor a number above 0")
        }
        scale = number
      }
      presets.append(
        HDPMPreset(
          name: name, fixedScale: scale, frequencies: Array(numbers[..<7]), offsets: Array(numbers[7...])))
    }
    guard !presets.isEmpty else { throw HDPMError(.coefficients, "\(file): no preset in it") }
    return presets
  }
}
