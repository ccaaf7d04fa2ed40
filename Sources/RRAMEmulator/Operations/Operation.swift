internal import RRAMUnits
internal import RRAMWire

/// What one step of an operation did.
enum OperationStep {
  /// Some of the work, nothing to say yet.
  case working
  /// A part of the answer that is not the last.
  case part(ResponseBody)
  /// The last part.
  case finished(ResponseBody)
}

/// How far an operation has come: cells or samples, and what was done to cells.
struct OperationAccount {
  var finished = 0
  var total = 0
  var pulses = 0
  var reads = 0
  var rounds = 0

  var progress: OperationProgress {
    OperationProgress(finished: finished, total: total, pulses: pulses, reads: reads, rounds: rounds)
  }
}

/// Which macros an operation uses; operations that share one run in the order they came.
struct MacroSet {
  private let bits: UInt64
  static let all = MacroSet(bits: .max)
  static let none = MacroSet(bits: 0)

  private init(bits: UInt64) { self.bits = bits }
  // A board with more than 64 macros has some of them share an order, which is never wrong.
  init(_ macros: some Sequence<Int>) { bits = macros.reduce(0) { $0 | 1 << UInt64($1 & 63) } }

  func overlaps(_ other: MacroSet) -> Bool { bits & other.bits != 0 }
  func union(_ other: MacroSet) -> MacroSet { MacroSet(bits: bits | other.bits) }
}

/// A request that takes chip time, done in steps so that the firmware looks at abort, safe and credit between them.
///
/// A step takes at most a few milliseconds of host time. Arguments were checked when the operation was made, so nothing
/// happens to a cell when anything is wrong.
protocol Operation: AnyObject {
  /// Macros whose order it keeps.
  var macros: MacroSet { get }
  var account: OperationAccount { get }
  /// True if lines are driven.
  var energises: Bool { get }
  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep
  /// What has not been said yet, when the operation ends early.
  func partialResults() -> [ResponseBody]
}

extension Operation {
  var energises: Bool { true }
  func partialResults() -> [ResponseBody] { [] }
}

/// A request that is done in one step.
final class ImmediateOperation: Operation {
  let macros: MacroSet
  let energises: Bool
  private(set) var account: OperationAccount
  private let body: (Chip) throws(RequestFailure) -> ResponseBody

  init(
    macros: MacroSet, energises: Bool = false, total: Int = 0,
    _ body: @escaping (Chip) throws(RequestFailure) -> ResponseBody
  ) {
    self.macros = macros
    self.energises = energises
    account = OperationAccount(total: total)
    self.body = body
  }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    let result = try body(chip)
    account.finished = account.total
    return .finished(result)
  }
}

/// An operation that is made when its turn comes, from the state that the requests before it have left.
final class DeferredOperation: Operation {
  let macros: MacroSet
  private let make: (Chip) throws(RequestFailure) -> any Operation
  private var made: (any Operation)?
  private let expected: OperationAccount

  init(macros: MacroSet, total: Int, _ make: @escaping (Chip) throws(RequestFailure) -> any Operation) {
    self.macros = macros
    self.make = make
    expected = OperationAccount(total: total)
  }

  var account: OperationAccount { made?.account ?? expected }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    if let made { return try made.step(chip) }
    let operation = try make(chip)
    made = operation
    return try operation.step(chip)
  }

  func partialResults() -> [ResponseBody] { made?.partialResults() ?? [] }
}
