internal import Foundation

/// One command line of the board, always in its full length, and the answer that its firmware gives.
public enum HDPMCommand: Sendable, Hashable {
  /// `In<T><N>`: power up the converters, load a preset, set the noise flag. The answer repeats T only.
  case load(preset: Character, noise: Bool)
  /// `Go`: request a run. The answer is the same whether the run starts or is dropped.
  case go
  /// `O<aa><bb>`: offsets aa/100 − 0.5 and bb/100 − 0.5.
  case offsets(Int, Int)
  /// `C<ddd>`: coefficient ddd/100, 1 … 999.
  case coefficient(hundredths: Int)
  /// `D<d>`: v_bias of the next `In`.
  case bias(HDPMSettings.Bias)
  /// `N<ddd>`: noise scale ddd/100, 0 … 999.
  case noiseScale(hundredths: Int)

  /// The line without CR LF.
  public var text: String {
    switch self {
    case .load(let preset, let noise): "In\(preset)\(noise ? 1 : 0)"
    case .go: "Go"
    case .offsets(let a, let b): "O\(Self.digits(a, 2))\(Self.digits(b, 2))"
    case .coefficient(let value): "C\(Self.digits(value, 3))"
    case .bias(let bias): "D\(bias.rawValue)"
    case .noiseScale(let value): "N\(Self.digits(value, 3))"
    }
  }

  /// The bytes to send.
  public var bytes: [UInt8] { Array(text.utf8) + [0x0D, 0x0A] }

  /// The bytes that the firmware answers with.
  public var answer: [UInt8] {
    switch self {
    case .load(let preset, _): Array("Type:\(preset)\tStart...\r\n".utf8)
    case .go: [0x0D, 0x0A]
    case .offsets(let a, let b): FirmwareText.offsets([Self.offset(a), Self.offset(b)])
    case .coefficient(let value): FirmwareText.coefficient(Float(value) / 100)
    case .bias(let bias): FirmwareText.bias(bias.value)
    case .noiseScale(let value): FirmwareText.noiseScale(Float(value) / 100)
    }
  }

  static func offset(_ hundredths: Int) -> Float { Float(hundredths) / 100 - 0.5 }

  private static func digits(_ value: Int, _ count: Int) -> String {
    let text = "\(value)"
    return String(repeating: "0", count: max(0, count - text.count)) + text
  }
}

extension HDPMSettings {
  /// The commands that bring the board into this state, in an order that its firmware takes: `D` before `In`.
  ///
  /// - Throws: ``HDPMError/Code/value`` for a number that the command's digits cannot express.
  public func commands() throws(HDPMError) -> [HDPMCommand] {
    func hundredths(_ name: String, _ value: Float, _ allowed: ClosedRange<Int>, shift: Double) throws(HDPMError) -> Int
    {
      let scaled = (Double(value) + shift) * 100
      guard scaled.isFinite, abs(scaled - scaled.rounded()) < 1e-3, allowed.contains(Int(scaled.rounded())) else {
        let lower = Double(allowed.lowerBound) / 100 - shift
        let upper = Double(allowed.upperBound) / 100 - shift
        throw HDPMError(.value, "\(name) \(value): the board takes \(lower) to \(upper) in steps of 0.01")
      }
      return Int(scaled.rounded())
    }
    let names: ClosedRange<Character> = "!"..."~"
    guard preset.name.isASCII, names.contains(preset.name) else {
      throw HDPMError(.unknownPreset, "preset '\(preset.name)' cannot be named in a command")
    }
    return [
      .bias(bias),
      .offsets(
        try hundredths("offset 1", offsets.x, 0...99, shift: 0.5),
        try hundredths("offset 2", offsets.y, 0...99, shift: 0.5)),
      .coefficient(hundredths: try hundredths("coefficient", coefficient, 1...999, shift: 0)),
      .noiseScale(hundredths: try hundredths("noise scale", noiseScale, 0...999, shift: 0)),
      .load(preset: preset.name, noise: noise),
    ]
  }
}

/// The texts that the firmware prints; `%f` of a float32.
enum FirmwareText {
  static func offsets(_ value: SIMD2<Float>) -> [UInt8] {
    Array("Offset set1: \(six(value.x))\nOffset set2: \(six(value.y))\r\n".utf8)
  }
  static func coefficient(_ value: Float) -> [UInt8] { Array("Coef: \(six(value))\r\n".utf8) }
  static func bias(_ value: Float) -> [UInt8] { Array("V_bias and DAC coef: \(six(value))\r\n".utf8) }
  static func noiseScale(_ value: Float) -> [UInt8] { Array("Noise Scale: \(six(value))\r\n".utf8) }
  static func type(_ preset: UInt8) -> [UInt8] { Array("Type:".utf8) + [preset] + Array("\tStart...\r\n".utf8) }

  private static func six(_ value: Float) -> String { String(format: "%f", Double(value)) }
}
