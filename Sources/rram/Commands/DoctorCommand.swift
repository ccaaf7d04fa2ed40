import ArgumentParser
import RRAMKit

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Find what stands between you and a board, and the command that mends it.",
    discussion: """
      Looks at the machine's USB, the udev rule, permissions, firmware levels, who holds a board, and whether it answers. A board that \
      somebody holds is asked for its status and not disturbed. Ends with the code that other commands would end with: 0 if all is well.
      """)

  @OptionGroup var options: BoardOptions

  func run() async throws {
    try answer(DoctorOutput(await RRAM.checkup(options.address())), json: options.common.json)
  }
}

struct DoctorOutput: CommandOutput {
  struct Finding: Encodable {
    var subject: String
    var board: String?
    var state: Checkup.State
    var message: String
    /// What mends it.
    var command: String?
  }

  var healthy: Bool
  var findings: [Finding]
  private(set) var exitStatus: Int32

  init(_ checkup: Checkup) {
    healthy = checkup.isHealthy
    findings = checkup.findings.map {
      Finding(
        subject: $0.subject, board: $0.address, state: $0.state, message: $0.message,
        command: $0.problem.flatMap(remedy))
    }
    let codes = checkup.findings.filter { $0.state == .problem }.compactMap { $0.problem.map(exitCode) }
    // Without a board nothing else matters.
    exitStatus = codes.first { $0 == ExitStatus.noBoard } ?? codes.first ?? 0
  }

  private enum CodingKeys: CodingKey { case healthy, findings }

  var text: String {
    let width = findings.map(\.subject.count).max() ?? 0
    return findings.map { finding in
      let state = finding.state.rawValue.padded(to: 7)
      let board = finding.board.map { finding.message.hasPrefix($0) ? "" : "\($0): " } ?? ""
      let command = finding.command.map { "; mend it: \($0)" } ?? ""
      return "\(state)  \(finding.subject.padded(to: width))  \(board)\(finding.message)\(command)"
    }.joined(separator: "\n")
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
