/// Doorbells merge: only the latest one waits to be fetched.
public final class LatestDoorbell: Sendable {
  private let value = Monitor<Doorbell?>(nil)

  public init() {}

  public func set(_ doorbell: Doorbell) { value.withLock { $0 = doorbell } }

  public func take() -> Doorbell? {
    value.withLock { value in
      defer { value = nil }
      return value
    }
  }
}
