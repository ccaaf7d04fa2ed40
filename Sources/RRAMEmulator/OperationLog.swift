internal import RRAMWire

/// What the board remembers of the operations that touched cells: the last 64, by id.
struct OperationLog {
  struct Entry {
    var id: UInt64
    var state: OperationState.State
    var account: OperationAccount
  }

  static let capacity = 64
  private var entries: [Entry] = []

  subscript(id: UInt64) -> Entry? { entries.last { $0.id == id } }

  /// Remembers a new operation and forgets the oldest ended one if there are too many.
  ///
  /// Operations that have not ended are never forgotten; the queue bounds their number.
  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    guard entries.count > Self.capacity else { return }
    if let oldest = entries.firstIndex(where: { $0.state != .queued && $0.state != .running }) {
      entries.remove(at: oldest)
    }
  }

  mutating func update(_ id: UInt64, _ change: (inout Entry) -> Void) {
    guard let index = entries.lastIndex(where: { $0.id == id }) else { return }
    change(&entries[index])
  }
}
