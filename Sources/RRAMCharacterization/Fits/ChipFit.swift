public import Foundation
internal import RRAMFiles
public import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits

/// Coefficients of a chip, fitted to what a characterization measured: each a number of a chip profile, with its interval.
///
/// What a step did not measure keeps the base profile's value.
public struct ChipFit: Sendable, Codable {
  /// One key of a profile; a list where the profile has one.
  public struct Coefficient: Sendable, Codable, Hashable {
    /// Path in a profile: `cells.forming.mean`.
    public var key: String
    public var values: [Double]
    /// Ends of the 95 % intervals.
    public var low: [Double]
    public var high: [Double]
    public var unit: String
    /// Devices.
    public var n: Int
    public var method: String
    /// The step that it comes from.
    public var step: String
  }

  /// σ against conductance as a straight line: offset in µS, slope in µS/µS. The form in which simulators of analog networks take noise.
  public struct Noise: Sendable, Codable, Hashable {
    public var name: String
    public var offsetMicrosiemens: Double
    public var slope: Double
    /// Ends of the 95 % intervals of both.
    public var offsetIntervalMicrosiemens: [Double]
    public var slopeInterval: [Double]
    /// Conductances over which it holds.
    public var windowMicrosiemens: [Double]
    public var n: Int
  }

  public var schema = 1
  public var chip: String?
  public var run: String
  /// The profile whose laws were fitted, and whose values stand where nothing was measured.
  public var base: String
  public var coefficients: [Coefficient] = []
  public var noise: [Noise] = []
  /// Conductances of the lists below `relaxation.components`, µS.
  public var levelsMicrosiemens: [Double] = []

  /// Fits what the finished steps of a run hold.
  ///
  /// - Throws: ``CharacterizationError`` `malformedRecord`; a run in which nothing can be fitted gives no coefficients.
  public init(of folder: URL, base profile: ChipProfile) throws {
    let manifest = try RunManifest.read(from: folder)
    chip = manifest.chip?.id
    run = folder.lastPathComponent
    base = profile.name
    let plan = try CharacterizationPlan.load(nameOrPath: folder.appending(path: "plan.yaml").path)
    // Pulses last: the chips that are simulated for their law have what else was fitted.
    let order =
      plan.steps.enumerated().filter { !($0.element is Switching) }
      + plan.steps.enumerated().filter { $0.element is Switching }
    for (index, procedure) in order {
      let name = Characterization.fileName(index + 1, type(of: procedure), "npz")
      let path = folder.appending(path: name).path
      guard FileManager.default.fileExists(atPath: path) else { continue }
      let measurement = try Measurement(file: path)
      let step = name.replacing(".npz", with: "")
      switch procedure {
      case is Forming: try fitForming(measurement, profile, step)
      case is Switching: try fitPulses(measurement, self.profile(named: profile.name, from: profile), step)
      case is RelaxationSeries: try fitRelaxation(measurement, profile, step)
      case is Retention: try fitRetention(measurement, step)
      case is LevelProgramming: try fitProgramming(measurement)
      case is ReadNoiseSeries: try fitReadNoise(measurement)
      default: break
      }
    }
    // As the plan has them; a step's name begins with its number.
    coefficients = Dictionary(grouping: coefficients, by: \.step).sorted { $0.key < $1.key }.flatMap(\.value)
  }

  private mutating func add(
    _ keys: [(key: String, unit: String)], _ count: Int, _ step: String, _ statistic: ([Int]) -> [Double]
  ) {
    guard count >= 8 else { return }
    for (key, found) in zip(keys, Jackknife.estimate(count, statistic))
    where found.value.isFinite && found.half.isFinite {
      coefficients.append(
        Coefficient(
          key: key.key, values: [found.value], low: [found.value - found.half], high: [found.value + found.half],
          unit: key.unit, n: count, method: Jackknife.method, step: step))
    }
  }

  // MARK: Steps

  private mutating func fitForming(_ measurement: Measurement, _ profile: ChipProfile, _ step: String) throws {
    let voltages = try measurement.values("forming_V")
    let conductances = try measurement.values("conductance_S").map { $0 * 1e6 }
    let width = try measurement.value("step_V")
    // Formed now, and not to the bottom: those are stuck.
    let middle = median(voltages.indices.filter { voltages[$0].isFinite }.map { conductances[$0] })
    let formed = voltages.indices.filter { voltages[$0].isFinite && conductances[$0] > middle / 4 }
    if let law = FormingLaw(formed.map { voltages[$0] }, step: width) {
      for (name, found) in [
        ("mean", law.mean), ("sigma", law.sigma), ("quantile1", law.quantile1), ("quantile99", law.quantile99),
      ] {
        coefficients.append(
          Coefficient(
            key: "cells.forming.\(name)", values: [found.value], low: [found.value - found.half],
            high: [found.value + found.half], unit: "V", n: formed.count, method: FormingLaw.method, step: step))
      }
    }
    let overshoot = profile.cells.formedOvershoot * 1e6
    add([("cells.formed.conductance", "µS"), ("cells.formed.spread", "1")], formed.count, step) { pieces in
      let after = pieces.map { conductances[formed[$0]] }
      // What the excess over a cell's own voltage, up to a step, added to its conductance is taken off by the base profile's figure.
      let centre = mean(after) - overshoot * width / 2
      let spread = max(0, variance(after) - overshoot * overshoot * width * width / 12).squareRoot()
      return [centre, spread / centre]
    }
  }

  private mutating func fitPulses(_ measurement: Measurement, _ profile: ChipProfile, _ step: String) throws {
    let ramps = try SwitchingRamps(measurement)
    guard ramps.cells >= 8, let found = try ramps.fit(base: profile) else { return }
    for ((key, unit), (value, half)) in zip(
      [
        ("setVoltage", "V"), ("resetVoltage", "V"), ("voltsPerDecade", "V"), ("cycleSpread", "1"),
        ("deviceSpread", "V"),
      ], found)
    where value.isFinite && half.isFinite {
      coefficients.append(
        Coefficient(
          key: "programming.\(key)", values: [value], low: [value - half], high: [value + half], unit: unit,
          n: ramps.cells, method: Jackknife.method + ", bias found on simulated chips", step: step))
    }
  }

  private mutating func fitRelaxation(_ measurement: Measurement, _ profile: ChipProfile, _ step: String) throws {
    let targets = try measurement.values("target_S").map { $0 * 1e6 }
    let accepted = try measurement.values("accepted")
    let verify = try measurement.values("verify_S").map { $0 * 1e6 }
    let ages = try measurement.values("age_s")
    let values = try measurement.rows("conductance_S").map { $0.map { $0 * 1e6 } }
    guard let components = profile.relaxation.components, ages.count >= 3 else { return }
    let levels = Array(Set(targets)).sorted()
    let decades = ages.map { log10(1 + $0 / components.meanOnset.seconds) }
    var laws: [RelaxationLaw] = []
    var shifts: [RelaxationLaw.Estimate] = []
    var least = Int.max
    for level in levels {
      let cells = targets.indices.filter {
        targets[$0] == level && accepted[$0] == 1 && verify[$0].isFinite
      }
      guard cells.count >= 20 else { return }
      least = min(least, cells.count)
      let changes = values.map { row in cells.map { row[$0] - verify[$0] } }
      // The common shift of a decade; where it starts from is not known, because an accepted read is one that happened to lie right.
      let shift = Jackknife.estimate(cells.count) { pieces in
        let fit = line(decades, changes.map { row in median(pieces.map { row[$0] }) })
        return [fit.slope, fit.offset]
      }
      let series = RelaxationLaw.Series(
        level: level, ages: ages, verify: cells.map { verify[$0] }, changes: changes,
        shifts: decades.map { shift[1].value + shift[0].value * $0 })
      guard let law = RelaxationLaw(series, base: profile) else { return }
      laws.append(law)
      shifts.append((shift[0].value, shift[0].value - shift[0].half, shift[0].value + shift[0].half))
    }
    levelsMicrosiemens = levels
    func add(_ name: String, _ unit: String, _ method: String, _ found: [RelaxationLaw.Estimate]) {
      guard found.allSatisfy({ $0.value.isFinite && $0.low.isFinite && $0.high.isFinite }) else { return }
      coefficients.append(
        Coefficient(
          key: "relaxation.components.\(name)", values: found.map(\.value), low: found.map(\.low),
          high: found.map(\.high), unit: unit, n: least, method: method, step: step))
    }
    add("stationary", "µS²", RelaxationLaw.method, laws.map(\.stationary))
    add("accumulating", "µS²", RelaxationLaw.method, laws.map(\.accumulating))
    add("mean", "µS", Jackknife.method, shifts)
  }

  private mutating func fitRetention(_ measurement: Measurement, _ step: String) throws {
    guard let found = try Retention.activationEnergy(measurement), let value = found.value, let low = found.low,
      let high = found.high
    else { return }
    coefficients.append(
      Coefficient(
        key: "retention.activationEnergy", values: [value], low: [low], high: [high], unit: found.unit, n: found.n,
        method: found.method, step: step))
  }

  // MARK: Noise as simulators take it

  private mutating func addNoise(_ name: String, _ cells: [(conductance: Double, deviation: Double)]) {
    guard cells.count >= 20 else { return }
    // For a normal deviate E|x| = σ·√(2/π): a line through |x|·√(π/2) is one through σ.
    let scale = (Double.pi / 2).squareRoot()
    let found = Jackknife.estimate(cells.count) { pieces in
      let fit = line(pieces.map { cells[$0].conductance }, pieces.map { cells[$0].deviation * scale })
      return [fit.offset, fit.slope]
    }
    guard found.allSatisfy({ $0.value.isFinite }) else { return }
    let all = cells.map(\.conductance)
    noise.append(
      Noise(
        name: name, offsetMicrosiemens: found[0].value, slope: found[1].value,
        offsetIntervalMicrosiemens: [found[0].value - found[0].half, found[0].value + found[0].half],
        slopeInterval: [found[1].value - found[1].half, found[1].value + found[1].half],
        windowMicrosiemens: [all.min() ?? 0, all.max() ?? 0], n: cells.count))
  }

  private mutating func fitProgramming(_ measurement: Measurement) throws {
    let targets = try measurement.values("target_S").map { $0 * 1e6 }
    let later = try measurement.values("later_S").map { $0 * 1e6 }
    let accepted = try measurement.values("accepted")
    addNoise(
      "programming",
      targets.indices.filter { accepted[$0] == 1 }.map { (targets[$0], abs(later[$0] - targets[$0])) })
  }

  private mutating func fitReadNoise(_ measurement: Measurement) throws {
    let rows = try measurement.rows("conductance_S").map { $0.map { $0 * 1e6 } }
    let scale = (2 / Double.pi).squareRoot()
    addNoise(
      "readNoise",
      (0..<(rows.first?.count ?? 0)).map { cell in
        let values = rows.map { $0[cell] }
        // σ of a cell as if it were |x| of one deviate.
        return (mean(values), deviation(values) * scale)
      })
  }

  // MARK: Profile

  /// The base profile with what was fitted in place of its own values; every such number names the run and its interval.
  ///
  /// - Throws: `ProfileError` where the fitted values make no profile.
  public func profile(named name: String, from base: ChipProfile) throws(ProfileError) -> ChipProfile {
    var leaves: [String: String] = [:]
    func source(_ coefficient: Coefficient, _ range: String) -> String {
      "source: \"measured on \(chip ?? "a chip"), run \(run), \(coefficient.n) devices, 95 %: \(range)\"}"
    }
    for coefficient in coefficients {
      if coefficient.values.count == 1, !coefficient.key.hasPrefix("relaxation.components.") {
        leaves[coefficient.key] =
          "{value: \(text(coefficient.values[0], digits: 6)), unit: \(Self.quoted(coefficient.unit)), "
          + source(coefficient, "\(text(coefficient.low[0])) … \(text(coefficient.high[0]))")
      } else {
        // A variance that came out below 0 is none.
        let values = coefficient.values.map { coefficient.key.hasSuffix(".mean") ? $0 : max(0, $0) }
        leaves[coefficient.key] =
          "{values: [\(values.map { text($0, digits: 6) }.joined(separator: ", "))], unit: \(Self.quoted(coefficient.unit)), "
          + source(
            coefficient,
            zip(coefficient.low, coefficient.high).map { "\(text($0)) … \(text($1))" }.joined(separator: ", "))
      }
    }
    if let law = base.relaxation.components, leaves["relaxation.components.stationary"] != nil {
      func list(_ values: [Double], _ unit: String) -> String {
        "{values: [\(values.map { text($0, digits: 6) }.joined(separator: ", "))], unit: \(Self.quoted(unit)), "
          + "assumed: \"\(base.name), at the levels of the fit\"}"
      }
      let at = levelsMicrosiemens.map { Siemens.microsiemens($0) }
      leaves["relaxation.components.conductances"] = list(levelsMicrosiemens, "µS")
      leaves["relaxation.components.fast"] = list(at.map { law.value(law.fast, at: $0) * 1e12 }, "µS²")
      leaves["relaxation.components.asymmetry"] = list(at.map { law.value(law.asymmetry, at: $0) }, "1")
    }
    var document = Self.replacing(
      leaves, in: base.document, name: name, summary: "\(base.name) fitted to \(chip ?? "a chip"), run \(run)")
    do throws(ProfileError) {
      return try ChipProfile(yaml: document, file: name)
    } catch let error {
      // Not every mean, σ and quantiles belong to a distribution that the emulator draws from: the base's shape, moved and scaled.
      guard error.key == "cells.forming", let fitted = coefficients.first(where: { $0.key == "cells.forming.mean" }),
        let sigma = coefficients.first(where: { $0.key == "cells.forming.sigma" })
      else { throw error }
      for (key, value) in [("quantile1", base.cells.formingQuantile1), ("quantile99", base.cells.formingQuantile99)] {
        let place =
          fitted.values[0] + (value - base.cells.formingMean).rawValue * sigma.values[0]
          / base.cells.formingSigma.rawValue
        leaves["cells.forming.\(key)"] =
          "{value: \(text(place, digits: 6)), unit: V, assumed: \"the shape of \(base.name), moved and scaled\"}"
      }
      document = Self.replacing(
        leaves, in: base.document, name: name, summary: "\(base.name) fitted to \(chip ?? "a chip"), run \(run)")
      return try ChipProfile(yaml: document, file: name)
    }
  }

  private static func quoted(_ unit: String) -> String { unit == "1" ? "\"1\"" : unit }

  /// Puts leaves of a profile's document, by key path, in place of those that stand there; comments and order stay.
  static func replacing(_ leaves: [String: String], in document: String, name: String, summary: String) -> String {
    var path: [(indent: Int, key: String)] = []
    return document.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
      let content = line.drop { $0 == " " }
      let indent = line.count - content.count
      guard !content.hasPrefix("#"), let colon = content.firstIndex(of: ":") else { return String(line) }
      path.removeAll { $0.indent >= indent }
      path.append((indent, String(content[..<colon])))
      let key = path.map(\.key).joined(separator: ".")
      let head = String(repeating: " ", count: indent) + content[...colon] + " "
      switch key {
      case "name": return head + name
      case "summary": return head + "\"\(summary)\""
      default: return leaves[key].map { head + $0 } ?? String(line)
      }
    }.joined(separator: "\n")
  }
}
