import Glibc
import RRAMPhysics
import RRAMUnits
import Testing

@Suite struct ClosedLoopGradientTests {
  struct Case: CustomTestStringConvertible {
    var name: String
    var widths = [2, 14, 14, 2]
    var limits = LoopLimits.none
    var transport = LoopTransport.ohmic
    var held = false
    var substeps = 1
    var interval = 10
    var pathWeight: Float = 0.1
    /// A second network of the same state, with a coefficient of its own.
    var twice = false
    var testDescription: String { name }
  }

  static let cases: [Case] = [
    Case(name: "end points and path"), Case(name: "end points only", interval: 40, pathWeight: 0),
    Case(name: "held noise", held: true), Case(name: "two steps a tick", substeps: 2),
    Case(name: "soft rectifier", limits: LoopLimits(softness: 0.2)),
    Case(name: "limits that are not reached", limits: LoopLimits(rowClamp: 50, amplifierRail: 50, integratorRail: 50)),
    Case(
      name: "cells that are not ohmic", limits: LoopLimits(rowClamp: 6),
      transport: LoopTransport(curvature: 0.3, readLevel: 2, polarity: 0.9)),
    Case(name: "uneven", widths: [3, 7, 9, 3]), Case(name: "one layer", widths: [2, 2]),
    Case(name: "wide", widths: [2, 64, 64, 2]), Case(name: "two networks", twice: true),
  ]

  private func problem(_ item: Case) throws -> (ClosedLoop, LoopTables, [Float], LoopTarget) {
    var network = randomNetwork(item.widths, seed: 71, amplitude: 1.3)
    // Columns of its own for every hidden layer, as a board with injected currents has.
    var column = 0
    for index in network.layers.indices.dropLast() {
      network.layers[index].embeddingColumn = column
      column += network.layers[index].outputs
    }
    if item.twice {
      var second = randomNetwork(item.widths, seed: 70, amplitude: 1.3)
      for index in second.layers.indices.dropLast() { second.layers[index].embeddingColumn = 0 }
      network = network.beside(second)
      column *= 2
    }
    let ticks = 40
    var stream = PhiloxStream(seed: 72, stream: (0, 0, 0))
    var tables = randomTables(for: network, ticks: ticks, seed: 73)
    tables.embedding = (0..<ticks * column).map { _ in Float(stream.normal()) }
    tables.embeddingColumns = column
    if item.twice { tables.secondB = tables.b.map { -0.4 * $0 + 0.1 } }
    // Nineteen samples: one vector of the widest set and a remainder.
    let x0 = randomPoints(19, dimensions: network.dimensions, seed: 74)
    let points = randomPoints(19 * (ticks / item.interval), dimensions: network.dimensions, seed: 75)
    let target = LoopTarget(interval: item.interval, points: points, pathWeight: item.pathWeight)
    return (try ClosedLoop(network: network, limits: item.limits, transport: item.transport), tables, x0, target)
  }

  /// Seeds 71 to 75: single derivatives by central differences of the loss in double precision; bound 1e-4 of the norm.
  @Test(arguments: cases)
  func agreesWithCentralDifferences(_ item: Case) throws {
    let (loop, tables, x0, target) = try problem(item)
    let noise: LoopHeldNoise = item.held ? .wiener(seed: 76) : .none
    func gradient(_ tables: LoopTables, _ precision: ClosedLoop.Precision = .double) throws -> LoopGradient {
      try loop.gradient(
        x0: x0, tables: tables, target: target, substeps: item.substeps, heldNoise: noise, precision: precision)
    }
    let exact = try gradient(tables)
    #expect(exact.loss > 0.1 && exact.norm > 1e-3)
    func difference(_ path: WritableKeyPath<LoopTables, [Float]>, _ index: Int) throws -> Double {
      var (above, below) = (tables, tables)
      above[keyPath: path][index] += 1e-3
      below[keyPath: path][index] -= 1e-3
      // The step as single precision has it.
      let step = Double(above[keyPath: path][index]) - Double(below[keyPath: path][index])
      return try (gradient(above).loss - gradient(below).loss) / step
    }
    for tick in [0, 7, 20, 39] {
      #expect(try abs(difference(\.a, tick) - exact.a[tick]) <= 1e-4 * exact.norm, "a \(tick)")
      #expect(try abs(difference(\.b, tick) - exact.b[tick]) <= 1e-4 * exact.norm, "b \(tick)")
      if item.twice {
        #expect(try abs(difference(\.secondB, tick) - exact.secondB[tick]) <= 1e-4 * exact.norm, "second b \(tick)")
      }
      let offset = tick * loop.network.dimensions + 1
      #expect(try abs(difference(\.offset, offset) - exact.offset[offset]) <= 1e-4 * exact.norm, "offset \(offset)")
      guard tables.embeddingColumns > 0 else { continue }
      for column in [0, tables.embeddingColumns / 2, tables.embeddingColumns - 1] {
        let at = tick * tables.embeddingColumns + column
        #expect(try abs(difference(\.embedding, at) - exact.embedding[at]) <= 1e-4 * exact.norm, "embedding \(at)")
      }
    }
    let single = try gradient(tables, .single)
    #expect(abs(single.loss / exact.loss - 1) <= 1e-5)
    for (one, other) in [
      (single.a, exact.a), (single.b, exact.b), (single.secondB, exact.secondB),
      (single.embedding, exact.embedding), (single.offset, exact.offset),
    ] {
      #expect(zip(one, other).allSatisfy { abs($0 - $1) <= 1e-5 * exact.norm })
    }
  }

  /// The trajectories are those of ``ClosedLoop/run``: aimed at their own end points, there is nothing to gain.
  @Test(arguments: [LoopLimits.none, LoopLimits(rowClamp: 1.2, amplifierRail: 1.6, integratorRail: 2, softness: 0.1)])
  func nothingIsLeftToGainAtOnesOwnEndPoints(_ limits: LoopLimits) throws {
    let (_, tables, x0, _) = try problem(Case(name: "", limits: limits, held: true))
    let (template, _, _, _) = try problem(Case(name: ""))
    let loop = try ClosedLoop(network: template.network, limits: limits)
    let end = try loop.run(x0: x0, tables: tables, heldNoise: .wiener(seed: 77)).x
    let result = try loop.gradient(
      x0: x0, tables: tables, target: LoopTarget(interval: tables.ticks, points: end), heldNoise: .wiener(seed: 77))
    #expect(result.loss < 1e-9)
    #expect(result.norm < 1e-4)
  }

  @Test func aStepAgainstTheGradientLowersTheLoss() throws {
    let (loop, tables, x0, target) = try problem(Case(name: ""))
    let before = try loop.gradient(x0: x0, tables: tables, target: target)
    var after = tables
    let step = 0.05 * before.loss / (before.norm * before.norm)
    for index in after.b.indices { after.b[index] -= Float(step * before.b[index]) }
    for index in after.embedding.indices { after.embedding[index] -= Float(step * before.embedding[index]) }
    #expect(try loop.gradient(x0: x0, tables: after, target: target).loss < before.loss)
  }

  @Test func targetsThatDoNotFitAreRefused() throws {
    let (loop, tables, x0, target) = try problem(Case(name: ""))
    func message(_ change: (inout LoopTarget) -> Void) -> String? {
      var target = target
      change(&target)
      do throws(LoopError) {
        _ = try loop.gradient(x0: x0, tables: tables, target: target)
        return nil
      } catch {
        return error.description
      }
    }
    #expect(message { _ in } == nil)
    #expect(message { $0.interval = 7 } == "a target every 7 of 40 ticks")
    #expect(message { $0.points.removeLast() } == "151 target values, 19×4×2 finite ones expected")
    #expect(message { $0.points[3] = .nan } == "152 target values, 19×4×2 finite ones expected")
    #expect(
      message { $0.scale = 0 } == "a target's scale and adjoint limit must be above 0, its path weight 0 or above")
  }
}
