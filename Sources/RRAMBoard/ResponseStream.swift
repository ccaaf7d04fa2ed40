public import RRAMWire

/// The answers to one request, pulled: the board is granted further frames as the consumer takes them.
///
/// A consumer that is slow makes the board pause. One that stops, by cancellation or by dropping the iterator, makes the host
/// send Abort for the operation. For one consumer.
public struct ResponseStream<Response: WireResponse>: AsyncSequence, Sendable {
  public typealias Element = Response

  /// The operation, for ``Board/operationState(_:)`` and ``Board/abort(_:)``; 0 if it touches no cells.
  public let operationID: UInt64
  let token: StreamToken

  public func makeAsyncIterator() -> Iterator { Iterator(token: token) }

  public struct Iterator: AsyncIteratorProtocol {
    let token: StreamToken
    private var failure: BoardError?

    init(token: StreamToken) { self.token = token }

    /// The next part; `nil` after the last. Throws what ended the operation early, after its last results.
    public mutating func next() async throws -> Response? {
      if let failure {
        self.failure = nil
        throw failure
      }
      let message: ResponseMessage?
      do {
        message = try await token.next()
      } catch let error as CancellationError {
        await token.abort()
        throw error
      }
      guard let message else { return nil }
      guard message.status == .ok else {
        let error = BoardError(
          message, request: token.name, address: token.link.address,
          operationID: token.operationID == 0 ? nil : token.operationID)
        if let body = message.body, let results = Response(body) {
          failure = error
          return results
        }
        throw error
      }
      do throws(WireError) {
        return try message.response()
      } catch {
        await token.abort()
        throw BoardError(
          .protocolViolation, "the answer to \(token.name) does not belong to it: \(error)",
          address: token.link.address, operationID: token.operationID, underlying: error)
      }
    }
  }
}

/// Ties a request to its consumer: when the last reference goes, the board is told to stop.
final class StreamToken: Sendable {
  let link: BoardLink
  let sequence: UInt32
  let operationID: UInt64
  let name: String
  private let abortLimit: Duration

  init(link: BoardLink, sequence: UInt32, operationID: UInt64, name: String, abortLimit: Duration) {
    self.link = link
    self.sequence = sequence
    self.operationID = operationID
    self.name = name
    self.abortLimit = abortLimit
  }

  deinit {
    let (link, sequence, operationID, limit) = (link, sequence, operationID, abortLimit)
    Task { await abandonAndAbort(link, sequence, operationID, limit) }
  }

  func next() async throws -> ResponseMessage? { try await link.next(sequence) }

  /// Tells the board to stop and waits until it has said so, even if the calling task is cancelled.
  func abort() async {
    let (link, sequence, operationID, limit) = (link, sequence, operationID, abortLimit)
    await Task { await abandonAndAbort(link, sequence, operationID, limit) }.value
  }
}

/// Gives a request up and, if the board had still to work on it, asks it to stop.
private func abandonAndAbort(_ link: BoardLink, _ sequence: UInt32, _ operationID: UInt64, _ limit: Duration) async {
  guard await link.abandon(sequence), operationID != 0 else { return }
  // A board that does not answer is made safe by whoever closes it, or by its own watchdog.
  guard
    let abort = try? await link.send(Abort(operationID: operationID).body, limit: limit, isUrgent: true)
  else { return }
  while (try? await link.next(abort)) != nil {}
}
