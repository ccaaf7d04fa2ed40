internal import Foundation
public import RRAMBoard
internal import RRAMFiles
public import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Reads every converter of the closed loop back: the part of the step `converters` that is the loop's.
///
/// Known voltages say what the measuring converter adds: 0 V its offset, the board's voltage reference its gain. Each output is set to five codes,
/// a straight line through what is read is its channel's. A read-out converter is shown the integrator that a preset converter loads, whose own line
/// is known by then.
public enum LoopConverters {
  /// Codes a channel is set to, evenly over 0.9 of what it and its reader reach, 0 V among them.
  static let points = 5
  static let share = 0.9
  /// Known voltages are converted this much oftener than a code: what they are wrong by, all channels are.
  private static let knownAverages = 16
  /// Student's t for 95 % with `points` − 2 degrees of freedom, and the normal distribution's.
  private static let student = 3.182
  private static let normal = 1.96
  /// In which order: a read-out needs the line of its preset.
  private static let sources: [(kind: LoopConverter, dac: DACKind)] = [
    (.coefficient, .coefficient), (.embedding, .embedding), (.offset, .offset), (.noise, .noise), (.preset, .preset),
    (.readOut, .preset),
  ]

  /// Why the board's converters cannot be read back; nil if they can.
  static func obstacle(on board: Board) -> String? {
    guard let loop = board.boardDescription.closedLoop else { return "the board has no closed loop" }
    guard loop.loopback != nil, board.info.capabilities.isSuperset(of: [.converterLoopback, .rawConverters]) else {
      return "the board cannot read its converters back"
    }
    return nil
  }

  static func cost(at site: Site, averages: Int) -> Cost {
    guard obstacle(on: site.board) == nil, let loop = site.board.boardDescription.closedLoop,
      let loopback = loop.loopback
    else { return Cost() }
    let inputs = loop.loopback?.reference == nil ? 1 : 2
    let outputs = sources.reduce(0) { $0 + loop.channels(of: $1.kind) }
    let converted = (outputs * points + inputs * knownAverages) * averages
    let roundTrip = site.board.info.busRoundTrip.seconds
    let sensing = site.board.boardDescription.sensing
    let read = max(loopback.settling.seconds + sensing.conversionTime.seconds, loop.readOutTime.seconds) + roundTrip
    let set = site.board.boardDescription.drivers.settling.seconds + roundTrip
    return Cost(
      reads: converted, chipSeconds: Double(converted) * read + Double(outputs * (points + 1)) * set)
  }

  // MARK: Measuring

  /// - Parameter reference: what an instrument measured of the board's voltage reference; nil: its nominal value.
  static func measure(
    at site: Site, averages: Int, reference: Volts?, into measurement: inout Measurement
  ) async throws {
    if let obstacle = obstacle(on: site.board) {
      measurement.add(obstacle, as: "loopObstacle")
      return
    }
    guard let loop = site.board.boardDescription.closedLoop, let loopback = loop.loopback else { return }
    var known = [0.0]
    var shown = [try await site.known(.ground, averages: knownAverages * averages)]
    if let nominal = loopback.reference {
      known.append((reference ?? nominal.voltage).rawValue)
      shown.append(try await site.known(.voltageReference, averages: knownAverages * averages))
      measurement.add([nominal.tolerance], as: "loopTolerance")
    }
    measurement.add(known, as: "loopKnown_V")
    measurement.add(shown.map(\.mean), as: "loopKnownShown_V")
    measurement.add(shown.map(\.standardError), as: "loopKnownError_V")
    var (kinds, channels): ([Int], [Int]) = ([], [])
    var (inputs, outputs): ([Double], [Double]) = ([], [])
    let total = sources.reduce(0) { $0 + loop.channels(of: $1.kind) }
    for (kind, dac) in sources {
      guard let converter = loop.converter(of: kind == .readOut ? .preset : kind) else { continue }
      let reader = kind == .readOut ? loop.readOut : site.board.boardDescription.sensing.converter
      let codes = codes(of: converter, readBy: reader)
      guard codes.count == points else {
        throw CharacterizationError(
          .place,
          "the \(name(kind)) converters do not reach both signs, or their reader does not: no line can be read back")
      }
      for channel in 0..<loop.channels(of: kind) {
        kinds.append(Int(kind.rawValue))
        channels.append(channel)
        inputs += codes.map { converter.volts($0).rawValue }
        outputs += try await site.sweep(
          dac, channel: channel, codes: codes, zero: converter.code(nearest: .zero) ?? DACCode(rawValue: 0),
          reading: kind == .readOut
            ? ReadADC(kind: .integrator, channel: channel) : .loopback(dac, channel: channel), averages: averages)
        site.progress(kinds.count, total)
      }
    }
    measurement.add(kinds, as: "loopKind")
    measurement.add(channels, as: "loopChannel")
    measurement.add(inputs, shape: [kinds.count, points], as: "loopInput_V")
    measurement.add(outputs, shape: [kinds.count, points], as: "loopShown_V")
    measurement.add(
      kinds.map {
        (LoopConverter(rawValue: UInt32($0)).flatMap { loop.converter(of: $0) })?.leastSignificantBit.rawValue ?? 0
      },
      as: "loopStep_V")
  }

  private static func codes(
    of converter: BoardDescription.Converter, readBy reader: BoardDescription.Converter
  ) -> [DACCode] {
    let reach = share * min(converter.reachable.upperBound, reader.reachable.upperBound)
    return (0..<points).compactMap { converter.code(nearest: reach * (2 * Double($0) / Double(points - 1) - 1)) }
  }

  // MARK: Analysing

  /// What was found of one channel.
  public struct Channel: Sendable {
    public var kind: LoopConverter
    public var channel: Int
    public var line: ConverterLine
    /// Half of the 95 % intervals; what the voltage reference itself is off by comes on top, in all channels alike.
    public var gainError: Double
    /// Volts.
    public var offsetError: Double
    /// What is left of a straight line at most, in steps of the channel's code.
    public var nonlinearity: Double

    var name: String { LoopConverters.name(kind) + " \(channel)" }
  }

  private static func name(_ kind: LoopConverter) -> String {
    switch kind {
    case .coefficient: "coefficient"
    case .embedding: "embedding"
    case .offset: "offset"
    case .preset: "preset"
    case .noise: "noise"
    case .readOut: "read-out"
    }
  }

  /// The lines of all channels; empty where none were read back.
  public static func channels(_ measurement: Measurement) throws -> [Channel] {
    guard let kinds = try measurement.optionalValues("loopKind") else { return [] }
    let numbers = try measurement.values("loopChannel")
    let (known, seen) = (try measurement.values("loopKnown_V"), try measurement.values("loopKnownShown_V"))
    // What the measuring converter shows of a voltage.
    let reader = ConverterLine(
      gain: known.count > 1 ? (seen[1] - seen[0]) / (known[1] - known[0]) : 1, offset: seen[0])
    let errors = try measurement.values("loopKnownError_V")
    let readerOffsetError = normal * errors[0]
    let readerGainError =
      known.count > 1
      ? normal * (errors[0] * errors[0] + errors[1] * errors[1]).squareRoot() / (known[1] - known[0]) : 0
    guard reader.isUsable else {
      throw CharacterizationError(
        .instrument, "the converter that reads the loop's converters back shows \(seen) V of \(known) V")
    }
    let (inputs, shown) = (try measurement.rows("loopInput_V"), try measurement.rows("loopShown_V"))
    let steps = try measurement.values("loopStep_V")
    var channels: [Channel] = []
    for index in kinds.indices {
      guard let kind = LoopConverter(rawValue: UInt32(kinds[index])) else {
        throw CharacterizationError(.malformedRecord, "there is no converter of kind \(kinds[index])")
      }
      let number = Int(numbers[index])
      let x: [Double]
      let y: [Double]
      // Of what the channel is compared with.
      let (commonGain, commonOffset): (Double, Double)
      if kind == .readOut {
        guard let preset = channels.first(where: { $0.kind == .preset && $0.channel == number }) else {
          throw CharacterizationError(.malformedRecord, "read-out \(number) was shown a preset that was not read back")
        }
        x = inputs[index].map { preset.line.of(Volts($0)).rawValue }
        y = shown[index]
        (commonGain, commonOffset) = (preset.gainError, preset.offsetError)
      } else {
        x = inputs[index]
        y = shown[index].map { reader.inverse(Volts($0)).rawValue }
        (commonGain, commonOffset) = (readerGainError, readerOffsetError)
      }
      let (gain, offset) = line(x, y)
      let rest = zip(x, y).map { $1 - gain * $0 - offset }
      let squares = x.map { ($0 - mean(x)) * ($0 - mean(x)) }.reduce(0, +)
      let sigma = (rest.reduce(0) { $0 + $1 * $1 } / Double(x.count - 2)).squareRoot()
      let found = ConverterLine(gain: gain, offset: offset)
      guard found.isUsable else {
        throw CharacterizationError(
          .instrument,
          "\(name(kind)) converter \(number) reads back as \(text(gain))·v + \(text(offset)) V: it or its way back is broken"
        )
      }
      channels.append(
        Channel(
          kind: kind, channel: number, line: found,
          gainError: hypot(student * sigma / squares.squareRoot(), commonGain),
          offsetError: hypot(
            student * sigma * (1 / Double(x.count) + mean(x) * mean(x) / squares).squareRoot(), commonOffset),
          nonlinearity: (rest.map(abs).max() ?? 0) / steps[index]))
    }
    return channels
  }

  /// The calibration that a finished step gives for its board; nil where no converter was read back.
  public static func calibration(
    from measurement: Measurement, board: Board, id: String, at seconds: Double
  ) throws -> ConverterLineCalibration? {
    let channels = try channels(measurement)
    guard !channels.isEmpty, let loop = board.boardDescription.closedLoop else { return nil }
    var lines = ConverterLines(loop)
    for channel in channels {
      guard lines[channel.kind].indices.contains(channel.channel) else {
        throw CharacterizationError(
          .otherRun, "the run measured converter \(channel.name), which this board does not have")
      }
      lines[channel.kind][channel.channel] = channel.line
    }
    return ConverterLineCalibration(
      id: id, chip: board.info.chipID, board: board.info.serial, descriptionSHA256: board.boardDescription.hash,
      madeAt: seconds, celsius: try? measurement.value("step_temperature_C"), reference: try reference(measurement),
      lines: lines)
  }

  private static func reference(_ measurement: Measurement) throws -> ConverterLineCalibration.Reference {
    guard let tolerance = try measurement.optionalValues("loopTolerance")?.first else { return .measuringConverter }
    guard measurement.arrays.contains(where: { $0.name == "loopInstrument" }) else {
      return .voltage(tolerance: tolerance)
    }
    return .measured(instrument: try measurement.array("loopInstrument").string ?? "")
  }

  static func addFindings(from measurement: Measurement, to findings: inout Findings) throws {
    // Records of versions that read no converter back say nothing of it.
    guard measurement.arrays.contains(where: { $0.name == "loopKind" || $0.name == "loopObstacle" }) else { return }
    let channels = try channels(measurement)
    guard !channels.isEmpty else {
      let obstacle = try measurement.array("loopObstacle").string ?? ""
      findings.remarks.append("Converters of the loop are not calibrated: \(obstacle).")
      return
    }
    let scale = try reference(measurement)
    findings.remarks.append(
      "\(channels.count) channels of the loop's converters were read back. absoluteScale of their voltages: \(scale)."
        + (scale == .measuringConverter
          ? " Without a voltage reference the channels are made equal to each other and to the measuring converter."
          : "")
        + " From the next run on schedules, presets and read-outs on this board are corrected by these lines.")
    findings.estimates += [
      Bootstrap.estimate("gain of a loop converter, mean", of: channels.map(\.line.gain), unit: "1", mean),
      Bootstrap.estimate("gain of a loop converter, σ", of: channels.map(\.line.gain), unit: "1", deviation),
      Bootstrap.estimate(
        "offset of a loop converter, mean", of: channels.map { $0.line.offset * 1e3 }, unit: "mV", mean),
      Bootstrap.estimate(
        "offset of a loop converter, σ", of: channels.map { $0.line.offset * 1e3 }, unit: "mV", deviation),
    ].map {
      var estimate = $0
      if estimate.low != nil { estimate.method = "bootstrap over channels" }
      return estimate
    }
    findings.tables.append(
      .init(
        title: "Converters of the loop, 95 % intervals of the fit",
        rows: [["channel", "gain − 1 (%)", "±", "offset (mV)", "±", "off the line at most (LSB)"]]
          + channels.map {
            [
              $0.name, text(($0.line.gain - 1) * 100), text($0.gainError * 100, digits: 2), text($0.line.offset * 1e3),
              text($0.offsetError * 1e3, digits: 2), text($0.nonlinearity, digits: 2),
            ]
          }))
    findings.pictures.append(
      .init(
        title: "Gain and offset of the loop's converters",
        script: """
          set multiplot layout 1,2
          set key off
          set xrange [-1:*]
          set xlabel 'channel, in the order of the table'
          set ylabel 'gain − 1 (%)'
          plot $channels using 1:2:3 with yerrorbars pt 7 ps 0.5 lw 1.5 lc rgb '#21518c', 0 lc rgb '#999999'
          set ylabel 'offset (mV)'
          plot $channels using 1:4:5 with yerrorbars pt 7 ps 0.5 lw 1.5 lc rgb '#b2182b', 0 lc rgb '#999999'
          unset multiplot
          """,
        tables: [
          .init(
            "channels",
            rows: channels.enumerated().map {
              [
                Double($0), ($1.line.gain - 1) * 100, $1.gainError * 100, $1.line.offset * 1e3, $1.offsetError * 1e3,
              ]
            })
        ], width: 900, height: 320))
  }
}

extension Site {
  /// A known voltage as the measuring converter shows it, volts.
  fileprivate func known(_ request: ReadADC, averages: Int) async throws -> (mean: Double, standardError: Double) {
    let values = try await ask("known voltage") { .init(numbers: try await conversions(request, averages)) }.numbers
    guard values.count == averages else {
      throw CharacterizationError(
        .malformedRecord, "the journal's answer to 'known voltage' is not of \(averages) conversions")
    }
    return (mean(values), deviation(values) / Double(averages).squareRoot())
  }

  /// Sets a converter to codes, reads what comes of each, and sets it to `zero` again; volts.
  fileprivate func sweep(
    _ dac: DACKind, channel: Int, codes: [DACCode], zero: DACCode, reading request: ReadADC, averages: Int
  ) async throws -> [Double] {
    let shown = try await ask("loopback") {
      var shown: [Double] = []
      do {
        for code in codes {
          _ = try await board.setDAC(dac, channel: channel, code: code)
          shown.append(mean(try await conversions(request, averages)))
        }
      } catch {
        // The first error counts; a board that does not answer any more makes itself safe.
        _ = try? await board.setDAC(dac, channel: channel, code: zero)
        throw error
      }
      _ = try await board.setDAC(dac, channel: channel, code: zero)
      return .init(numbers: shown)
    }.numbers
    guard shown.count == codes.count else {
      throw CharacterizationError(
        .malformedRecord, "the journal's answer to 'loopback' is not for \(codes.count) codes")
    }
    return shown
  }

  private func conversions(_ request: ReadADC, _ count: Int) async throws -> [Double] {
    var values: [Double] = []
    for _ in 0..<count {
      let result = try await board.exchange(request)
      guard !result.isSaturated else {
        throw CharacterizationError(
          .instrument,
          "a converter that is read back lies beyond the converter that reads it (\(request.source.map { "\($0)" } ?? "\(request.kind)") channel \(request.channel), \(text(result.value)) V)"
        )
      }
      values.append(result.value)
    }
    return values
  }
}
