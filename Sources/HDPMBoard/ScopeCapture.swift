internal import Foundation
public import RRAMUnits

/// x(t) of one run as a two-channel oscilloscope recorded it, triggered on switch S1: time 0 is the run's first tick.
public struct ScopeCapture: Sendable, Hashable {
  /// Seconds since the trigger, rising.
  public let time: [Double]
  /// Volts of x₁ and x₂ at these times.
  public let v1: [Double]
  public let v2: [Double]

  /// When the state is the sample: t = 1e-4, as everywhere in the toolkit, with one second of board time a unit of t.
  public static let readOutTime = 0.9999
  /// A capture needs this many points up to the read-out: one a tick.
  public static let minimumPoints = 200

  /// Takes a capture, or refuses one that does not show a run; `file` names it in the error.
  public init(time: [Double], v1: [Double], v2: [Double], file: String) throws(HDPMError) {
    func fail(_ reason: String) -> HDPMError { HDPMError(.capture, "\(file): \(reason)") }
    guard time.count == v1.count, time.count == v2.count else {
      throw fail("\(time.count) times, \(v1.count) and \(v2.count) voltages")
    }
    for (name, values) in [("time", time), ("v1", v1), ("v2", v2)] {
      if let bad = values.firstIndex(where: { !$0.isFinite }) { throw fail("point \(bad): \(name) is \(values[bad])") }
    }
    if let bad = time.indices.dropFirst().first(where: { time[$0] <= time[$0 - 1] }) {
      throw fail("point \(bad): time \(time[bad]) s does not follow \(time[bad - 1]) s")
    }
    let inside = time.count { $0 >= 0 && $0 <= Self.readOutTime }
    guard let first = time.first, let last = time.last, inside >= Self.minimumPoints else {
      throw fail(
        "\(inside) points from 0 to \(Self.readOutTime) s, at least \(Self.minimumPoints) (one a tick) are needed")
    }
    guard first <= 0.005, last >= Self.readOutTime else {
      throw fail("points from \(Self.text(first)) to \(Self.text(last)) s, 0 to \(Self.readOutTime) s are needed")
    }
    self.time = time
    self.v1 = v1
    self.v2 = v2
  }

  private static func text(_ seconds: Double) -> String { String(format: "%.4g", seconds) }

  /// Start point and sample in units of the network.
  ///
  /// - Parameter unitVoltage: volts of one unit, v_bias of the run.
  public func points(unitVoltage: Volts) -> (start: [Float], sample: [Float]) {
    let unit = unitVoltage.rawValue
    func units(_ t: Double) -> [Float] { [Float(value(v1, at: t) / unit), Float(value(v2, at: t) / unit)] }
    return (units(0), units(Self.readOutTime))
  }

  /// Linear between the points; the first one's value before it.
  private func value(_ values: [Double], at t: Double) -> Double {
    guard let next = time.firstIndex(where: { $0 >= t }) else { return values[values.count - 1] }
    guard next > 0, time[next] > t else { return values[next] }
    let share = (t - time[next - 1]) / (time[next] - time[next - 1])
    return values[next - 1] + share * (values[next] - values[next - 1])
  }

  /// The columns of a capture file.
  static let columns = ["time", "v1", "v2"]

  /// Reads CSV with the columns time, v1, v2 (seconds, volts) under a header; units as `time_s`, `v1_V`, `v2_V` may stand there.
  public init(csv text: String, file: String) throws(HDPMError) {
    func fail(_ line: Int, _ reason: String) -> HDPMError { HDPMError(.capture, "\(file), line \(line): \(reason)") }
    var columns: [[Double]] = [[], [], []]
    var hasHeader = false
    for (index, line) in text.utf8.split(omittingEmptySubsequences: false, whereSeparator: { $0 == 0x0A }).enumerated()
    {
      let fields = (Substring(line).split(separator: ",", omittingEmptySubsequences: false))
        .map { $0.trimmingCharacters(in: .whitespaces.union(.controlCharacters)) }
      if fields == [""] { continue }
      guard hasHeader else {
        let names = fields.map { $0.lowercased() }
        guard names == Self.columns || names == ["time_s", "v1_v", "v2_v"] else {
          let found = fields.joined(separator: ",")
          throw fail(index + 1, "columns '\(found.prefix(80))', 'time,v1,v2' expected")
        }
        hasHeader = true
        continue
      }
      guard fields.count == 3 else { throw fail(index + 1, "\(fields.count) fields, 3 expected") }
      for (column, field) in fields.enumerated() {
        guard let value = Double(field) else {
          throw fail(index + 1, "\(Self.columns[column]) '\(field.prefix(40))' is no number")
        }
        columns[column].append(value)
      }
    }
    guard hasHeader else { throw HDPMError(.capture, "\(file): empty; the header 'time,v1,v2' expected") }
    try self.init(time: columns[0], v1: columns[1], v2: columns[2], file: file)
  }

  /// The file that ``init(csv:file:)`` reads back to the same numbers.
  public var csv: String {
    "time,v1,v2\n" + time.indices.map { "\(time[$0]),\(v1[$0]),\(v2[$0])\n" }.joined()
  }
}

/// Where captures of runs come from.
public protocol ScopeSource: Sendable {
  /// The next capture that nobody has taken yet, or `nil` if none has come by `deadline` of the driver's clock.
  func next(until deadline: Duration) async throws -> ScopeCapture?
}
