internal import RRAMWire

/// An operation that waits or runs, with the stream its answer is.
final class QueuedOperation {
  let sequence: UInt32
  /// 0 for requests without an id.
  let operationID: UInt64
  let operation: any Operation
  let requestBytes: Int
  /// Frames that may still be sent; `nil` where the answer is not a stream.
  var credit: Int?
  /// A frame that waits for credit or for room on the link.
  var waiting: (body: ResponseBody, isLast: Bool)?
  var hasStarted = false
  /// Chip time spent so far, ns.
  var chipNanoseconds: UInt64 = 0
  var sentBytes = 0

  init(sequence: UInt32, operationID: UInt64, operation: any Operation, requestBytes: Int, credit: Int?) {
    self.sequence = sequence
    self.operationID = operationID
    self.operation = operation
    self.requestBytes = requestBytes
    self.credit = credit
  }
}

/// Operations in the order they came. Those that share a macro keep it; a stream without credit holds its macros only.
struct OperationQueue {
  private(set) var entries: [QueuedOperation] = []

  var count: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }

  mutating func append(_ entry: QueuedOperation) { entries.append(entry) }

  mutating func remove(_ entry: QueuedOperation) { entries.removeAll { $0 === entry } }

  mutating func removeAll() { entries.removeAll() }

  subscript(sequence sequence: UInt32) -> QueuedOperation? { entries.first { $0.sequence == sequence } }

  /// The first operation that may go on: no earlier one shares a macro with it, and it does not wait for credit.
  var next: QueuedOperation? {
    var held = MacroSet.none
    for entry in entries {
      if !held.overlaps(entry.operation.macros), entry.waiting == nil || entry.credit != 0 { return entry }
      held = held.union(entry.operation.macros)
    }
    return nil
  }
}
