/// The records of a comma-separated file (RFC 4180), one after the other.
///
/// A field may stand in quotes, in which commas, line ends and doubled quotes are text. Lines end with LF or CR LF; a byte-order mark in
/// front is passed over. Any bytes give records: what they mean is the caller's to judge.
public struct CSVRecords: Sequence, IteratorProtocol, Sendable {
  public struct Record: Sendable, Hashable {
    public var fields: [String]
    /// Number of the line on which it begins, from 1.
    public var line: Int
    /// False for a last record that no line end follows: a writer that was cut off leaves such a one.
    public var isEnded: Bool

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
    var isQuoted = false
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      if byte == 10 { line += 1 }
      switch byte {
      case UInt8(ascii: "\""):
        if isQuoted, at < bytes.count, bytes[at] == byte {
          field.append(byte)
          at += 1
        } else {
          isQuoted.toggle()
        }
      case UInt8(ascii: ",") where !isQuoted:
        record.fields.append(String(decoding: field, as: UTF8.self))
        field.removeAll(keepingCapacity: true)
      case 10 where !isQuoted:
        if field.last == 13 { field.removeLast() }
        record.fields.append(String(decoding: field, as: UTF8.self))
        record.isEnded = true
        return record
      default: field.append(byte)
      }
    }
    record.fields.append(String(decoding: field, as: UTF8.self))
    return record
  }
}
