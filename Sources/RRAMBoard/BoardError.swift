public import RRAMWire

/// Why a board did not do what was asked, or why it is not known whether it did.
public struct BoardError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure; open, so that later versions can add their own.
  public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    /// The transport failed; see ``BoardError/underlying``.
    public static let linkLost = Code(rawValue: "link lost")
    /// The board was closed before or while the request was under way.
    public static let closed = Code(rawValue: "closed")
    /// No answer within the deadline. What became of an operation is unknown: ask ``Board/operationState(_:)``.
    public static let timedOut = Code(rawValue: "timed out")
    /// The answer arrived damaged. What became of an operation is unknown: ask ``Board/operationState(_:)``.
    public static let replyLost = Code(rawValue: "reply lost")
    /// The board has started anew: operations in flight are unknown.
    public static let rebooted = Code(rawValue: "rebooted")
    /// Host and firmware share no protocol level.
    public static let versionMismatch = Code(rawValue: "version mismatch")
    /// The board answered something that the protocol does not allow.
    public static let protocolViolation = Code(rawValue: "protocol violation")
    /// Beyond the limits of board, chip or driver; nothing was done. See ``BoardError/refusal``.
    public static let limitRefused = Code(rawValue: "limit refused")
    /// A dangerous act without its ``Permissions``; nothing was done.
    public static let permissionRequired = Code(rawValue: "permission required")
    /// The request itself is wrong: a block outside the macro, a count that does not fit; nothing was done.
    public static let badArgument = Code(rawValue: "bad argument")
    /// The board has no room, or another operation holds the macro.
    public static let busy = Code(rawValue: "busy")
    /// Ended early on the board by Abort, Safe, the watchdog or loss of the link; see ``BoardError/partial``.
    public static let aborted = Code(rawValue: "aborted")
    /// The hardware did not do it.
    public static let failed = Code(rawValue: "failed")
    /// The board lacks the capability.
    public static let unsupported = Code(rawValue: "unsupported")
    /// The chip is not in the state that the request needs.
    public static let wrongState = Code(rawValue: "wrong state")
    /// The board's description or limits cannot be used.
    public static let badDescription = Code(rawValue: "bad description")
    /// A current lies beyond the board's converter, so its value is not known.
    public static let overRange = Code(rawValue: "over range")
    /// Neither the frame nor the control request could make the board safe.
    public static let notSafe = Code(rawValue: "not safe")
  }

  public var code: Code
  /// What failed and why, without the address.
  public var message: String
  /// The board concerned.
  public var address: String
  /// The operation concerned, where its outcome can be asked for.
  public var operationID: UInt64?
  /// Which limit refused what.
  public var refusal: Refusal?
  /// What was done before the operation ended early.
  public var partial: CellReport?
  /// What the board said when it was asked what became of the operation; `nil` if it was not, or did not know.
  public var outcome: OperationState?
  /// The error of the layer below.
  public var underlying: (any Error)?
  /// Operations of which less was heard than they may have done.
  var unheard: [UnheardOperation] = []

  public init(
    _ code: Code, _ message: String, address: String, operationID: UInt64? = nil, refusal: Refusal? = nil,
    partial: CellReport? = nil, underlying: (any Error)? = nil
  ) {
    self.code = code
    self.message = message
    self.address = address
    self.operationID = operationID
    self.refusal = refusal
    self.partial = partial
    self.underlying = underlying
  }

  public var description: String {
    guard let outcome else { return "\(address): \(message)" }
    return
      "\(address): \(message); the board says that it is \(outcome.state) with \(outcome.finished) of \(outcome.total) "
      + "and \(outcome.pulses) pulses"
  }

  /// No answer came, so what became of the request is unknown; the link may still work.
  public var isOutcomeUnknown: Bool { [.timedOut, .replyLost, .rebooted].contains(code) }

  /// The failure a response reports.
  init(_ response: ResponseMessage, request: String, address: String, operationID: UInt64?) {
    let code: Code =
      switch response.status {
      case .limitRefused: .limitRefused
      case .badArgument: .badArgument
      case .busy: .busy
      case .aborted: .aborted
      case .failed: .failed
      case .unsupported, .unknownRequest: .unsupported
      case .versionMismatch: .versionMismatch
      case .wrongState: .wrongState
      default: .protocolViolation
      }
    var message = "\(request): \(response.status)"
    if let refusal = response.refusal { message += ": \(refusal)" }
    // Firmware may say in words what the refusal says in numbers.
    if !response.detail.isEmpty, response.detail != response.refusal?.description { message += ": \(response.detail)" }
    self.init(code, message, address: address, operationID: operationID, refusal: response.refusal)
  }
}

/// An operation whose answer did not come, or not whole.
struct UnheardOperation: Sendable {
  var id: UInt64
  /// Those of its cells of which nothing was heard.
  var cells: CellSelection
  /// Pulses that were heard of.
  var pulses: Int
  var isForming: Bool
}
