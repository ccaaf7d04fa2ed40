public import RRAMFiles

/// A model or a data set cannot be used.
///
/// One line: the file or name, the key in it, what was found and what was expected.
public struct ModelError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; an open set.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The file cannot be read or breaks its format; `underlying` says why.
    public static let unreadable = Code(rawValue: "unreadable")
    /// No model or data set has that name.
    public static let unknownName = Code(rawValue: "unknownName")
    /// Keys are missing.
    public static let missingKeys = Code(rawValue: "missingKeys")
    /// There are keys that the network does not have.
    public static let extraKeys = Code(rawValue: "extraKeys")
    /// An array has the wrong shape.
    public static let wrongShape = Code(rawValue: "wrongShape")
    /// A value is NaN or infinite.
    public static let nonFinite = Code(rawValue: "nonFinite")
    /// A metadata value is not understood or out of range.
    public static let invalidMetadata = Code(rawValue: "invalidMetadata")
    /// A class label is missing, not wanted or out of range.
    public static let invalidLabel = Code(rawValue: "invalidLabel")
    /// There are no points, or a setting of a metric is out of range.
    public static let invalidMetric = Code(rawValue: "invalidMetric")
  }

  public var code: Code
  /// The file or the name that was asked for.
  public var subject: String
  public var key: String?
  public var reason: String
  public var underlying: FileError?

  public init(_ code: Code, _ subject: String, key: String? = nil, reason: String) {
    self.code = code
    self.subject = subject
    self.key = key
    self.reason = reason
  }

  init(_ error: FileError) {
    self.init(.unreadable, error.file, key: error.entry, reason: error.reason)
    underlying = error
  }

  public var description: String {
    if let underlying { return underlying.description }
    return subject + (key.map { ", '\($0)'" } ?? "") + ": " + reason
  }
}

/// Runs `body` and wraps what the file layer throws.
func readingFile<T>(_ body: () throws(FileError) -> T) throws(ModelError) -> T {
  do { return try body() } catch { throw ModelError(error) }
}
