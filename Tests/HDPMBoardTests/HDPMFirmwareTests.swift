import HDPMBoard
import RRAMUnits
import Testing

@Suite struct HDPMFirmwareTests {
  /// Sends a line and lets the board answer.
  static func send(_ text: String, to board: inout HDPMFirmware) {
    board.receive(Array("\(text)\r\n".utf8))
    _ = board.advance(to: board.time + .milliseconds(100))
  }

  @Test(arguments: ["0", "2", "4", "b", "E", "I"])
  func aRunWritesExactlyThePredictedWords(preset: String) throws {
    var board = HDPMFirmware()
    for command in ["O6240", "C037", "D2", "In\(preset)0"] { Self.send(command, to: &board) }
    _ = board.advance(to: .seconds(6))
    Self.send("Go", to: &board)
    _ = board.advance(to: .seconds(8))
    let runs = board.takeFinishedRuns()
    #expect(runs.count == 1)
    let run = try #require(runs.first)
    let schedule = HDPMSchedule(board.settings)
    #expect(run.words.map { $0.word } == schedule.words.map { $0.word })
    #expect(run.played == schedule.played)
    #expect(!run.disturbed)
    #expect(run.bias == .millivolts200)
  }

  @Test func theBiasActsAtTheNextLoadOnly() throws {
    var board = HDPMFirmware()
    Self.send("In00", to: &board)
    Self.send("D0", to: &board)
    #expect(board.settings.bias == .millivolts100)
    Self.send("In00", to: &board)
    #expect(board.settings.bias == .millivolts50)
  }

  @Test func aCoefficientActsInMidRun() throws {
    var board = HDPMFirmware()
    _ = board.advance(to: .seconds(6))
    Self.send("Go", to: &board)
    _ = board.advance(to: .milliseconds(6500))
    Self.send("C200", to: &board)
    _ = board.advance(to: .seconds(8))
    let run = try #require(board.takeFinishedRuns().first)
    var settings = HDPMSettings(preset: HDPMPreset.all[0])
    let before = HDPMSchedule(settings).words.map { $0.word }
    settings.coefficient = 2
    let after = HDPMSchedule(settings).words.map { $0.word }
    let change = try #require((0..<241).first { run.words[$0 * 18].word != before[$0 * 18] })
    // Sent 0.4 s or so into the run.
    #expect((70...110).contains(change))
    #expect(run.words.prefix(change * 18).map { $0.word } == Array(before.prefix(change * 18)))
    #expect(run.words.dropFirst(change * 18).map { $0.word } == Array(after.dropFirst(change * 18)))
  }

  @Test func aLoadInMidRunMarksTheRun() throws {
    var board = HDPMFirmware()
    _ = board.advance(to: .seconds(6))
    Self.send("Go", to: &board)
    Self.send("In00", to: &board)
    _ = board.advance(to: .seconds(8))
    #expect(try #require(board.takeFinishedRuns().first).disturbed)
  }

  @Test func noiseIsHeldPerTickAndLeavesItsLastValueBehind() throws {
    var board = HDPMFirmware()
    Self.send("In01", to: &board)
    _ = board.advance(to: .seconds(6))
    Self.send("Go", to: &board)
    _ = board.advance(to: .seconds(8))
    let run = try #require(board.takeFinishedRuns().first)
    let noise = (0..<241).map { run.words[$0 * 18 + 16].value }
    #expect(Set(noise).count > 200)
    // σ = β(t + 5 ms) at the start, from 60 draws of one seed: within 40 %.
    let early = noise.prefix(60)
    let rms = (early.reduce(0) { $0 + $1 * $1 } / 60).squareRoot()
    #expect((0.25...0.6).contains(rms))
    #expect(run.played[241][16...] == run.played[240][16...])
    #expect(run.played[241][..<16].allSatisfy { $0 == 2048 })
    #expect(run.played[241][16] != 2048)
  }

  @Test func answersAndWordsDoNotDependOnHowTimeIsCut() {
    var whole = HDPMFirmware()
    var steps = HDPMFirmware()
    var answers: [[UInt8]] = [[], []]
    let script: [(Int, String)] = [(100, "C050\r\n"), (5200, "Go\r\n"), (5600, "N200\r\n"), (9000, "\r\n")]
    for (time, text) in script {
      answers[0] += whole.advance(to: .milliseconds(time))
      whole.receive(Array(text.utf8))
      while steps.time < .milliseconds(time) { answers[1] += steps.advance(to: steps.time + .microseconds(700)) }
      answers[1] += steps.advance(to: steps.time)
      steps.receive(Array(text.utf8))
    }
    answers[0] += whole.advance(to: .seconds(12))
    while steps.time < .seconds(12) { answers[1] += steps.advance(to: steps.time + .microseconds(700)) }
    #expect(answers[0] == answers[1])
    #expect(whole.takeFinishedRuns().map { $0.words } == steps.takeFinishedRuns().map { $0.words })
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func noBytesStopTheBoard(seed: UInt64) throws {
    var stream = PhiloxStream(seed: seed, stream: (0, 0, 0))
    var board = HDPMFirmware()
    let starts = ["In", "Go", "O", "C", "D", "N", "", "\r", "\r\n"].map { Array($0.utf8) }
    for _ in 0..<3000 {
      var bytes = starts[Int(stream.nextWord() % 9)]
      for _ in 0..<stream.nextWord() % 7 { bytes.append(UInt8(truncatingIfNeeded: stream.nextWord())) }
      if stream.nextWord() % 4 > 0 { bytes += [0x0D, 0x0A] }
      board.receive(bytes)
      _ = board.advance(to: board.time + .milliseconds(Int(stream.nextWord() % 3000)))
    }
    #expect(!board.takeFinishedRuns().isEmpty)
    // Whatever came before, two full commands bring it back.
    _ = board.advance(to: board.time + .seconds(2))
    for _ in 0..<2 { Self.send("D1", to: &board) }
    board.receive(Array("C123\r\n".utf8))
    let answer = board.advance(to: board.time + .seconds(1))
    #expect(String(decoding: answer, as: UTF8.self) == "Coef: 1.230000\r\n")
  }
}
