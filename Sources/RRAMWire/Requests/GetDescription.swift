internal import FoundationEssentials

/// Asks for the board description; it comes in pages.
public struct GetDescription: WireRequest {
  public typealias Response = DescriptionPage
  public init() {}
  public var body: RequestBody { .getDescription(self) }
}

/// A piece of the board description, a YAML document in UTF-8.
public struct DescriptionPage: WireResponse, Hashable {
  /// Byte offset of this page in the document.
  public var firstIndex: Int
  /// Bytes of the whole document.
  public var total: Int
  public var page: [UInt8]

  public init(firstIndex: Int, total: Int, page: [UInt8]) {
    self.firstIndex = firstIndex
    self.total = total
    self.page = page
  }

  public init?(_ body: ResponseBody) {
    guard case .description(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .description(self) }
}

extension DescriptionPage {
  init(_ message: Rram_Board_V1_DescriptionPage) throws(WireError) {
    firstIndex = Int(message.firstIndex)
    total = Int(message.total)
    page = Array(message.page)
    try checkExtent()
  }

  func message() throws(WireError) -> Rram_Board_V1_DescriptionPage {
    try checkExtent()
    var message = Rram_Board_V1_DescriptionPage()
    message.firstIndex = try wire32(firstIndex, "description.first_index")
    message.total = try wire32(total, "description.total")
    message.page = pack(page)
    return message
  }

  private func checkExtent() throws(WireError) {
    guard firstIndex <= total, page.count <= total - firstIndex else {
      throw WireError(
        .outOfRange, field: "description.page", "\(page.count) bytes from byte \(firstIndex) of a document of \(total)")
    }
  }
}
