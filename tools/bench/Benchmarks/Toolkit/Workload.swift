import Foundation
import Logging
import RRAMKit

/// A piece of work of one fixed size: what is counted or timed is always the same.
struct Workload: Sendable {
  var name: String
  /// Everything that is not measured, and the work itself.
  var prepare: @Sendable () async throws -> @Sendable () async throws -> Void

  static let all: [Workload] = [
    kernel("closedLoopIdeal", ideal: true, noise: .none),
    kernel("closedLoopBandLimited", ideal: true, noise: .bandLimited(correlationTime: 5e-5)),
    kernel("closedLoopPoles", ideal: false, noise: .bandLimited(correlationTime: 5e-5)),
    Workload(name: "frameEncode") {
      let message = conductances()
      let encoder = FrameEncoder(maximumPayloadBytes: 65_536)
      return { for _ in 0..<100 { _ = try encoder.encode(Frame(sequence: 1, payload: message.payload())) } }
    },
    Workload(name: "frameDecode") {
      let bytes = try FrameEncoder(maximumPayloadBytes: 65_536).encode(
        Frame(sequence: 1, payload: conductances().payload()))
      return {
        var decoder = FrameDecoder(maximumPayloadBytes: 65_536)
        for _ in 0..<100 {
          for case .frame(let frame) in decoder.decode(bytes) { _ = try ResponseMessage(payload: frame.payload) }
        }
      }
    },
    Workload(name: "writeVerify") {
      let profile = try ChipProfile.named("cmo-hfox")
      return {
        let quiet = Logger(label: "rram.bench") { _ in SwiftLogNoOpLogHandler() }
        try await RRAM.withBoard("emu:profile=cmo-hfox,seed=1", logger: quiet) { board in
          let block = CellBlock(macro: 0, shape: MacroShape(rows: 16, columns: 64))
          _ = try await board.form([block], options: FormOptions(profile))
          let options = ProgramOptions(profile)
          let count = block.cellCount
          _ = try await board.writeVerify(
            WriteVerify(
              cells: CellSelection(block: block),
              targets: (0..<count).map { Float(15e-6 + 70e-6 * Double($0 * 37 % count) / Double(count)) },
              tolerance: options.tolerance, set: options.method.set, reset: options.method.reset,
              verify: board.defaultReadBias(), maximumPulses: options.method.maximumPulses,
              maximumReversals: options.method.maximumReversals, credit: 4))
        }
      }
    },
  ]

  private static func conductances() -> ResponseMessage {
    ResponseMessage(
      bootID: 1, boardTime: .seconds(1),
      body: .conductances(
        Conductances(
          firstIndex: 0, conductance: (0..<4096).map { Float(1e-5 + 2e-8 * Double($0)) },
          formed: [Bool](repeating: true, count: 4096))))
  }

  /// 256 samples of the ring in 200 Heun steps, on ohmic cells behind ideal stages, or as the board 'parallel' and the chip
  /// 'cmo-hfox' have them.
  private static func kernel(_ name: String, ideal: Bool, noise: LoopNoise) -> Workload {
    Workload(name: name) {
      let model = try ModelLibrary.scoreModel("ring")
      let network = model.network
      let layers = network.layers.enumerated().map { index, layer in
        var weights: [Float] = []
        for out in 0..<layer.outputs {
          weights += layer.weight[out * layer.inputs..<(out + 1) * layer.inputs]
          weights.append(layer.bias[out])
        }
        return LoopNetwork.Layer(
          inputs: layer.inputs, outputs: layer.outputs, weights: weights,
          variances: noise == .none ? [] : [Float](repeating: 2e-4, count: weights.count),
          embeddingColumn: index + 1 < network.layers.count ? 0 : nil)
      }
      let process = model.metadata.process
      let times = Schedule.midpoints(ticks: 200)
      let tables = LoopTables(
        tickDuration: (1 - DiffusionProcess.endTime) / 200, a: times.map { Float(process.stateCoefficient(at: $0)) },
        b: times.map { Float(process.scoreCoefficient(at: $0, equation: .ode)) },
        embedding: times.flatMap { network.timeEmbedding(Float($0)) }, embeddingColumns: network.hiddenSize)
      let cells = try ChipProfile.named("cmo-hfox").cells
      let loop = try ClosedLoop(
        network: LoopNetwork(layers: layers, amplitude: network.amplitude),
        limits: ideal ? .none : LoopLimits(rowClamp: 10, amplifierRail: 50, integratorRail: 6.5), noise: noise,
        poles: ideal ? .none : LoopPoles(amplifier: 5e-5, multiplier: 5e-5),
        transport: ideal ? .ohmic : LoopTransport(cells, unit: Volts(0.1)))
      var stream = PhiloxStream(seed: 7, stream: (0, 0, 0))
      let x0 = (0..<512).map { _ in Float(stream.normal()) }
      return { _ = try loop.run(x0: x0, tables: tables) }
    }
  }
}
