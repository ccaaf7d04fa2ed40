internal import Foundation

/// What went wrong with a record on disk.
public struct RecordsError: Error, CustomStringConvertible, Sendable {
  public struct Code: Sendable, Hashable {
    let name: String
    /// The file or folder cannot be written or read.
    public static let io = Code(name: "io")
    /// The folder that a run shall have holds something already.
    public static let occupied = Code(name: "occupied")
    /// The record was written by a newer version.
    public static let newerVersion = Code(name: "newerVersion")
    /// The record's text cannot be understood.
    public static let malformed = Code(name: "malformed")
    /// There is no such record.
    public static let notFound = Code(name: "notFound")
    /// An external program is missing or failed.
    public static let tool = Code(name: "tool")
  }

  public let code: Code
  public let path: String
  public let reason: String
  public let underlying: (any Error)?

  public init(_ code: Code, path: String, reason: String, underlying: (any Error)? = nil) {
    self.code = code
    self.path = path
    self.reason = reason
    self.underlying = underlying
  }

  public var description: String {
    // Foundation's errors print their whole dictionary unless asked for their sentence.
    "\(path): \(reason)" + (underlying.map { ": \(($0 as? CocoaError)?.localizedDescription ?? "\($0)")" } ?? "")
  }
}
