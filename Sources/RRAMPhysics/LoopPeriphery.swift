import Glibc
public import RRAMProfiles
public import RRAMUnits

/// What a closed-loop board's own parts add: offsets, gains, multipliers, integrators, converters and their timing.
///
/// Every part is drawn once from the board's seed. All of it folds into what the loop's kernel takes: rows of the effective matrices,
/// the bias column, and the tables of a tick. The delay through the stages' poles is ``LoopPoles``.
public struct LoopPeriphery: Sendable {
  private let loop: BoardDescription.ClosedLoop
  private let seed: UInt64
  private var parts: BoardDescription.ClosedLoop.Imperfections { loop.imperfections }
  /// True if nothing is added: every value of the description is 0.
  public let isIdeal: Bool

  /// Counter words that name the draws: "AMPL", "MULT", "INTE", "CONV", "LINE", "READ".
  private enum Purpose: UInt32 {
    case amplifier = 0x414D_504C
    case multiplier = 0x4D55_4C54
    case integrator = 0x494E_5445
    case converter = 0x434F_4E56
    case line = 0x4C49_4E45
    case readOut = 0x5245_4144
  }

  public init(_ loop: BoardDescription.ClosedLoop, seed: UInt64) {
    self.loop = loop
    self.seed = seed
    isIdeal = loop.imperfections.isIdeal
  }

  private func normals(_ purpose: Purpose, _ index: Int, _ part: Int = 0) -> (Double, Double) {
    Philox4x32.normals(
      Philox4x32.block(
        seed: seed, UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: part), 0, purpose.rawValue))
  }

  // MARK: Converters

  /// Deviation of a code's voltage in LSB: a sine over the range with one or two periods and a phase of the channel's own.
  public func nonlinearity(_ converter: LoopConverter, channel: Int, code: Int, of count: Int) -> Double {
    let peak = parts.converterNonlinearity
    guard peak > 0 else { return 0 }
    let words = Philox4x32.block(
      seed: seed, UInt32(truncatingIfNeeded: channel), converter.rawValue, 0, Purpose.converter.rawValue)
    let periods = words.y & 1 == 0 ? 1.0 : 2.0
    return peak * sin(2 * Double.pi * (periods * Double(code) / Double(count) + Philox4x32.uniform(words.x)))
  }

  /// Gain error and offset of a converter's channel; nil: of the converter that reads the others back.
  public func line(_ converter: LoopConverter?, channel: Int) -> ConverterLine {
    guard parts.converterGain > 0 || parts.converterOffset > .zero else { return .ideal }
    let draw = normals(.line, channel, Int(converter?.rawValue ?? UInt32.max))
    return ConverterLine(
      gain: 1 + parts.converterGain * draw.0, offset: parts.converterOffset.rawValue * draw.1)
  }

  /// The line of every channel of a kind.
  public func lines(_ converter: LoopConverter) -> [ConverterLine] {
    (0..<loop.channels(of: converter)).map { line(converter, channel: $0) }
  }

  /// What a channel puts out for a code whose voltage is `volts`: nonlinearity, then the channel's line.
  ///
  /// - Parameters:
  ///   - step: volts of one code.
  ///   - count: codes of the converter.
  public func output(
    _ converter: LoopConverter, channel: Int, code: Int, of count: Int, volts: Double, step: Double,
    line: ConverterLine
  ) -> Double {
    line.of(Volts(volts + step * nonlinearity(converter, channel: channel, code: code, of: count))).rawValue
  }

  /// Volts of noise of one conversion of x.
  public func readOutNoise(runSeed: UInt64, sample: UInt32, point: Int, channel: Int) -> Double {
    guard parts.readOutNoise > .zero else { return 0 }
    let pair = Philox4x32.normals(
      Philox4x32.block(
        seed: runSeed, sample, UInt32(truncatingIfNeeded: point), UInt32(truncatingIfNeeded: channel / 2),
        Purpose.readOut.rawValue))
    return parts.readOutNoise.rawValue * (channel.isMultiple(of: 2) ? pair.0 : pair.1)
  }

  // MARK: Network

  /// Gain error and offset of every column amplifier, in the rows and the bias column of the effective weights.
  ///
  /// - Parameter amplifiers: macro and pair of columns of every output, by layer: an amplifier belongs to its pair, whatever layer the pair
  ///   is part of.
  public func apply(to network: inout LoopNetwork, amplifiers: [[(macro: Int, pair: Int)]]) {
    guard parts.amplifierGain > 0 || parts.amplifierOffset > .zero else { return }
    let unit = loop.unitVoltage.rawValue
    for layer in network.layers.indices {
      let columns = network.layers[layer].inputs + 1
      for output in 0..<network.layers[layer].outputs {
        let amplifier = amplifiers[layer][output]
        let draw = normals(.amplifier, amplifier.pair, amplifier.macro)
        let gain = Float(1 + parts.amplifierGain * draw.0)
        let offset = Float(parts.amplifierOffset.rawValue * draw.1 / unit)
        let row = output * columns
        for column in row..<row + columns {
          network.layers[layer].weights[column] *= gain
          if !network.layers[layer].variances.isEmpty { network.layers[layer].variances[column] *= gain * gain }
        }
        network.layers[layer].weights[row + columns - 1] += offset
      }
    }
  }

  // MARK: Tables

  /// What the tables become behind converters that settle and load one after the other, multipliers and integrators.
  ///
  /// A multiplier gives (1 + g)·(c + c₀)·(v + v₀) + o and lets `feedThrough` of v pass at c = 0; so a ← (1 + g)(a + a₀) + f, and
  /// (1 + g)(a + a₀)·v₀ + o adds to the integrator's input. The two multipliers of a coefficient share its converter: g and c₀ are
  /// theirs in common, v₀ and o each coordinate's own. The integrator adds its offset and loses `integratorLeak` of x a run.
  public func apply(to tables: inout LoopTables, tick: Duration, dimensions: Int) {
    guard !isIdeal else { return }
    let first = 2 + tables.embeddingColumns + (tables.offset.isEmpty ? 0 : dimensions)
    let channels = first + (tables.secondB.isEmpty ? 0 : 1)
    let length = tick.seconds
    // A value settles with one pole after its converter has loaded: over the tick it is on average late by this share.
    let settling = parts.settling.seconds
    let lag = settling > 0 ? settling / length * -expm1(-length / settling) : 0
    func late(_ values: inout [Float], _ columns: Int, firstChannel: Int) {
      guard columns > 0, lag > 0 || parts.skew > .zero else { return }
      for column in 0..<columns {
        let place = Double(firstChannel + column) / Double(max(1, channels - 1))
        let share = Float(min(1, lag + parts.skew.seconds * place / length))
        for tick in stride(from: values.count / columns - 1, to: 0, by: -1) {
          let (now, before) = (values[tick * columns + column], values[(tick - 1) * columns + column])
          values[tick * columns + column] = now - share * (now - before)
        }
      }
    }
    late(&tables.a, 1, firstChannel: 0)
    late(&tables.b, 1, firstChannel: 1)
    late(&tables.embedding, tables.embeddingColumns, firstChannel: 2)
    if !tables.offset.isEmpty { late(&tables.offset, dimensions, firstChannel: 2 + tables.embeddingColumns) }
    if !tables.secondB.isEmpty { late(&tables.secondB, 1, firstChannel: first) }

    let unit = loop.unitVoltage.rawValue
    let coefficientUnit = loop.coefficientUnit.rawValue
    let offset = parts.multiplierOffset.rawValue
    if tables.offset.isEmpty { tables.offset = [Float](repeating: 0, count: tables.ticks * dimensions) }
    for multiplier in 0..<(tables.secondB.isEmpty ? 2 : 3) {
      let common = normals(.multiplier, multiplier)
      let gain = 1 + parts.multiplierGain * common.0
      let shift = offset * common.1 / coefficientUnit
      let own = (0..<dimensions).map { normals(.multiplier, multiplier, 1 + $0) }
      for tick in 0..<tables.ticks {
        let asked = Double([tables.a, tables.b, tables.secondB][multiplier][tick])
        let value = gain * (asked + shift)
        for d in 0..<dimensions {
          tables.offset[tick * dimensions + d] += Float(value * offset * own[d].0 / unit + offset * own[d].1 / unit)
        }
        let seen = Float(value + parts.feedThrough)
        switch multiplier {
        case 0: tables.a[tick] = seen
        case 1: tables.b[tick] = seen
        default: tables.secondB[tick] = seen
        }
      }
    }
    let integrators = (0..<dimensions).map { normals(.integrator, $0).0 * parts.integratorOffset.rawValue / unit }
    for tick in 0..<tables.ticks {
      tables.a[tick] -= Float(parts.integratorLeak)
      for d in 0..<dimensions { tables.offset[tick * dimensions + d] += Float(integrators[d]) }
    }
  }
}

/// Gain, offset and nonlinearity of the amplifiers and the converter that read cells and columns.
public struct SensingPeriphery: Sendable {
  private let sensing: BoardDescription.Sensing
  private let seed: UInt64
  private let macro: Int
  /// True if nothing is added: every value of the description is 0.
  public let isIdeal: Bool

  /// "SENS".
  private static let purpose: UInt32 = 0x5345_4E53

  public init(_ sensing: BoardDescription.Sensing, seed: UInt64, macro: Int) {
    self.sensing = sensing
    self.seed = seed
    self.macro = macro
    isIdeal = sensing.imperfections.isIdeal
  }

  /// What the converter gets of `voltage` at the output of the amplifier that serves `column`, in one of the description's ranges.
  public func seen(_ voltage: Volts, column: Int, range: Int) -> Volts {
    guard !isIdeal else { return voltage }
    let parts = sensing.imperfections
    let amplifier = column / sensing.columnsPerAmplifier
    let draw = Philox4x32.normals(
      Philox4x32.block(seed: seed, UInt32(amplifier), UInt32(macro), 0, Self.purpose))
    var gain = 1 + parts.gain * draw.0
    if parts.rangeGain > 0 {
      let own = Philox4x32.block(seed: seed, UInt32(amplifier), UInt32(macro), 2 + UInt32(range), Self.purpose)
      gain *= 1 + parts.rangeGain * Philox4x32.normals(own).0
    }
    let value = voltage * gain + draw.1 * parts.offset
    guard parts.nonlinearity > 0 else { return value }
    let words = Philox4x32.block(seed: seed, UInt32(amplifier), UInt32(macro), 1, Self.purpose)
    let span = sensing.converter.range
    let place = value / (span.upperBound - span.lowerBound)
    return value
      + parts.nonlinearity * sensing.converter.leastSignificantBit
      * sin(2 * Double.pi * (place + Philox4x32.uniform(words.x)))
  }
}
