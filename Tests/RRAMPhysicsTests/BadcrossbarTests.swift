import Foundation
import RRAMPhysics
import RRAMUnits
import Testing

/// An interpreter that has badcrossbar: `$RRAM_PYTHON`, or the first `python3` on the path.
private let badcrossbarPython: String? = {
  let environment = ProcessInfo.processInfo.environment
  let folders = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/python3" }
  for python in [environment["RRAM_PYTHON"]].compactMap({ $0 }) + folders
  where FileManager.default.isExecutableFile(atPath: python) {
    if (try? run(python, "import badcrossbar", input: Data())) != nil { return python }
  }
  return nil
}()

private struct ProcessFailure: Error { var status: Int32 }

private func run(_ python: String, _ program: String, input: Data) throws -> Data {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: python)
  process.arguments = ["-W", "ignore", "-c", program]
  let (stdin, stdout) = (Pipe(), Pipe())
  process.standardInput = stdin
  process.standardOutput = stdout
  process.standardError = FileHandle.nullDevice
  try process.run()
  try stdin.fileHandleForWriting.write(contentsOf: input)
  try stdin.fileHandleForWriting.close()
  let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw ProcessFailure(status: process.terminationStatus) }
  return output
}

/// badcrossbar (Joksas and Mehonic, SoftwareX 2020) solves the same network by another code: every row's source and every
/// column's ground lie one segment from the next cell.
@Suite struct BadcrossbarTests {
  private struct Input: Codable {
    var resistances: [[Double]]
    var row: Double
    var column: Double
  }

  private static let program = """
    import json, sys
    import numpy as np
    import badcrossbar
    task = json.load(sys.stdin)
    resistances = np.array(task["resistances"])
    solution = badcrossbar.compute(np.eye(resistances.shape[0]), resistances,
        r_i_word_line=task["row"], r_i_bit_line=task["column"], node_voltages=False, all_currents=False)
    print()
    print(json.dumps(np.asarray(solution.currents.output).tolist()))
    """

  @Test(
    "agrees with badcrossbar to 1e-9",
    .enabled(if: badcrossbarPython != nil, "no python3 here has badcrossbar (pip install badcrossbar)"),
    arguments: [(16, 16, 1.0, 1.0), (15, 28, 2.5, 0.4), (40, 10, 0.1, 20)])
  func badcrossbar(rows: Int, columns: Int, row: Double, column: Double) throws {
    let python = try #require(badcrossbarPython)
    var draws = PhiloxStream(seed: 5, stream: (7, 8, 9))
    let resistances = (0..<rows).map { _ in (0..<columns).map { _ in 1e4 + 9e4 * draws.uniform() } }
    let output = try run(
      python, Self.program,
      input: try JSONEncoder().encode(Input(resistances: resistances, row: row, column: column)))
    // badcrossbar's own messages stand above the last line.
    let answer = try #require(output.split(separator: UInt8(ascii: "\n")).last)
    let expected = try JSONDecoder().decode([[Double]].self, from: answer).flatMap { $0 }
    let network = try WireNetwork(
      shape: MacroShape(rows: rows, columns: columns),
      wires: ArrayWires(rowSegment: Ohms(row), columnSegment: Ohms(column)))
    let effective = try network.effective(resistances.flatMap { $0.map { 1 / $0 } })
    #expect(expected.count == effective.count)
    for (a, b) in zip(expected, effective) { #expect(abs(a / b - 1) < 1e-9) }
  }
}
