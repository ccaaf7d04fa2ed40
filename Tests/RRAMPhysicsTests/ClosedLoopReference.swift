import Glibc
import RRAMPhysics
import RRAMUnits

/// The loop's equation in plain double precision, written from its definition, one sample at a time.
struct ReferenceLoop {
  var network: LoopNetwork
  var limits = LoopLimits.none
  var noise = LoopNoise.none
  var transport = LoopTransport.ohmic

  struct Outcome {
    var x: [Double]
    var flags: LoopFlags
    /// States after each tick, the first one the start.
    var states: [[Double]]
  }

  func run(
    x0: [Double], tables: LoopTables, integration: LoopIntegration, xi: [[Double]]? = nil, nodeSeed: UInt64 = 0,
    sample: UInt64 = 0
  ) -> Outcome {
    var flags: LoopFlags = []
    let rail = Double(limits.integratorRail)
    func integratorOutput(_ value: Double) -> Double {
      if abs(value) > rail { flags.insert(.integratorRail) }
      return max(-rail, min(rail, value))
    }
    var x = x0.map(integratorOutput)
    var states = [x]
    let step = tables.tickDuration / Double(integration.substeps)
    var nodes = NodeNoise(seed: nodeSeed, sample: sample, network: network)
    for tick in 0..<tables.ticks {
      func slope(_ state: [Double], _ z: [Double]) -> [Double] {
        let output = evaluate(state, tables: tables, tick: tick, z: z, flags: &flags)
        return state.indices.map { d in
          var value = Double(tables.a[tick]) * state[d]
          value += Double(tables.b[tick]) * Double(network.amplitude) * output[d]
          if !tables.offset.isEmpty { value += Double(tables.offset[tick * state.count + d]) }
          if let xi, tick + 1 < tables.ticks {
            let limited = max(-4, min(4, xi[tick][d]))
            if limited != xi[tick][d], tables.noiseAmplitude[tick] != 0 { flags.insert(.noiseClamp) }
            value += Double(tables.noiseAmplitude[tick]) * limited / tables.tickDuration.squareRoot()
          }
          return value
        }
      }
      for _ in 0..<integration.substeps {
        let z = nodes.next(noise, step: step)
        let first = slope(x, z)
        let predicted = zip(x, first).map { integratorOutput($0 + step * $1) }
        if integration.method == .euler {
          x = predicted
        } else {
          let second = slope(predicted, z)
          x = x.indices.map { integratorOutput(x[$0] + step * (first[$0] + second[$0]) / 2) }
        }
      }
      states.append(x)
    }
    return Outcome(x: x, flags: flags, states: states)
  }

  /// A row's voltage as cells' currents follow it.
  private func current(_ v: Double) -> Double {
    let (c, read) = (Double(transport.curvature), Double(transport.readLevel))
    let curved = c == 0 ? v : read * sinh(c * v) / sinh(c * read)
    return v < 0 ? curved * Double(transport.polarity) : curved
  }

  /// The loop with poles as a system of differential equations of all nodes, by the classical Runge–Kutta method; no noise.
  ///
  /// - Parameter steps: a tick.
  func run(x0: [Double], tables: LoopTables, poles: LoopPoles, steps: Int) -> [Double] {
    let outputs = network.layers.map(\.outputs)
    let dimensions = x0.count
    let (clamp, rail) = (Double(limits.rowClamp), Double(limits.amplifierRail))
    /// Inputs of all amplifiers and of the multipliers, where nodes stand at `v`, or have settled if nil.
    func inputs(_ x: [Double], _ v: [Double]?, _ tick: Int) -> [Double] {
      var rows = x
      var result: [Double] = []
      for (index, layer) in network.layers.enumerated() {
        rows = (rows + [Double(network.biasLevel)]).map { current(max(-clamp, min(clamp, $0))) }
        let sums = (0..<layer.outputs).map { out in
          rows.indices.reduce(0) { $0 + Double(layer.weights[out * rows.count + $1]) * rows[$1] }
            + (layer.embeddingColumn.map { Double(tables.embedding[tick * tables.embeddingColumns + $0 + out]) } ?? 0)
        }
        let first = result.count
        result += sums
        rows = (v.map { Array($0[first..<first + layer.outputs]) } ?? sums).map {
          max(-rail, min(rail, index + 1 < outputs.count ? max(0, $0) : $0))
        }
      }
      return result
        + (0..<dimensions).map {
          Double(tables.a[tick]) * x[$0] + Double(tables.b[tick]) * Double(network.amplitude) * rows[$0]
        }
    }
    let nodes = outputs.reduce(0, +)
    // x, then amplifiers, then multipliers.
    var state = x0 + inputs(x0, nil, 0)
    let h = tables.tickDuration / Double(steps)
    for tick in 0..<tables.ticks {
      func slope(_ s: [Double]) -> [Double] {
        let v = Array(s[dimensions..<dimensions + nodes])
        let u = inputs(Array(s[..<dimensions]), v, tick)
        let m = s[(dimensions + nodes)...]
        return zip(m, 0...).map { $0 + (tables.offset.isEmpty ? 0 : Double(tables.offset[tick * dimensions + $1])) }
          + zip(u, s[dimensions...]).enumerated().map { index, pair in
            (pair.0 - pair.1) / Double(index < nodes ? poles.amplifier : poles.multiplier)
          }
      }
      func moved(_ by: [Double], _ h: Double) -> [Double] { zip(state, by).map { $0 + h * $1 } }
      for _ in 0..<steps {
        let k1 = slope(state)
        let k2 = slope(moved(k1, h / 2))
        let k3 = slope(moved(k2, h / 2))
        let k4 = slope(moved(k3, h))
        for i in state.indices { state[i] += h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) }
      }
    }
    return Array(state[..<dimensions])
  }

  private func evaluate(
    _ state: [Double], tables: LoopTables, tick: Int, z: [Double], flags: inout LoopFlags
  ) -> [Double] {
    let clamp = Double(limits.rowClamp)
    let rail = Double(limits.amplifierRail)
    var rows = state
    var node = 0
    var cell = 0
    for (index, layer) in network.layers.enumerated() {
      rows.append(Double(network.biasLevel))
      if rows.contains(where: { abs($0) > clamp }) { flags.insert(.rowClamp) }
      rows = rows.map { current(max(-clamp, min(clamp, $0))) }
      var outputs: [Double] = []
      for out in 0..<layer.outputs {
        var sum = 0.0
        var variance = 0.0
        for (row, value) in rows.enumerated() {
          var weight = Double(layer.weights[out * rows.count + row])
          if case .perCell = noise {
            weight += z[cell]
            cell += 1
          }
          sum += weight * value
          if !layer.variances.isEmpty { variance += Double(layer.variances[out * rows.count + row]) * value * value }
        }
        if cell == 0, !z.isEmpty { sum += variance.squareRoot() * z[node] }
        node += 1
        if let column = layer.embeddingColumn {
          sum += Double(tables.embedding[tick * tables.embeddingColumns + column + out])
        }
        if index + 1 < network.layers.count {
          let s = Double(limits.softness)
          sum = s > 0 ? (sum + (sum * sum + s * s).squareRoot()) / 2 : max(0, sum)
        }
        if abs(sum) > rail { flags.insert(.amplifierRail) }
        outputs.append(max(-rail, min(rail, sum)))
      }
      rows = outputs
    }
    return rows
  }
}

/// Noise of nodes or weights from its definition: xoshiro128++ seeded by one Philox block, Box–Muller, Ornstein–Uhlenbeck.
private struct NodeNoise {
  private var state: SIMD4<UInt32>
  private let nodes: Int
  private let deviations: [Double]
  private let telegraph: [Double]
  private var z: [[Double]] = []
  private var signs: [Double] = []

  init(seed: UInt64, sample: UInt64, network: LoopNetwork) {
    state = Philox4x32.block(
      seed: seed, UInt32(truncatingIfNeeded: sample), UInt32(truncatingIfNeeded: sample >> 32), 0, 0x4E4F_4445)
    nodes = network.layers.reduce(0) { $0 + $1.outputs }
    deviations = network.layers.flatMap { layer in
      layer.variances.isEmpty ? layer.weights.map { _ in 0 } : layer.variances.map { Double($0).squareRoot() }
    }
    telegraph = network.layers.flatMap { layer in
      layer.telegraph.isEmpty ? layer.weights.map { _ in 0 } : layer.telegraph.map(Double.init)
    }
  }

  private mutating func word() -> UInt32 {
    func rotated(_ x: UInt32, _ k: UInt32) -> UInt32 { x << k | x >> (32 - k) }
    let result = rotated(state[0] &+ state[3], 7) &+ state[0]
    let t = state[1] << 9
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= t
    state[3] = rotated(state[3], 11)
    return result
  }

  /// Drawn in pairs, so their number is even.
  private mutating func normals(_ count: Int) -> [Double] {
    var fresh: [Double] = []
    while fresh.count < count {
      let radius = (-2 * log((Double(word() >> 1) + 0.5) * 0x1p-31)).squareRoot()
      let angle = word()
      // 23 bits of a half turn, and one bit for the sign of the cosine.
      let half = Double.pi * (Double(angle & 0x7f_ffff) * 0x1p-23 - 0.5)
      fresh.append(radius * cos(half) * (angle >> 31 == 0 ? 1 : -1))
      fresh.append(radius * sin(half))
    }
    return fresh
  }

  /// Unit noise of the nodes, or what each weight has too much.
  mutating func next(_ noise: LoopNoise, step: Double) -> [Double] {
    switch noise {
    case .none: return []
    case .white: return normals(nodes)
    case .bandLimited(let time):
      renew(0, Double(time), normals(nodes), step: step)
      return z[0]
    case .perCell(let cells):
      for (m, mode) in cells.modes.enumerated() {
        renew(m, Double(mode.correlationTime), normals(deviations.count), step: step)
      }
      var sums = deviations.indices.map { k in
        cells.modes.indices.reduce(0) { $0 + Double(cells.modes[$1].share).squareRoot() * z[$1][k] } * deviations[k]
      }
      if telegraph.contains(where: { $0 != 0 }) {
        // The first draw takes a state, the others change it. An odd cell is drawn as well.
        let change = signs.isEmpty ? 0.5 : (1 - exp(-step / Double(cells.telegraphTime))) / 2
        if signs.isEmpty { signs = [Double](repeating: 1, count: (deviations.count + 1) / 2 * 2) }
        for k in signs.indices where Double(word()) < (change * 0x1p32).rounded(.down) { signs[k] *= -1 }
        for k in sums.indices { sums[k] += telegraph[k] * signs[k] }
      }
      return sums
    }
  }

  private mutating func renew(_ index: Int, _ time: Double, _ fresh: [Double], step: Double) {
    if z.count == index {
      z.append(fresh)
    } else {
      let decay = exp(-step / time)
      z[index] = zip(z[index], fresh).map { decay * $0 + (1 - decay * decay).squareRoot() * $1 }
    }
  }
}

/// A network with random weights of the size that keeps signals near one unit.
func randomNetwork(
  _ widths: [Int], seed: UInt64, deviation: Float = 0, shared: Bool = false, amplitude: Float = 1
) -> LoopNetwork {
  var stream = PhiloxStream(seed: seed, stream: (0, 0, 1))
  let layers = (1..<widths.count).map { l in
    let (inputs, outputs) = (widths[l - 1], widths[l])
    let scale = 1.4 / Double(inputs + 1).squareRoot()
    let weights = (0..<outputs * (inputs + 1)).map { _ in Float(stream.normal() * scale) }
    var variances: [Float] = []
    var telegraph: [Float] = []
    if deviation > 0 {
      let row = (0...inputs).map { _ in deviation * deviation * Float(2 * stream.uniform()) }
      variances = (0..<outputs).flatMap { _ in
        shared ? row : row.map { _ in deviation * deviation * Float(2 * stream.uniform()) }
      }
      // Some weights have two states, most have not.
      telegraph = weights.map { _ in stream.uniform() < 0.2 ? deviation : 0 }
    }
    return LoopNetwork.Layer(
      inputs: inputs, outputs: outputs, weights: weights, variances: variances, telegraph: telegraph,
      embeddingColumn: l + 1 < widths.count ? 0 : nil)
  }
  return LoopNetwork(layers: layers, amplitude: amplitude)
}

/// Tables of a run over τ = 0...1 with every channel in motion.
func randomTables(for network: LoopNetwork, ticks: Int, seed: UInt64) -> LoopTables {
  var stream = PhiloxStream(seed: seed, stream: (0, 0, 2))
  let columns = network.layers.map(\.outputs).max() ?? 0
  return LoopTables(
    tickDuration: 1 / Double(ticks),
    a: (0..<ticks).map { _ in Float(0.5 * stream.uniform()) },
    b: (0..<ticks).map { _ in Float(stream.uniform()) },
    embedding: (0..<ticks * columns).map { _ in Float(stream.normal()) }, embeddingColumns: columns,
    offset: (0..<ticks * network.dimensions).map { _ in Float(0.2 * stream.normal()) },
    noiseAmplitude: (0..<ticks).map { _ in Float(0.5 * stream.uniform()) })
}

func randomPoints(_ count: Int, dimensions: Int, seed: UInt64) -> [Float] {
  var stream = PhiloxStream(seed: seed, stream: (0, 0, 3))
  return (0..<count * dimensions).map { _ in Float(stream.normal()) }
}

func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

func variance(_ values: [Double]) -> Double {
  let m = mean(values)
  return values.reduce(0) { $0 + ($1 - m) * ($1 - m) } / Double(values.count)
}

/// Infinity for arrays of different length.
func largestDifference(_ a: [Float], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  return zip(a, b).map { abs(Double($0) - $1) }.max() ?? 0
}
