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

/// One layer of the network on the chip. The last row of its block is the bias row, driven with one unit.
public struct LoopLayer: Sendable, Hashable {
  /// Rows = inputs + 1, columns = 2 · outputs; orientation of the pairs as in the board description.
  public var block: CellBlock
  /// One a column pair: 0 is the lower end of the transimpedance range, 2^bits − 1 the upper.
  public var columnGain: [UInt16]

  public init(block: CellBlock, columnGain: [UInt16]) {
    self.block = block
    self.columnGain = columnGain
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
      layers.append(LoopLayer(block: block, columnGain: gain))
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
