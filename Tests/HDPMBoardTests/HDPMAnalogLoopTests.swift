import HDPMBoard
import RRAMModel
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct HDPMAnalogLoopTests {
  /// Firmware that holds the network's own embedding.
  static func firmware(for model: ScoreModel) -> HDPMFirmware {
    HDPMFirmware(presets: [
      HDPMPreset(
        name: "0", frequencies: model.network.timeFrequencies, offsets: [Float](repeating: 0, count: 14))
    ])
  }

  static func run(_ board: inout VirtualHDPM, count: Int) throws -> [ScopeCapture] {
    var captures: [ScopeCapture] = []
    for _ in 0..<count {
      _ = board.advance(to: board.firmware.time + .milliseconds(5100))
      board.receive(Array("Go\r\n".utf8))
      captures += try board.advance(to: board.firmware.time + .milliseconds(1300)).captures.map { try $0.capture.get() }
    }
    return captures
  }

  @Test func aRunOfTheNetworksOwnEmbeddingComesCloseToTheSoftwareSolver() throws {
    let model = try ModelLibrary.scoreModel("ring")
    var board = VirtualHDPM(
      firmware: Self.firmware(for: model), analog: try HDPMAnalogLoop(model, profile: nil, seed: 5))
    let points = try Self.run(&board, count: 20).map { $0.points(unitVoltage: Volts(0.1)) }
    let start = points.flatMap { $0.start }
    #expect(start.count == 40)
    // Back from volts: one rounding.
    #expect(zip(start, SamplingNoise.start(seed: 5, count: 20)).allSatisfy { abs($0 - $1) < 1e-6 })
    let software = DigitalSolver(equation: .ode, method: .heun, steps: 200)
      .sample(model.network, process: model.metadata.process, start: start)
    let error = zip(points.flatMap { $0.sample }, software).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    // Coefficients are held for 5 ms and have 12 bits; 20 samples of seed 5.
    #expect((error / 40).squareRoot() < 0.002)
  }

  @Test func programmingErrorsMoveTheSamplesAndComeFromTheSeed() throws {
    let model = try ModelLibrary.scoreModel("ring")
    let profile = try ChipProfile.load(nameOrPath: "cmo-hfox")
    func sample(_ profile: ChipProfile?, _ seed: UInt64) throws -> [ScopeCapture] {
      var board = VirtualHDPM(
        firmware: Self.firmware(for: model), analog: try HDPMAnalogLoop(model, profile: profile, seed: seed))
      return try Self.run(&board, count: 2)
    }
    let spoilt = try sample(profile, 5)
    #expect(try sample(profile, 5) == spoilt)
    #expect(try sample(nil, 5) != spoilt)
  }

  @Test func aNetworkThatDoesNotFitTheChannelsIsRefused() throws {
    let network = ScoreNetwork(
      layers: [
        .init(outputs: 4, inputs: 2, weight: [Float](repeating: 0, count: 8), bias: [0, 0, 0, 0]),
        .init(outputs: 4, inputs: 4, weight: [Float](repeating: 0, count: 16), bias: [0, 0, 0, 0]),
        .init(outputs: 2, inputs: 4, weight: [Float](repeating: 0, count: 8), bias: [0, 0]),
      ], timeFrequencies: [1, 2], amplitude: 5)
    #expect {
      try HDPMAnalogLoop(network, name: "small", rate: 2, profile: nil, seed: 0)
    } throws: {
      "\($0)" == "model 'small' has 2 dimensions and 4 hidden nodes; the board's channels serve 2 and 14"
    }
  }
}
