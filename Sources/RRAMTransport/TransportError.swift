internal import Glibc

/// Why bytes could not be carried.
public struct TransportError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What kind of failure; open, so that transports can add their own.
  public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    /// The link was closed or lost.
    public static let closed = Code(rawValue: "closed")
    /// The board did not answer in time.
    public static let timedOut = Code(rawValue: "timed out")
    /// No board at this address.
    public static let notFound = Code(rawValue: "not found")
    /// Several boards fit the address.
    public static let ambiguous = Code(rawValue: "ambiguous")
    /// Somebody else holds the board or the address.
    public static let busy = Code(rawValue: "busy")
    /// The system forbids it.
    public static let permission = Code(rawValue: "permission")
    /// The other side broke the rules of the carriage, or a replay met bytes it did not expect.
    public static let protocolViolation = Code(rawValue: "protocol violation")
    /// The address itself is wrong, for example a path that is too long.
    public static let badAddress = Code(rawValue: "bad address")
    /// The board refused a control request.
    public static let refused = Code(rawValue: "refused")
    /// The waiting task was cancelled.
    public static let cancelled = Code(rawValue: "cancelled")
    /// The system failed; see ``TransportError/errno``.
    public static let io = Code(rawValue: "input/output")
  }

  public var code: Code
  /// What failed and why, as one clause without the address.
  public var message: String
  /// The address of the board concerned.
  public var address: String
  /// The system's error number, where it gave one.
  public var errno: Int32?

  /// The number of the library that failed, where it gave one.
  public var library: LibraryCode?

  /// What a library below said: its name, its number and its own words for it.
  public struct LibraryCode: Sendable, Hashable, CustomStringConvertible {
    public var name: String
    public var number: Int32
    public var text: String

    public init(name: String, number: Int32, text: String) {
      self.name = name
      self.number = number
      self.text = text
    }

    public var description: String { "\(text) (\(name) \(number))" }
  }

  public init(
    _ code: Code, _ message: String, address: String, errno: Int32? = nil, library: LibraryCode? = nil
  ) {
    self.code = code
    self.message = message
    self.address = address
    self.errno = errno
    self.library = library
  }

  /// Maps an error number of the system once, keeping the number.
  public init(errno number: Int32, _ action: String, address: String) {
    let code: Code =
      switch number {
      case ENOENT, ECONNREFUSED, ENXIO, ENODEV: .notFound
      case EACCES, EPERM, EROFS: .permission
      case EBUSY, EADDRINUSE: .busy
      case EPIPE, ECONNRESET, ENOTCONN, ESHUTDOWN: .closed
      case ETIMEDOUT: .timedOut
      case ENAMETOOLONG: .badAddress
      default: .io
      }
    self.init(code, action, address: address, errno: number)
  }

  public var description: String {
    if let library { return "\(address): \(message): \(library)" }
    guard let errno else { return "\(address): \(message)" }
    return "\(address): \(message): \(systemText(errno)) (errno \(errno))"
  }
}

/// The system's sentence for an error number; `strerror` keeps its buffer per thread since glibc 2.32.
func systemText(_ number: Int32) -> String {
  guard let text = strerror(number) else { return "unknown error" }
  return String(cString: text)
}
