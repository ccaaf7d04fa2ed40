internal import FoundationEssentials
public import RRAMUnits

/// Connects layers of cells, in order, to the closed loop.
public struct ConfigureLoop: WireRequest {
  public typealias Response = ConfigureLoopResult

  public var layers: [LoopLayer]
  /// A second network of the same state, whose output has a coefficient of its own; empty: none is connected.
  public var second: [LoopLayer]

  public init(layers: [LoopLayer], second: [LoopLayer] = []) {
    self.layers = layers
    self.second = second
  }

  public var body: RequestBody { .configureLoop(self) }
}

/// One layer of the network on the chip.
public struct LoopLayer: Sendable, Hashable {
  /// Columns = 2 · outputs; orientation of the pairs as in the board description.
  public var block: CellBlock
  /// One a column pair: 0 is the lower end of the transimpedance range, 2^bits − 1 the upper.
  public var columnGain: [UInt16]
  /// What drives each row of the block; empty: row r is driven by input r, and the last row with one unit.
  public var rows: [LoopRow]

  public init(block: CellBlock, columnGain: [UInt16], rows: [LoopRow] = []) {
    self.block = block
    self.columnGain = columnGain
    self.rows = rows
  }
}

/// What drives a row of cells in the loop.
public struct LoopRow: Sendable, Hashable {
  public enum Source: Sendable, Hashable {
    /// The row takes no part.
    case ground
    /// One unit.
    case bias
    case input(Int)
  }

  public var source: Source
  /// Place in the board description's row attenuations.
  public var attenuation: Int

  public init(_ source: Source, attenuation: Int = 0) {
    self.source = source
    self.attenuation = attenuation
  }

  public static let ground = LoopRow(.ground)
  public static let bias = LoopRow(.bias)
  public static func input(_ index: Int) -> LoopRow { LoopRow(.input(index)) }

  fileprivate var sourceCode: Int {
    switch source {
    case .ground: 0
    case .bias: 1
    case .input(let index): 2 + index
    }
  }

  fileprivate init(source: UInt8, attenuation: UInt8) {
    self.init(
      source == 0 ? .ground : source == 1 ? .bias : .input(Int(source) - 2), attenuation: Int(attenuation))
  }
}

public struct ConfigureLoopResult: WireResponse, Hashable {
  public init() {}

  public init?(_ body: ResponseBody) {
    guard case .configureLoop(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .configureLoop(self) }
}

extension ConfigureLoop {
  init(_ message: Rram_Board_V1_ConfigureLoop) throws(WireError) {
    layers = try Self.layers(message.layers, "configure_loop.layers")
    second = try Self.layers(message.second, "configure_loop.second")
  }

  private static func layers(_ messages: [Rram_Board_V1_LoopLayer], _ name: String) throws(WireError) -> [LoopLayer] {
    var layers: [LoopLayer] = []
    for (i, layer) in messages.enumerated() {
      let field = "\(name)[\(i)]"
      let block = try CellBlock(try required(layer.hasBlock, layer.block, field + ".block"), field + ".block")
      try checkPairs(block, field)
      let gain: [UInt16] = try unpack(layer.columnGain, count: block.shape.columns / 2, field + ".column_gain")
      let rows = block.shape.rows
      let sources: [UInt8] = try unpackOptional(layer.rowSource, count: rows, field + ".row_source")
      let levels: [UInt8] = try unpackOptional(
        layer.rowAttenuation, count: sources.count, field + ".row_attenuation")
      layers.append(
        LoopLayer(
          block: block, columnGain: gain,
          rows: sources.enumerated().map { LoopRow(source: $1, attenuation: levels.isEmpty ? 0 : levels[$0]) }))
    }
    return layers
  }

  func message() throws(WireError) -> Rram_Board_V1_ConfigureLoop {
    var message = Rram_Board_V1_ConfigureLoop()
    message.layers = try Self.messages(layers, "configure_loop.layers")
    message.second = try Self.messages(second, "configure_loop.second")
    return message
  }

  private static func messages(_ layers: [LoopLayer], _ name: String) throws(WireError) -> [Rram_Board_V1_LoopLayer] {
    var messages: [Rram_Board_V1_LoopLayer] = []
    for (i, layer) in layers.enumerated() {
      let field = "\(name)[\(i)]"
      try checkPairs(layer.block, field)
      try check(layer.columnGain, count: layer.block.shape.columns / 2, field + ".column_gain")
      var part = Rram_Board_V1_LoopLayer()
      part.block = try layer.block.message(field + ".block")
      part.columnGain = pack(layer.columnGain)
      if !layer.rows.isEmpty {
        try check(layer.rows, count: layer.block.shape.rows, field + ".row_source")
        let sources = try layer.rows.map { row throws(WireError) in
          try wire8(row.sourceCode, field + ".row_source")
        }
        let levels = try layer.rows.map { row throws(WireError) in
          try wire8(row.attenuation, field + ".row_attenuation")
        }
        part.rowSource = pack(sources)
        if levels.contains(where: { $0 != 0 }) { part.rowAttenuation = pack(levels) }
      }
      messages.append(part)
    }
    return messages
  }

  private static func checkPairs(_ block: CellBlock, _ field: String) throws(WireError) {
    guard block.shape.columns % 2 == 0 else {
      throw WireError(.outOfRange, field: field + ".block.columns", "\(block.shape.columns) columns make no pairs")
    }
  }
}
