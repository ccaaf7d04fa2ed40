internal import RRAMProfiles
public import RRAMTransport
internal import RRAMUnits
internal import RRAMWire

/// A row of one macro.
public struct CellRow: Sendable, Hashable, CustomStringConvertible {
  public var macro: Int
  public var row: Int

  public init(macro: Int, row: Int) {
    self.macro = macro
    self.row = row
  }

  public var description: String { "\(macro):\(row)" }
}

/// The row that may be pulsed is not on the board.
public struct ConformanceError: Error, Sendable, Hashable, CustomStringConvertible {
  public var spareRow: CellRow
  /// What the board has.
  public var macros: Int
  public var rows: Int

  public init(spareRow: CellRow, macros: Int, rows: Int) {
    (self.spareRow, self.macros, self.rows) = (spareRow, macros, rows)
  }

  public var description: String {
    "spare row \(spareRow): the board has macros 0 to \(macros - 1), each with rows 0 to \(rows - 1)"
  }
}

/// The protocol suite for boards: sends what hosts send and what they must not, and looks whether the board does as
/// `protocols/framing.md` says.
///
/// A chip comes to no harm: nothing is formed, no label is set, and without ``Options-swift.struct/spareRow`` no pulse is given.
public enum Conformance {
  public struct Options: Sendable {
    /// A row that may be pulsed at up to 50 mV, or with its word line off; `nil`: no pulses, and the checks that need some are
    /// skipped. Pulses raise the macro's write counter, so a network on that macro counts as changed.
    public var spareRow: CellRow?
    /// No loop is run: cells of a network would be read by it.
    public var isDry: Bool
    /// Silence after which an answer counts as missing.
    public var limit: Duration
    /// Only checks whose name begins with one of these; empty: all.
    public var only: [String]

    public init(
      spareRow: CellRow? = nil, isDry: Bool = false, limit: Duration = .seconds(2), only: [String] = []
    ) {
      self.spareRow = spareRow
      self.isDry = isDry
      self.limit = limit
      self.only = only
    }
  }

  /// Names of all checks, in the order in which they run.
  public static var checks: [String] { Check.all.map(\.name) }

  /// What the checks ask for, with the section of `protocols/framing.md` that says so.
  public static var requirements: [(check: String, section: String, requirement: String)] {
    Check.all.map { ($0.name, $0.section, $0.requirement) }
  }

  /// Runs the suite against the board behind `connect`.
  ///
  /// - Parameters:
  ///   - connect: opens a link to the same board; called again after the link was closed or lost.
  ///   - progress: called after each check.
  /// - Throws: what `connect` throws the first time, ``ConformanceError`` if the board has no such spare row. Everything else
  ///   is a finding.
  public static func run(
    options: Options = Options(), progress: (ConformanceReport.Finding) -> Void = { _ in },
    connect: @escaping () async throws -> any Transport
  ) async throws -> ConformanceReport {
    let board = try await BoardUnderTest(options: options, connect: connect)
    // What cannot be opened shows as the finding of every check.
    try? await board.start()
    if let row = options.spareRow, let macros = board.description?.macros,
      !(0..<macros.count).contains(row.macro) || !(0..<macros.shape.rows).contains(row.row)
    {
      await board.close()
      throw ConformanceError(spareRow: row, macros: macros.count, rows: macros.shape.rows)
    }
    var findings: [ConformanceReport.Finding] = []
    for check in Check.all where options.only.isEmpty || options.only.contains(where: check.name.hasPrefix) {
      let (outcome, detail) = await outcome(of: check, on: board)
      let finding = ConformanceReport.Finding(
        check: check.name, section: check.section, requirement: check.requirement, outcome: outcome, detail: detail)
      findings.append(finding)
      progress(finding)
    }
    // Whatever the last check did: the board is left safe.
    _ = try? await board.control(.safe)
    await board.close()
    let hello = board.hello
    return ConformanceReport(
      board: hello.board, serial: hello.serial, firmware: hello.firmwareVersion, protocolLevel: hello.protocolLevel,
      findings: findings)
  }

  private static func outcome(of check: Check, on board: BoardUnderTest) async -> (ConformanceReport.Outcome, String) {
    do {
      if check.needsSession { try await board.start() }
      try await check.body(board)
      return (.passed, "")
    } catch CheckEnd.failed(let complaint) {
      return (.failed, complaint)
    } catch CheckEnd.skipped(let reason) {
      return (.skipped, reason)
    } catch {
      return (.failed, "\(error)")
    }
  }
}

/// One requirement and how it is tried.
struct Check: Sendable {
  /// Area and name.
  var name: String
  var section: String
  var requirement: String
  /// False for what looks back on the whole suite.
  var needsSession = true
  var body: @Sendable (BoardUnderTest) async throws -> Void

  init(
    _ name: String, _ section: String, _ requirement: String, needsSession: Bool = true,
    _ body: @escaping @Sendable (BoardUnderTest) async throws -> Void
  ) {
    self.name = name
    self.section = section
    self.requirement = requirement
    self.needsSession = needsSession
    self.body = body
  }

  /// In the order of the protocol's sections; what takes seconds comes late, what looks back comes last.
  static let all = session + framing + messages + order + streams + operations + loop + limits + safety + bus + answers
}
