/// What the suite found on one board.
public struct ConformanceReport: Sendable, Hashable {
  /// How one check ended.
  public enum Outcome: String, Sendable, Hashable, Codable {
    case passed
    case failed
    /// It could not be tried; ``Finding/detail`` says why.
    case skipped
  }

  /// One requirement of the protocol and what the board made of it.
  public struct Finding: Sendable, Hashable, Codable {
    /// Area and name, `framing.payload-check`; stable between versions.
    public var check: String
    /// Section of `protocols/framing.md` that asks for it.
    public var section: String
    /// What a board has to do, in a sentence.
    public var requirement: String
    public var outcome: Outcome
    /// What was expected and what came, or why it was not tried; empty where it passed.
    public var detail: String

    public init(check: String, section: String, requirement: String, outcome: Outcome, detail: String = "") {
      self.check = check
      self.section = section
      self.requirement = requirement
      self.outcome = outcome
      self.detail = detail
    }
  }

  /// As the board names itself; empty if it never answered.
  public var board: String
  public var serial: String
  public var firmware: String
  /// Protocol level in use; 0 if the board never answered.
  public var protocolLevel: Int
  public var findings: [Finding]

  public func count(_ outcome: Outcome) -> Int { findings.count { $0.outcome == outcome } }

  /// True if no check failed and not all were skipped.
  public var conforms: Bool { count(.failed) == 0 && count(.passed) > 0 }

  /// Names of the checks that failed.
  public var failures: Set<String> { Set(findings.filter { $0.outcome == .failed }.map(\.check)) }
}
