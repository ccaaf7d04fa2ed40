public import RRAMUnits

/// A kind of converter of the closed loop.
public enum LoopConverter: UInt32, Sendable, Hashable, CaseIterable {
  case coefficient, embedding, offset, preset, readOut, noise
}

/// What a converter's channel makes of the voltage v that its code stands for: gain·v + offset volts.
///
/// Of an analog-to-digital converter: what it shows of a voltage v.
public struct ConverterLine: Sendable, Hashable, Codable {
  public var gain: Double
  /// Volts.
  public var offset: Double

  public init(gain: Double = 1, offset: Double = 0) {
    self.gain = gain
    self.offset = offset
  }

  public static let ideal = ConverterLine()

  public func of(_ voltage: Volts) -> Volts { Volts(gain * voltage.rawValue + offset) }
  /// The voltage of which the line makes `voltage`.
  public func inverse(_ voltage: Volts) -> Volts { Volts((voltage.rawValue - offset) / gain) }

  /// True of a line that can be inverted: finite, and within a factor of 2 of the ideal gain.
  public var isUsable: Bool { gain.isFinite && offset.isFinite && (0.5...2).contains(gain) }
}

/// The lines of a closed loop's converters, by channel: embeddings of a second network follow those of the first, coefficients are a, b,
/// and b of the second network; of the others channel 0 is x and 1 is y.
public struct ConverterLines: Sendable, Hashable, Codable {
  public var coefficient: [ConverterLine]
  public var embedding: [ConverterLine]
  /// Empty where the board has no offset channels.
  public var offset: [ConverterLine]
  public var preset: [ConverterLine]
  public var readOut: [ConverterLine]
  public var noise: [ConverterLine]

  /// Ideal lines for every channel of a loop.
  public init(_ loop: BoardDescription.ClosedLoop) {
    func ideal(_ kind: LoopConverter) -> [ConverterLine] {
      [ConverterLine](repeating: .ideal, count: loop.channels(of: kind))
    }
    coefficient = ideal(.coefficient)
    embedding = ideal(.embedding)
    offset = ideal(.offset)
    preset = ideal(.preset)
    readOut = ideal(.readOut)
    noise = ideal(.noise)
  }

  public subscript(kind: LoopConverter) -> [ConverterLine] {
    get { self[keyPath: Self.path(kind)] }
    set { self[keyPath: Self.path(kind)] = newValue }
  }

  private static func path(_ kind: LoopConverter) -> WritableKeyPath<Self, [ConverterLine]> {
    switch kind {
    case .coefficient: \.coefficient
    case .embedding: \.embedding
    case .offset: \.offset
    case .preset: \.preset
    case .readOut: \.readOut
    case .noise: \.noise
    }
  }

  /// True if every channel of a loop has a line that can be inverted, and no other.
  public func fits(_ loop: BoardDescription.ClosedLoop) -> Bool {
    LoopConverter.allCases.allSatisfy { kind in
      self[kind].count == loop.channels(of: kind) && self[kind].allSatisfy(\.isUsable)
    }
  }

  /// Codes of a tick at which every channel of a loop's schedule gives 0 V, in the order of a schedule.
  public func zeroCodes(_ loop: BoardDescription.ClosedLoop) -> [UInt16] {
    func zeros(_ kind: LoopConverter, _ lines: some Sequence<ConverterLine>) -> [UInt16] {
      guard let converter = loop.converter(of: kind) else { return [] }
      return lines.map { UInt16(converter.code(nearest: $0.inverse(.zero))?.rawValue ?? 0) }
    }
    let channels = loop.embeddingChannels
    return zeros(.coefficient, coefficient.prefix(2)) + zeros(.embedding, embedding.prefix(channels))
      + zeros(.offset, offset) + zeros(.coefficient, coefficient.dropFirst(2))
      + zeros(.embedding, embedding.dropFirst(channels))
  }

  /// Channels in all.
  public var count: Int { LoopConverter.allCases.reduce(0) { $0 + self[$1].count } }
}

extension BoardDescription.ClosedLoop {
  /// State coordinates: x and y.
  static let coordinates = 2

  /// The converter of a kind; nil where the board has none.
  public func converter(of kind: LoopConverter) -> BoardDescription.Converter? {
    switch kind {
    case .coefficient: coefficient
    case .embedding: embedding
    case .offset: offset
    case .preset: preset
    case .readOut: readOut
    case .noise: noise
    }
  }

  /// How many channels a kind has.
  public func channels(of kind: LoopConverter) -> Int {
    let networks = secondLayerMacros.isEmpty ? 1 : 2
    return switch kind {
    case .coefficient: 1 + networks
    case .embedding: embeddingChannels * networks
    case .offset: offset == nil ? 0 : Self.coordinates
    case .preset, .readOut, .noise: Self.coordinates
    }
  }
}
