internal import FoundationEssentials
public import RRAMUnits

/// Connects layers of cells, in order, to the closed loop.
public struct ConfigureLoop: WireRequest {
  public typealias Response = ConfigureLoopResult

  public var layers: [LoopLayer]

  public init(layers: [LoopLayer]) { self.layers = layers }

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
    layers = []
    for (i, layer) in message.layers.enumerated() {
      let field = "configure_loop.layers[\(i)]"
      let block = try CellBlock(try required(layer.hasBlock, layer.block, field + ".block"), field + ".block")
      try Self.checkPairs(block, field)
      let gain: [UInt16] = try unpack(layer.columnGain, count: block.shape.columns / 2, field + ".column_gain")
      layers.append(LoopLayer(block: block, columnGain: gain))
    }
  }

  func message() throws(WireError) -> Rram_Board_V1_ConfigureLoop {
    var message = Rram_Board_V1_ConfigureLoop()
    for (i, layer) in layers.enumerated() {
      let field = "configure_loop.layers[\(i)]"
      try Self.checkPairs(layer.block, field)
      try check(layer.columnGain, count: layer.block.shape.columns / 2, field + ".column_gain")
      var part = Rram_Board_V1_LoopLayer()
      part.block = try layer.block.message(field + ".block")
      part.columnGain = pack(layer.columnGain)
      message.layers.append(part)
    }
    return message
  }

  private static func checkPairs(_ block: CellBlock, _ field: String) throws(WireError) {
    guard block.shape.columns % 2 == 0 else {
      throw WireError(.outOfRange, field: field + ".block.columns", "\(block.shape.columns) columns make no pairs")
    }
  }
}
