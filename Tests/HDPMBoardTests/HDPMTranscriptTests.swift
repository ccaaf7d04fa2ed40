import HDPMBoard
import Testing

/// One exchange: bytes put on the line at a time, and what the board has said by the time of the next one.
struct Exchange: Sendable, CustomTestStringConvertible {
  var send: String
  var answer: String
  /// Seconds waited before sending.
  var after: Double = 0.1
  /// Runs begun since boot, where the exchange is about that.
  var runs: Int?
  var testDescription: String { send.debugDescription }

  init(_ send: String, _ answer: String, after: Double = 0.1, runs: Int? = nil) {
    self.send = send
    self.answer = answer
    self.after = after
    self.runs = runs
  }
}

struct Transcript: Sendable, CustomTestStringConvertible {
  var name: String
  var exchanges: [Exchange]
  var testDescription: String { name }

  static let all: [Transcript] = [
    Transcript(
      name: "good commands",
      exchanges: [
        Exchange("D0\r\n", "V_bias and DAC coef: 0.050000\r\n"),
        Exchange("D1\r\n", "V_bias and DAC coef: 0.100000\r\n"),
        Exchange("D2\r\n", "V_bias and DAC coef: 0.200000\r\n"),
        Exchange("C050\r\n", "Coef: 0.500000\r\n"),
        Exchange("C001\r\n", "Coef: 0.010000\r\n"),
        Exchange("C999\r\n", "Coef: 9.990000\r\n"),
        Exchange("N000\r\n", "Noise Scale: 0.000000\r\n"),
        Exchange("N100\r\n", "Noise Scale: 1.000000\r\n"),
        Exchange("N999\r\n", "Noise Scale: 9.990000\r\n"),
        Exchange("O5050\r\n", "Offset set1: 0.000000\nOffset set2: 0.000000\r\n"),
        Exchange("O0099\r\n", "Offset set1: -0.500000\nOffset set2: 0.490000\r\n"),
        Exchange("O6240\r\n", "Offset set1: 0.120000\nOffset set2: -0.100000\r\n"),
        Exchange("In00\r\n", "Type:0\tStart...\r\n"),
        Exchange("In41\r\n", "Type:4\tStart...\r\n"),
        Exchange("Ing0\r\n", "Type:g\tStart...\r\n"),
        Exchange("InI1\r\n", "Type:I\tStart...\r\n"),
        Exchange("Go\r\n", "\r\n", after: 5, runs: 1),
      ]),
    Transcript(
      name: "malformed commands",
      exchanges: [
        Exchange("Nxyz\r\n", "Noise Scale: 80.040001\r\n"),
        Exchange("Oabcd\r\n", "Offset set1: 4.900000\nOffset set2: 5.120000\r\n"),
        Exchange("Cxyz\r\n", "Coef: 1.000000\r\n"),
        Exchange("C000\r\n", "Coef: 1.000000\r\n"),
        Exchange("C050\r\n", "Coef: 0.500000\r\n"),
        Exchange("C000\r\n", "Coef: 0.500000\r\n"),
        Exchange("D7\r\n", "V_bias and DAC coef: 0.100000\r\n"),
        Exchange("Dx\r\n", "V_bias and DAC coef: 0.100000\r\n"),
        Exchange("D2\r\n", "V_bias and DAC coef: 0.200000\r\n"),
        Exchange("D9\r\n", "V_bias and DAC coef: 0.200000\r\n"),
        Exchange("Inz0\r\n", "Type:z\tStart...\r\n"),
        Exchange("In09\r\n", "Type:0\tStart...\r\n"),
        // The first byte alone decides; what follows are digits, whatever they are.
        Exchange("Offset\r\n", "Offset set1: 5.440000\nOffset set2: 6.730000\r\n"),
        Exchange("N-01\r\n", "Noise Scale: -2.990000\r\n"),
        Exchange("go\r\n", ""),
        Exchange("in00\r\n", ""),
        Exchange("c050\r\n", ""),
        Exchange("?\r\n", ""),
        Exchange("G0\r\n", ""),
        Exchange("I n0\r\n", ""),
        Exchange(" C050\r\n", ""),
      ]),
    Transcript(
      name: "line ends",
      exchanges: [
        Exchange("N100\n", ""),
        // LF was data, so the line is 'N100\nC050': N decides.
        Exchange("C050\r\n", "Noise Scale: 1.000000\r\n"),
        Exchange("N200\r", ""),
        // The byte behind CR is not LF: it and the line are gone.
        Exchange("N300\r\n", ""),
        // The buffer now holds '300'; a '3' is no command.
        Exchange("\r\n", ""),
        Exchange("N200\rN300\r\n", ""),
        Exchange("N200\r\rN300\r\n", "Noise Scale: 3.000000\r\n"),
        Exchange("N400\r\n", "Noise Scale: 4.000000\r\n"),
      ]),
    Transcript(
      name: "stale bytes",
      exchanges: [
        Exchange("\r\n", ""),
        Exchange("N\r\n", "Noise Scale: -53.279999\r\n"),
        Exchange("C123\r\n", "Coef: 1.230000\r\n"),
        Exchange("N\r\n", "Noise Scale: 1.230000\r\n"),
        Exchange("N4\r\n", "Noise Scale: 4.230000\r\n"),
        Exchange("\r\n", "Noise Scale: 4.230000\r\n"),
        Exchange("C\r\n", "Coef: 4.230000\r\n"),
        Exchange("\r\n", "Coef: 4.230000\r\n"),
        Exchange("In31\r\n", "Type:3\tStart...\r\n"),
        Exchange("In\r\n", "Type:3\tStart...\r\n"),
        Exchange("InA\r\n", "Type:A\tStart...\r\n"),
        Exchange("D\r\n", "V_bias and DAC coef: 0.100000\r\n"),
        Exchange("Go\r\n", "\r\n", after: 5, runs: 1),
        // An empty line repeats Go; within the guard it is lost, after it a run begins.
        Exchange("\r\n", "\r\n", after: 2, runs: 1),
        Exchange("\r\n", "\r\n", after: 3.1, runs: 2),
        Exchange("G\r\n", "\r\n", after: 5.1, runs: 3),
      ]),
    Transcript(
      name: "long lines",
      exchanges: [
        // 200 bytes without CR: counting starts at 0 again, so the tail is the command.
        Exchange(String(repeating: "x", count: 200) + "C050\r\n", "Coef: 0.500000\r\n", after: 0.1),
        Exchange("N100" + String(repeating: "x", count: 196) + "\r\n", "Noise Scale: 1.000000\r\n", after: 0.5),
        Exchange("N1" + String(repeating: "x", count: 198) + "N2\r\n", "Noise Scale: 9.920000\r\n", after: 0.5),
        Exchange("N100" + String(repeating: "x", count: 195) + "\r\n", "Noise Scale: 1.000000\r\n", after: 0.5),
      ]),
    Transcript(
      name: "overlapping lines",
      exchanges: [
        Exchange("In10\r\nGo\r\n", "Type:1\tStart...\r\n", after: 6, runs: 0),
        Exchange("Go\r\n", "\r\n", runs: 1),
        Exchange("C050\r\nC060\r\n", "Coef: 0.500000\r\n", after: 2),
        Exchange("N100\r\nC070\r\nC080\r\n", "Noise Scale: 1.000000\r\n"),
        Exchange("C090\r\n", "Coef: 0.900000\r\n"),
      ]),
    Transcript(
      name: "the guard between runs",
      exchanges: [
        Exchange("Go\r\n", "\r\n", after: 1, runs: 0),
        Exchange("Go\r\n", "\r\n", after: 3.3, runs: 0),
        Exchange("Go\r\n", "\r\n", after: 0.3, runs: 1),
        Exchange("Go\r\n", "\r\n", after: 1, runs: 1),
        Exchange("Go\r\n", "\r\n", after: 3.1, runs: 1),
        Exchange("Go\r\n", "\r\n", after: 0.15, runs: 2),
        Exchange("Go\r\n", "\r\n", after: 5.02, runs: 3),
        Exchange("Go\r\n", "\r\n", after: 5.02, runs: 4),
      ]),
    Transcript(
      name: "the wrap of the tick counter",
      exchanges: [
        Exchange("Go\r\n", "\r\n", after: 590, runs: 1),
        Exchange("Go\r\n", "\r\n", after: 8, runs: 2),
        // 604 s: 6 s behind the last run, but only 4 s behind the wrap.
        Exchange("Go\r\n", "\r\n", after: 6, runs: 2),
        Exchange("Go\r\n", "\r\n", after: 1.3, runs: 3),
        Exchange("Go\r\n", "\r\n", after: 5.02, runs: 4),
        Exchange("Go\r\n", "\r\n", after: 590.5, runs: 4),
        Exchange("Go\r\n", "\r\n", after: 5.02, runs: 5),
      ]),
    Transcript(
      name: "commands in mid-run",
      exchanges: [
        Exchange("Go\r\n", "\r\n", after: 5.1, runs: 1),
        Exchange("C050\r\n", "Coef: 0.500000\r\n", after: 0.2, runs: 1),
        Exchange("N050\r\n", "Noise Scale: 0.500000\r\n", after: 0.2, runs: 1),
        Exchange("Go\r\n", "\r\n", after: 0.2, runs: 1),
        Exchange("In20\r\n", "Type:2\tStart...\r\n", after: 0.2, runs: 1),
      ]),
  ]
}

@Suite struct HDPMTranscriptTests {
  @Test func thereAreSixtyExchangesAtLeast() {
    #expect(Transcript.all.reduce(0) { $0 + $1.exchanges.count } >= 60)
  }

  @Test(arguments: Transcript.all) func theVirtualBoardAnswersByteForByte(transcript: Transcript) {
    var board = HDPMFirmware()
    var time = Duration.zero
    var finished = 0
    for (index, exchange) in transcript.exchanges.enumerated() {
      time += .seconds(exchange.after)
      #expect(board.advance(to: time).isEmpty, "exchange \(index): the board speaks unasked")
      board.receive(Array(exchange.send.utf8))
      // The longest line takes 0.22 s, the longest answer 0.05 s.
      time += .seconds(0.35)
      let answer = String(decoding: board.advance(to: time), as: UTF8.self)
      #expect(answer == exchange.answer, "exchange \(index): \(exchange.send.debugDescription)")
      finished += board.takeFinishedRuns().count
      if let runs = exchange.runs {
        #expect(finished + (board.isRunning ? 1 : 0) == runs, "exchange \(index): \(exchange.send.debugDescription)")
      }
    }
  }
}
