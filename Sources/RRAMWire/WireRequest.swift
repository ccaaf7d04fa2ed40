/// What a host can ask of a board. One type a command; see the files in `Requests`.
public protocol WireRequest: Sendable, Hashable {
  /// What the board answers when all went well.
  associatedtype Response: WireResponse
  /// The request as a case of ``RequestBody``.
  var body: RequestBody { get }
}

/// A request that touches cells: it needs an operation id, and the board never executes the same id twice.
public protocol CellOperation: WireRequest {}

/// A request whose response is several frames, sent as far as the host grants credit.
public protocol StreamingRequest: CellOperation {
  /// Response frames granted before the first ``Credit``; 0 lets the board send none until then.
  var credit: Int { get set }
}

/// What a board answers.
public protocol WireResponse: Sendable {
  /// `nil` if `body` is another kind of response.
  init?(_ body: ResponseBody)
  /// The response as a case of ``ResponseBody``.
  var body: ResponseBody { get }
}
