internal import FoundationEssentials

/// Asks for the label and the write counter of a macro.
public struct GetLabel: WireRequest {
  public typealias Response = MacroLabel

  public var macro: Int

  public init(macro: Int) { self.macro = macro }

  public var body: RequestBody { .getLabel(self) }
}

/// Names what the host programmed into a macro. The board keeps it without power.
public struct SetLabel: WireRequest {
  public typealias Response = MacroLabel

  public var macro: Int
  /// ``MacroLabel/byteCount`` bytes.
  public var label: [UInt8]

  public init(macro: Int, label: [UInt8]) {
    self.macro = macro
    self.label = label
  }

  public var body: RequestBody { .setLabel(self) }
}

/// What the board knows about the contents of a macro.
public struct MacroLabel: WireResponse, Hashable {
  /// Bytes of a label.
  public static let byteCount = 16

  public var macro: Int
  /// ``byteCount`` bytes; zeros: never set.
  public var label: [UInt8]
  /// Operations that changed cells of this macro, over the chip's life.
  public var writeCounter: UInt64

  public init(macro: Int, label: [UInt8] = [UInt8](repeating: 0, count: byteCount), writeCounter: UInt64) {
    self.macro = macro
    self.label = label
    self.writeCounter = writeCounter
  }

  public init?(_ body: ResponseBody) {
    guard case .label(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .label(self) }
}

extension GetLabel {
  init(_ message: Rram_Board_V1_GetLabel) { macro = Int(message.macro) }

  func message() throws(WireError) -> Rram_Board_V1_GetLabel {
    var message = Rram_Board_V1_GetLabel()
    message.macro = try wire32(macro, "get_label.macro")
    return message
  }
}

extension SetLabel {
  init(_ message: Rram_Board_V1_SetLabel) throws(WireError) {
    macro = Int(message.macro)
    label = try unpack(message.label, count: MacroLabel.byteCount, "set_label.label")
  }

  func message() throws(WireError) -> Rram_Board_V1_SetLabel {
    try check(label, count: MacroLabel.byteCount, "set_label.label")
    var message = Rram_Board_V1_SetLabel()
    message.macro = try wire32(macro, "set_label.macro")
    message.label = pack(label)
    return message
  }
}

extension MacroLabel {
  init(_ message: Rram_Board_V1_Label) throws(WireError) {
    macro = Int(message.macro)
    label = try unpack(message.label, count: Self.byteCount, "label.label")
    writeCounter = message.writeCounter
  }

  func message() throws(WireError) -> Rram_Board_V1_Label {
    try check(label, count: Self.byteCount, "label.label")
    var message = Rram_Board_V1_Label()
    message.macro = try wire32(macro, "label.macro")
    message.label = pack(label)
    message.writeCounter = writeCounter
    return message
  }
}
