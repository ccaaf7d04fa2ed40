import Foundation
import RRAMModel
import RRAMProfiles
import RRAMSampling
import RRAMUnits
import Testing

@Suite("Schedule") struct ScheduleTests {
  private func compile(
    _ name: String, _ equation: ReverseEquation, label: Int? = nil, scale: Double? = nil, guidance: Double = 0,
    ticks: Int = 200, lines: ConverterLines? = nil, change: (inout BoardDescription.ClosedLoop) -> Void = { _ in }
  ) throws -> (Schedule, ScoreModel, BoardDescription.ClosedLoop) {
    var board = try BoardDescription.named("parallel")
    if var loop = board.closedLoop {
      change(&loop)
      board.closedLoop = loop
    }
    let model = try ModelLibrary.scoreModel(name)
    let program = try SamplingProgram(
      model, equation: equation, scale: scale, classLabel: label, guidance: guidance, ticks: ticks)
    return (try program.schedule(on: board, lines: lines), model, try #require(board.closedLoop))
  }

  private func volts(_ code: UInt16, _ converter: BoardDescription.Converter) -> Double {
    let span = (converter.range.upperBound - converter.range.lowerBound).rawValue
    return converter.range.lowerBound.rawValue + Double(code) * span / Double(1 << converter.bits)
  }

  /// Every channel's line makes of its code what an ideal converter makes of the nominal one, within a step of each.
  @Test("codes make the same voltages behind any lines", arguments: [ReverseEquation.ode, .sde])
  func codesBehindLines(equation: ReverseEquation) throws {
    let (nominal, _, loop) = try compile("letters", equation, label: 1)
    var lines = ConverterLines(loop)
    for kind in LoopConverter.allCases {
      for channel in lines[kind].indices {
        lines[kind][channel] = ConverterLine(
          gain: 1 + 0.01 * Double(channel % 5 - 2), offset: 1e-3 * Double(channel % 3 - 1))
      }
    }
    lines.noise = [ConverterLine(gain: 1.02, offset: 2e-3), ConverterLine(gain: 0.98, offset: -1e-3)]
    let (schedule, _, _) = try compile("letters", equation, label: 1, lines: lines)
    for tick in 0..<200 {
      for channel in 0..<18 {
        let (kind, place): (LoopConverter, Int) =
          channel < 2 ? (.coefficient, channel) : channel < 16 ? (.embedding, channel - 2) : (.offset, channel - 16)
        let converter = try #require(loop.converter(of: kind))
        let index = tick * 18 + channel
        let line = lines[kind][place]
        let played = line.of(Volts(volts(schedule.codes[index], converter)))
        var wanted = Volts(volts(nominal.codes[index], converter))
        // The noise converters' own offset is taken back where they play: not in the last tick, and not at all for the ODE.
        if kind == .offset, equation == .sde, tick < 199 {
          wanted = wanted - lines.noise[place].offset * loop.noiseGain * Volts(1)
        }
        let step = converter.leastSignificantBit.rawValue
        #expect(abs((played - wanted).rawValue) <= 0.51 * step * (1 + line.gain), "tick \(tick), channel \(channel)")
      }
    }
    // The gains of the noise converters are 1 in the mean.
    #expect(schedule.noise == nominal.noise && schedule.noise.isEmpty == (equation == .ode))
  }

  @Test("a corrected code beyond its converter is refused with the largest scale that fits")
  func refusesCorrectedCodes() throws {
    // 3.9 of 4 at the ideal converter: beyond what one with 5 % less gain reaches.
    var lines = ConverterLines(try compile("letters", .ode, label: 1, scale: 15.6).2)
    lines.coefficient[1] = ConverterLine(gain: 0.95, offset: 0)
    let error = try #require(throws: ScheduleError.self) {
      try compile("letters", .ode, label: 1, scale: 15.6, lines: lines)
    }
    #expect(error.code == .outOfRange && error.channel == "b" && error.time ?? 0 > 0.9 && error.value ?? 0 > 3.8)
    let largest = try #require(error.largestScale)
    #expect(throws: Never.self) { try compile("letters", .ode, label: 1, scale: largest, lines: lines) }
    #expect(throws: ScheduleError.self) { try compile("letters", .ode, label: 1, scale: largest + 0.01, lines: lines) }
    // Lines that are not those of the board.
    lines.offset.removeLast()
    let other = try #require(throws: ScheduleError.self) { try compile("letters", .sde, label: 1, lines: lines) }
    #expect(other.description == "23 converter lines are not those of board 'parallel'")
  }

  @Test(
    "codes are the formulas at the ticks' midpoints within one step",
    arguments: [(ReverseEquation.ode, 2.0, 200), (.sde, 1.5, 200), (.ode, 1.0, 100)])
  func codes(equation: ReverseEquation, scale: Double, ticks: Int) throws {
    let (schedule, model, loop) = try compile("letters", equation, label: 1, scale: scale, ticks: ticks)
    #expect(schedule.ticks == ticks && schedule.channels == 18)
    #expect(schedule.tick == .nanoseconds(20_000 / ticks))
    let frequencies = model.network.timeFrequencies.map(Double.init)
    let label = model.network.classEmbedding(1).map(Double.init)
    for tick in 0..<ticks {
      let t = 1 - (Double(tick) + 0.5) * (1 - 1e-4) / Double(ticks)
      let beta = scale * (0.001 + t * (0.5 - 0.001))
      let codes = Array(schedule.codes[tick * 18..<(tick + 1) * 18])
      let coefficientStep = 2.0 / 65536
      // One run covers 1 − 1e-4 of the process's time, so the rates are that much smaller.
      let a = 0.5 * beta * (1 - 1e-4)
      let b = (equation == .ode ? 0.5 : 1) * beta * (1 - 1e-4)
      #expect(abs(volts(codes[0], loop.coefficient) - 0.25 * a) <= coefficientStep)
      #expect(abs(volts(codes[1], loop.coefficient) - 0.25 * b) <= coefficientStep)
      for channel in 0..<14 {
        let angle = 2 * Double.pi * frequencies[channel % 7] * t
        let embedding = (channel < 7 ? sin(angle) : cos(angle)) + label[channel]
        #expect(abs(volts(codes[2 + channel], loop.embedding) - 0.1 * embedding) <= 0.6 / 16384, "channel \(channel)")
      }
      let offset = try #require(loop.offset)
      #expect(volts(codes[16], offset) == 0 && volts(codes[17], offset) == 0)
      guard equation == .sde else { continue }
      // g/√Δτ units at the integrator, noiseGain volts a volt; none in the last tick.
      let step = (1 - 1e-4) / Double(ticks)
      let expected = tick == ticks - 1 ? 0 : (1 - 1e-4) * (beta / step).squareRoot() * 0.1 / loop.noiseGain
      #expect(abs(Double(schedule.noise[tick]) - expected) <= 1e-6)
    }
    #expect(schedule.noise.count == (equation == .sde ? ticks : 0))
  }

  @Test(
    "guidance plays the class and the null condition in slots: c, 0, 0, c for the ODE, c, 0 for the SDE",
    arguments: [(ReverseEquation.ode, [true, false, false, true]), (.sde, [true, false])])
  func guidance(equation: ReverseEquation, pattern: [Bool]) throws {
    let (plain, model, loop) = try compile("letters", equation, label: 2, scale: 1.5)
    let (guided, _, _) = try compile("letters", equation, label: 2, scale: 1.5, guidance: 0.75)
    let condition = model.network.classEmbedding(2).map(Double.init)
    // A slot takes 1000 time constants of the amplifiers, and all rates are as much smaller.
    #expect(plain.tick == .nanoseconds(100) && guided.tick == .nanoseconds(995))
    let stretch = 9.95
    for tick in 0..<200 {
      let (before, after) = (
        plain.codes[tick * 18..<(tick + 1) * 18].map(Int.init), guided.codes[tick * 18..<(tick + 1) * 18].map(Int.init)
      )
      let isClass = pattern[tick % pattern.count]
      // a and the noise run through; b is 2(1 + w) or −2w times the plain one.
      #expect(abs(Double(after[0] - 32768) - Double(before[0] - 32768) / stretch) <= 0.6)
      #expect(abs(Double(after[1] - 32768) - (isClass ? 3.5 : -1.5) * Double(before[1] - 32768) / stretch) <= 0.7)
      for channel in 0..<14 {
        let shift = isClass ? 0 : condition[channel] * loop.unitVoltage.rawValue / (0.6 / 16384)
        #expect(abs(Double(before[2 + channel] - after[2 + channel]) - shift) <= 1, "tick \(tick), channel \(channel)")
      }
    }
    #expect(guided.noise.count == plain.noise.count)
    #expect(zip(guided.noise, plain.noise).allSatisfy { abs(Double($0) * stretch - Double($1)) <= 1e-6 * Double($1) })
    let (none, _, _) = try compile("letters", equation, label: 2, scale: 1.5, guidance: 0)
    #expect(none == plain)
  }

  @Test("guidance beyond the coefficient's converter is refused with the largest w that fits")
  func refusesGuidance() throws {
    let error = try #require(throws: ScheduleError.self) {
      try compile("letters", .sde, label: 0, scale: 1.5, guidance: 30)
    }
    #expect(error.code == .outOfRange && error.channel == "b")
    let largest = try #require(error.largestGuidance)
    // 2(1 + w)·1.5·0.5/9.95 at t = 1 must stay below 4.
    #expect(abs(largest - 25.6) < 0.1)
    #expect(error.description.hasSuffix("the largest w that fits is \(largest), asked 30.0"))
    #expect(throws: Never.self) { try compile("letters", .sde, label: 0, scale: 1.5, guidance: largest) }
    #expect(throws: ScheduleError.self) { try compile("letters", .sde, label: 0, scale: 1.5, guidance: largest + 0.01) }
  }

  @Test("guidance is refused where no slot is long beside the poles")
  func refusesGuidanceBehindSlowAmplifiers() throws {
    let model = try ModelLibrary.scoreModel("letters")
    let program = try SamplingProgram(model, equation: .ode, classLabel: 0, guidance: 1)
    let error = try #require(throws: ScheduleError.self) { try program.schedule(on: BoardDescription.named("hdpm")) }
    #expect(
      error.description
        == "guidance or a neural ODE on board 'hdpm' takes ticks of at least 0.994718395 seconds, 1000 time constants of its "
        + "stages (160.0 Hz); its longest is 0.005 seconds", "\(error)")
  }

  @Test("guidance needs classes, a class and enough slots")
  func refusesGuidanceWithoutClass() throws {
    let unconditional = try #require(throws: SessionError.self) { try compile("ring", .ode, guidance: 1) }
    #expect(unconditional.description == "guidance 1.0: 'ring' has no classes to guide to")
    let null = try #require(throws: SessionError.self) { try compile("letters", .ode, guidance: 1) }
    #expect(null.description == "guidance 1.0 needs a class; the null condition guides nowhere")
    #expect(throws: SessionError.self) { try compile("letters", .ode, label: 0, guidance: -0.5) }
    for ticks in [100, 202] {
      let error = try #require(throws: ScheduleError.self) {
        try compile("letters", .ode, label: 0, guidance: 1, ticks: ticks)
      }
      #expect(
        error.description
          == "\(ticks) ticks asked for; guidance takes a slot a tick, a multiple of 4 and at least 200")
    }
  }

  @Test("a model amplitude other than the board's amplifier is folded into b")
  func amplitude() throws {
    let (plain, _, _) = try compile("ring", .ode, scale: 2)
    let (folded, _, _) = try compile("ring", .ode, scale: 2) { $0.outputAmplifier = 2.5 }
    for tick in [0, 100, 199] {
      let (b, twice) = (Int(plain.codes[tick * 18 + 1]) - 32768, Int(folded.codes[tick * 18 + 1]) - 32768)
      #expect(abs(twice - 2 * b) <= 2)
      #expect(plain.codes[tick * 18] == folded.codes[tick * 18])
    }
  }

  @Test("a coefficient beyond its converter is refused with the largest scale that fits")
  func refusesCoefficient() throws {
    let error = try #require(throws: ScheduleError.self) { try compile("ring", .ode, scale: 20) }
    #expect(error.code == .outOfRange)
    #expect(error.channel == "a")
    #expect(abs((error.time ?? 0) - 0.9975) < 1e-3)
    let largest = try #require(error.largestScale)
    // a = ½·scale·0.5·(1 − 1e-4) at the first midpoint must stay below 4.
    #expect(largest > 15.9 && largest < 16.2)
    #expect(throws: Never.self) { try compile("ring", .ode, scale: largest) }
    #expect(throws: ScheduleError.self) { try compile("ring", .ode, scale: largest * 1.01) }
    #expect(error.description.hasSuffix("the largest β scale that fits is \(largest), asked 20.0"))
  }

  @Test("noise beyond 4 σ of its converter is refused, and the scale that fits counts it")
  func refusesNoise() throws {
    let narrow = Volts(-0.8)...Volts(0.8)
    let error = try #require(throws: ScheduleError.self) {
      try compile("letters", .sde, label: 0, scale: 1.5) { $0.noise.range = narrow }
    }
    #expect(error.channel == "noise (4 σ)")
    let largest = try #require(error.largestScale)
    #expect(throws: Never.self) { try compile("letters", .sde, label: 0, scale: largest) { $0.noise.range = narrow } }
    #expect(throws: ScheduleError.self) {
      try compile("letters", .sde, label: 0, scale: largest * 1.01) { $0.noise.range = narrow }
    }
  }

  @Test("an embedding beyond its converter is refused, and no scale helps")
  func refusesEmbedding() throws {
    let error = try #require(throws: ScheduleError.self) {
      try compile("ring", .ode, scale: 2) { $0.embedding.range = Volts(-0.05)...Volts(0.05) }
    }
    #expect(error.channel?.hasPrefix("embedding") == true)
    #expect(error.largestScale == nil)
    #expect(error.description.hasSuffix("no β scale changes that"))
  }

  @Test("more, shorter or longer ticks than the board has are refused")
  func refusesTicks() throws {
    let many = try #require(throws: ScheduleError.self) { try compile("ring", .ode, scale: 2, ticks: 513) }
    #expect(many.description == "513 ticks asked for, board 'parallel' has 1 to 512")
    let short = try #require(throws: ScheduleError.self) {
      try compile("ring", .ode, scale: 2, ticks: 500) { $0.tick = .nanoseconds(50)...(.microseconds(20)) }
    }
    #expect(short.code == .ticks)
    #expect(short.description.contains("are 4e-08 seconds each"))
  }

  @Test("converters with more bits than a code of the wire are refused")
  func refusesWideConverter() throws {
    let error = try #require(throws: ScheduleError.self) { try compile("ring", .ode, scale: 2) { $0.preset.bits = 18 } }
    #expect(error.code == .converter)
    #expect(error.description == "the preset converter of board 'parallel' has 18 bits, the wire carries 16")
  }

  @Test("a board without a loop is refused")
  func refusesBoard() throws {
    let program = try SamplingProgram(ModelLibrary.scoreModel("ring"))
    let error = try #require(throws: ScheduleError.self) {
      try program.schedule(on: BoardDescription.named("multiplexed"))
    }
    #expect(error.code == .noClosedLoop)
  }
}
