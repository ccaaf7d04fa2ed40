import ArgumentParser
import Foundation
import RRAMFaults
import RRAMKit

struct CampaignCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "campaign", abstract: "Strike every message of program, sample and characterize with every fault.",
    discussion: """
      Each injection is a session with one fault at one message, on a copy of the same small chip; what it leaves undone is gone on with \
      over a good link. Then: no pulse beyond the limits reached a cell (the physics keeps what each was given), the record is what is on \
      the chip, no result that had come was lost, the result is that of an undisturbed run or there was a clear error. Injections run \
      through faults, messages and directions in an order that the seed draws. Exit code 1 if anything of that was broken.
      """)

  @Option(name: [.customShort("n"), .long], help: "How many injections.")
  var injections = 600

  @Option(help: "Draws the order, the bits and the cells.")
  var seed: UInt64 = 1

  @Option(help: "Sessions at a time: most of them wait for deadlines.")
  var parallel = 12

  @Option(help: "Only this operation: program, sample or characterize.")
  var only: Operation?

  @Option(help: "Repeat this one injection, by the number that a breach names.")
  var number: Int?

  func run() async throws {
    let bench = try Bench()
    defer { bench.remove() }
    let campaign = try await Campaign(bench, seed: seed, operations: only.map { [$0] } ?? Operation.allCases)
    let numbers = number.map { $0..<$0 + 1 } ?? 0..<injections
    var tally = CampaignTally()
    let started = ContinuousClock.now
    await withTaskGroup(of: Injection.self) { group in
      var next = numbers.lowerBound
      while next < min(numbers.lowerBound + parallel, numbers.upperBound) {
        let number = next
        group.addTask { await campaign.inject(number) }
        next += 1
      }
      for await injection in group {
        tally.add(injection)
        if let breach = injection.breach {
          FileHandle.standardError.write(
            Data("\(injection.number): \(injection.operation.rawValue), \(injection.point): \(breach)\n".utf8))
        }
        if next < numbers.upperBound {
          let number = next
          group.addTask { await campaign.inject(number) }
          next += 1
        }
      }
    }
    print(tally.text)
    print(
      "seed \(seed), \(tally.count) injections of which \(tally.struck) struck, \(Int((ContinuousClock.now - started).seconds)) s; "
        + "over-limit pulses \(tally.breaches(.overLimit)), hangs \(tally.breaches(.hang)), lost results \(tally.breaches(.lost)), "
        + "silent wrong results \(tally.breaches(.wrong)), not completed \(tally.breaches(.notCompleted))")
    if tally.isBroken { throw ExitCode(1) }
  }
}

enum Operation: String, CaseIterable, Sendable, ExpressibleByArgument { case program, sample, characterize }

/// What one injection came to.
struct Injection: Sendable {
  enum End: String, CaseIterable, Sendable {
    /// The session itself came to the right end; or a clear error, and going on did.
    case survived, resumed
    /// The fault never happened: the session has fewer messages.
    case missed
  }
  struct Failure: Error, Sendable, CustomStringConvertible {
    enum Kind: String, Sendable { case overLimit, hang, lost, wrong, notCompleted }
    var kind: Kind
    var description: String
  }

  var number: Int
  var operation: Operation
  var point: FaultPoint
  var end: End
  var breach: Failure?
}

struct CampaignTally {
  private var counts: [MessageFault: [Operation: [Injection.End: Int]]] = [:]
  private var kinds: [Injection.Failure.Kind: Int] = [:]
  private(set) var count = 0

  var struck: Int {
    counts.values.flatMap(\.values).reduce(0) { $0 + ($1[.survived] ?? 0) + ($1[.resumed] ?? 0) }
  }
  var isBroken: Bool { !kinds.isEmpty }

  mutating func add(_ injection: Injection) {
    count += 1
    counts[injection.point.fault, default: [:]][injection.operation, default: [:]][injection.end, default: 0] += 1
    if let breach = injection.breach { kinds[breach.kind, default: 0] += 1 }
  }

  func breaches(_ kind: Injection.Failure.Kind) -> Int { kinds[kind] ?? 0 }

  /// Faults down, operations across: sessions that came through by themselves, and those that were gone on with.
  var text: String {
    var rows = [["fault"] + Operation.allCases.flatMap { ["\($0.rawValue): by itself", "resumed"] }]
    for fault in MessageFault.allCases {
      rows.append(
        [fault.rawValue]
          + Operation.allCases.flatMap { operation in
            [Injection.End.survived, .resumed].map { "\(counts[fault]?[operation]?[$0] ?? 0)" }
          })
    }
    return table(rows)
  }
}
