/// The records of a comma-separated file (RFC 4180), one after the other.
///
/// A field may stand in quotes, in which commas, line ends and doubled quotes are text; a quote that does not begin its field is text too.
/// Lines end with LF or CR LF; a byte-order mark in front is passed over. Any bytes give records: what they mean is the caller's to judge.
public struct CSVRecords: Sequence, IteratorProtocol, Sendable {
  public struct Record: Sendable, Hashable {
    public var fields: [String]
    /// Number of the line on which it begins, from 1.
    public var line: Int
    /// False for a last record that no line end follows: a writer that was cut off leaves such a one.
    public var isEnded: Bool
    /// Line of a quote that the file ends within.
    public var unclosedQuote: Int?

    /// True for an empty line.
    public var isEmpty: Bool { fields == [""] }
  }

  private let bytes: [UInt8]
  private var at: Int
  private var line = 1

  public init(_ bytes: [UInt8]) {
    self.bytes = bytes
    at = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
  }

  public mutating func next() -> Record? {
    guard at < bytes.count else { return nil }
    var record = Record(fields: [], line: line, isEnded: false)
    var field: [UInt8] = []
    // Line of the quote that is open, and whether the field has no character yet.
    var quote: Int?
    var isAtStart = true
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      let isFirst = isAtStart
      isAtStart = false
      switch byte {
      case UInt8(ascii: "\"") where quote != nil:
        if at < bytes.count, bytes[at] == byte {
          field.append(byte)
          at += 1
        } else {
          quote = nil
        }
      case UInt8(ascii: "\"") where isFirst: quote = line
      case UInt8(ascii: ",") where quote == nil:
        record.fields.append(String(decoding: field, as: UTF8.self))
        field.removeAll(keepingCapacity: true)
        isAtStart = true
      case 10 where quote == nil:
        line += 1
        if field.last == 13 { field.removeLast() }
        record.fields.append(String(decoding: field, as: UTF8.self))
        record.isEnded = true
        return record
      default:
        if byte == 10 { line += 1 }
        field.append(byte)
      }
    }
    record.unclosedQuote = quote
    record.fields.append(String(decoding: field, as: UTF8.self))
    return record
  }
}
