internal import Glibc

/// The words that a run sends to the converters, in write order, as the firmware computes them in float32.
public struct HDPMSchedule: Sendable {
  /// One output of one converter.
  public struct Channel: Sendable, Hashable, CustomStringConvertible {
    /// Converter 1–4 and 9.
    public var converter: Int
    /// 0–3 = A–D.
    public var output: Int

    public init(converter: Int, output: Int) {
      self.converter = converter
      self.output = output
    }
    public var description: String { "\(converter)\(["A", "B", "C", "D"][output & 3])" }
  }

  /// What becomes of a value on its way into a word.
  public enum Fit: String, Sendable, Hashable, Codable {
    case fits
    /// v < −1: the code is 0.
    case clipped
    /// v ≥ 1: the code needs a 13th bit, which lies in the channel's field.
    case overflowed
    /// The sine of an argument just below 0 came out as about 2π; the word overflows by that alone.
    case glitch
  }

  /// One write to a converter.
  public struct Word: Sendable, Hashable {
    /// 0 … 240, 241 = the closing tick.
    public var tick: Int
    /// The channel meant.
    public var channel: Channel
    /// What is sent: channel bits and code, overflow included.
    public var word: UInt16
    /// The value meant, 1 = full scale.
    public var value: Float
    public var fit: Fit
    /// True where the firmware adds random noise, so that the word cannot be predicted; `value` is without it.
    public var noisy: Bool

    /// The output that the word in fact sets, and its code.
    public var written: (channel: Channel, code: Int) {
      (Channel(converter: channel.converter, output: Int(word >> 12) & 3), Int(word & 0xFFF))
    }
  }

  /// Ticks in which the loop runs; one closing tick at mid-scale follows.
  public static let activeTicks = 241
  /// TIM3 at 200 Hz.
  public static let tick = Duration.milliseconds(5)
  /// Writes of one tick.
  public static let wordsPerTick = 18

  /// Write order of a tick: g2, fx, t1 … t14, noise1, noise2.
  public static let channels: [Channel] =
    [Channel(converter: 9, output: 0), Channel(converter: 9, output: 1)]
    + (0..<14).map { Channel(converter: 1 + $0 / 4, output: $0 % 4) }
    + [Channel(converter: 9, output: 2), Channel(converter: 9, output: 3)]

  /// What each channel of ``channels`` plays.
  public static let roles: [String] =
    ["g2", "fx"] + (1...14).map { "t\($0)" } + ["noise1", "noise2"]

  public let settings: HDPMSettings
  /// 242 ticks of 18 words.
  public let words: [Word]

  /// Computes every word of a run whose settings stay as they are.
  public init(_ settings: HDPMSettings) {
    self.settings = settings
    var words: [Word] = []
    words.reserveCapacity((Self.activeTicks + 1) * Self.wordsPerTick)
    var t: Float = 0
    for tick in 0..<Self.activeTicks {
      words += Self.frame(tick: tick, t: t, settings)
      t = Self.next(t)
    }
    words += Self.closingFrame(after: words.suffix(Self.wordsPerTick), settings)
    self.words = words
  }

  /// The firmware adds the time up in float32: tick 200 lands at 0.9999992, not 1.
  static func next(_ t: Float) -> Float { t + 0.005 }

  /// β(t) = 0.499·(1 − t) + 0.001; negative from t = 1.002 on.
  static func beta(_ t: Float) -> Float { 0.499 * (1 - t) + 0.001 }

  /// The words of one tick.
  ///
  /// - Parameter noise: two standard normal numbers, for a run with noise whose draws are known.
  static func frame(tick: Int, t: Float, _ settings: HDPMSettings, noise: SIMD2<Float>? = nil) -> [Word] {
    let scale = settings.scale
    let preset = settings.preset
    let tau = 1 - t
    let beta = beta(t)
    var values: [Float] = [0.5 * beta * settings.coefficient, -0.25 * beta]
    var glitch = -1
    // Float.pi is rounded towards zero; the firmware's constant is the nearest float32.
    let phases = preset.frequencies.map { Float(2 * Double.pi) * $0 * tau }
    for (k, phase) in phases.enumerated() {
      let sine = FirmwareMath.sine(phase)
      if abs(sine) > 1.5 { glitch = values.count }
      values.append(scale * (sine + preset.offsets[k]))
    }
    for (k, phase) in phases.enumerated() {
      values.append(scale * (FirmwareMath.cosine(phase) + preset.offsets[k + 7]))
    }
    var random = SIMD2<Float>.zero
    if let noise, settings.noise { random = settings.noiseScale * noise * Self.beta(next(t)) }
    values += [random.x + settings.offsets.x, random.y + settings.offsets.y]
    return channels.indices.map { index in
      word(
        values[index], tick: tick, channel: channels[index], noisy: settings.noise && noise == nil && index >= 16,
        glitch: index == glitch)
    }
  }

  /// The frame of zeros behind the last tick; after a run with noise 9C and 9D keep the random value of that tick.
  static func closingFrame(after last: ArraySlice<Word>, _ settings: HDPMSettings) -> [Word] {
    channels.indices.map { index in
      guard settings.noise, index >= 16, var word = last.dropFirst(index).first else {
        return word(0, tick: activeTicks, channel: channels[index], noisy: false, glitch: false)
      }
      word.tick = activeTicks
      return word
    }
  }

  /// code = trunc(2048·(1 + v)); codes below 0 become 0 (the conversion saturates), the upper end is not checked.
  private static func word(_ value: Float, tick: Int, channel: Channel, noisy: Bool, glitch: Bool) -> Word {
    let code = UInt32(min(max(0, (2048 * (1 + value)).rounded(.towardZero)), 65535))
    let fit: Fit = glitch ? .glitch : value < -1 ? .clipped : code > 0xFFF ? .overflowed : .fits
    return Word(
      tick: tick, channel: channel, word: UInt16(truncatingIfNeeded: UInt32(channel.output) << 12 | code),
      value: value, fit: fit, noisy: noisy)
  }

  /// Words whose values are too large by the settings' doing; the glitch is not among them.
  public var overflowed: [Word] { words.filter { $0.fit == .overflowed } }
  public var clipped: [Word] { words.filter { $0.fit == .clipped } }
  public var glitches: [Word] { words.filter { $0.fit == .glitch } }

  /// The largest bias at which no word of these settings overflows, if there is one.
  public static func largestFittingBias(_ settings: HDPMSettings) -> HDPMSettings.Bias? {
    HDPMSettings.Bias.allCases.last { bias in
      var candidate = settings
      candidate.bias = bias
      return HDPMSchedule(candidate).overflowed.isEmpty
    }
  }

  /// Words of a run on channels 9C and 9D that are expected to leave the range by noise alone.
  ///
  /// The sum over ticks and both channels of the two tails of N(offset, noise_scale·β); 0 without noise.
  public var expectedNoiseExcursions: Double {
    guard settings.noise else { return 0 }
    var sum = 0.0
    var t: Float = 0
    for _ in 0..<Self.activeTicks {
      t = Self.next(t)
      let sigma = abs(Double(settings.noiseScale * Self.beta(t)))
      guard sigma > 0 else { continue }
      for offset in [Double(settings.offsets.x), Double(settings.offsets.y)] {
        sum += 0.5 * erfc((1 - offset) / (sigma * 2.0.squareRoot()))
        sum += 0.5 * erfc((1 + offset) / (sigma * 2.0.squareRoot()))
      }
    }
    return sum
  }

  /// A noisy run is refused from this many expected excursions on: one run in a hundred has one.
  public static let tolerableExcursions = 0.01

  /// The largest noise scale, in hundredths, that keeps ``expectedNoiseExcursions`` tolerable.
  static func largestFittingNoiseScale(_ settings: HDPMSettings) -> Float? {
    stride(from: 999, through: 1, by: -1).lazy.map { Float($0) / 100 }.first { scale in
      var candidate = settings
      candidate.noise = true
      candidate.noiseScale = scale
      return HDPMSchedule(words: [], candidate).expectedNoiseExcursions < tolerableExcursions
    }
  }

  private init(words: [Word], _ settings: HDPMSettings) {
    self.words = words
    self.settings = settings
  }

  /// Refuses a run that would write other channels than it means.
  ///
  /// - Throws: ``HDPMError/Code/overflow`` naming preset, channel, time and what fits.
  public func checkRange() throws(HDPMError) {
    let overflowed = overflowed
    if let first = overflowed.first {
      var channels: [String] = []
      for word in overflowed where !channels.contains("\(word.channel)") { channels.append("\(word.channel)") }
      let largest = overflowed.max { $0.value < $1.value } ?? first
      let time = Self.seconds(first.tick)
      let fits: String
      if let bias = Self.largestFittingBias(settings) {
        fits = "the largest v_bias that fits is \(bias.volts)"
      } else {
        fits = "it fits at no v_bias: coefficient \(settings.coefficient)"
      }
      let written = first.written
      let effect =
        written.channel == first.channel
        ? "wraps to \(Self.rounded(Float(written.code) / 2048 - 1)) of full scale"
        : "writes channel \(written.channel) instead"
      throw HDPMError(
        .overflow,
        "preset \(settings.preset.name) at v_bias \(settings.bias.volts): channel \(first.channel) overflows at "
          + "t = \(time) s (\(overflowed.count) words on \(channels.joined(separator: ", ")); up to "
          + "\(Self.rounded(largest.value)) of full scale on \(largest.channel)) and \(effect); \(fits)")
    }
    let excursions = expectedNoiseExcursions
    if excursions >= Self.tolerableExcursions {
      let fits =
        Self.largestFittingNoiseScale(settings).map { "the largest noise scale that fits is \($0)" }
        ?? "no noise scale fits these offsets"
      throw HDPMError(
        .overflow,
        "preset \(settings.preset.name): noise scale \(settings.noiseScale) drives channels 9C and 9D out of range in "
          + "\(Self.rounded(Float(excursions))) words a run on average; \(fits)")
    }
  }

  /// Time of a tick in a run, to the millisecond.
  static func seconds(_ tick: Int) -> String {
    let text = "\(tick * 5 % 1000)"
    return "\(tick * 5 / 1000)." + String(repeating: "0", count: 3 - text.count) + text
  }

  static func rounded(_ value: Float) -> String { "\((value * 1000).rounded() / 1000)" }
}
