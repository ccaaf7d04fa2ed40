import HDPMBoard
import RRAMUnits
import Testing

@Suite struct ScopeCaptureTests {
  static func csv(points: Int, header: String = "time,v1,v2", from start: Double = 0) -> String {
    header + "\r\n"
      + (0..<points).map { "\(start + Double($0) * 0.001),\(Double($0) * 1e-4),\(-Double($0) * 2e-4)\r\n" }.joined()
  }

  @Test func unitsAreVoltsByTheUnitVoltageAtStartAndReadOut() throws {
    let capture = try ScopeCapture(csv: Self.csv(points: 1200), file: "run.csv")
    let points = capture.points(unitVoltage: Volts(0.1))
    #expect(points.start == [0, 0])
    // 0.9999 s lies nine tenths on the way from point 999 to 1000.
    #expect(abs(points.sample[0] - 0.9999) < 1e-5)
    #expect(abs(points.sample[1] + 1.9998) < 1e-5)
  }

  @Test func aCaptureComesBackFromItsFileTheSame() throws {
    let capture = try ScopeCapture(
      time: (0..<242).map { Double($0) * 0.005 }, v1: (0..<242).map { 1 / Double($0 + 3) },
      v2: (0..<242).map { Double($0).squareRoot() }, file: "a")
    #expect(try ScopeCapture(csv: capture.csv, file: "b") == capture)
  }

  @Test func namesWithUnitsAreUnderstood() throws {
    let plain = try ScopeCapture(csv: Self.csv(points: 1200), file: "run.csv")
    #expect(try ScopeCapture(csv: Self.csv(points: 1200, header: "time_s,v1_V,v2_V"), file: "run.csv") == plain)
  }

  @Test(arguments: [
    ("", "run.csv: empty; the header 'time,v1,v2' expected"),
    ("t,ch1\n0,1\n", "run.csv, line 1: columns 't,ch1', 'time,v1,v2' expected"),
    ("time,v1,v2\n0,1\n", "run.csv, line 2: 2 fields, 3 expected"),
    ("time,v1,v2\n0,1,x\n", "run.csv, line 2: v2 'x' is no number"),
    (csv(points: 100), "run.csv: 100 points from 0 to 0.9999 s, at least 200 (one a tick) are needed"),
    (csv(points: 900), "run.csv: points from 0 to 0.899 s, 0 to 0.9999 s are needed"),
    (csv(points: 1200, from: 0.1), "run.csv: points from 0.1 to 1.299 s, 0 to 0.9999 s are needed"),
    ("time,v1,v2\n0,1,2\n0,1,2\n", "run.csv: point 1: time 0.0 s does not follow 0.0 s"),
    ("time,v1,v2\n0,nan,2\n", "run.csv: point 0: v1 is nan"),
  ])
  func aFileThatShowsNoRunIsRefused(text: String, message: String) {
    #expect {
      try ScopeCapture(csv: text, file: "run.csv")
    } throws: {
      "\($0)" == message
    }
  }
}
