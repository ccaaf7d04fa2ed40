import Glibc
import RRAMProfiles
import RRAMUnits

/// What a cell was made with; drawn once from the chip's seed, never saved.
///
/// Every draw is Philox of seed, cell, macro and block number, so a cell is the same whatever is made beside it.
struct Fabrication: Sendable {
  let defects: [Crossbar.Defect]
  /// µS in parallel to the cell.
  let leaks: [Float]
  /// V.
  let formingVoltages: [Float]
  /// V, added to the profile's setVoltage and resetVoltage.
  let setShifts: [Float]
  let resetShifts: [Float]
  /// Standard normal numbers of the device: end points of SET and RESET.
  let setQuality: [Float]
  let resetQuality: [Float]
  /// Factor of the σ of the stationary part.
  let stationaryStrengths: [Float]
  /// 1/τ of a telegraph trap in 1/s, 0 for none, and its step ÷ conductance.
  let trapRates: [Float]
  let trapSteps: [Float]
  /// Cycles until the cell fails.
  let lives: [Float]
  let endsShorted: [Bool]

  init(_ profile: ChipProfile, shape: MacroShape, macro: Int, seed: UInt64) {
    let count = shape.cellCount
    let cells = profile.cells
    let distribution = FormingDistribution(cells)
    let components = profile.relaxation.components
    let telegraph = profile.readNoise.telegraph
    let wear = profile.wear
    func block(_ index: UInt32, _ cell: Int) -> Philox4x32.Block {
      Philox4x32.block(
        seed: seed, index, UInt32(cell), UInt32(macro), Crossbar.Purpose.fabrication.rawValue)
    }
    // A defect's probability in a bad row and elsewhere, relative to the mean.
    let inBadRow = cells.badRows > 0 ? cells.badRowShare / cells.badRows : 1
    let elsewhere = cells.badRows > 0 && cells.badRows < 1 ? (1 - cells.badRowShare) / (1 - cells.badRows) : 1
    let rowFactors = (0..<shape.rows).map { row in
      let words = Philox4x32.block(
        seed: seed, 0, UInt32(row), UInt32(macro), Crossbar.Purpose.row.rawValue)
      return Philox4x32.uniform(words.x) < cells.badRows ? inBadRow : elsewhere
    }

    var defects: [Crossbar.Defect] = []
    var leaks = [Float](repeating: 0, count: count)
    var formingVoltages: [Float] = []
    var setShifts: [Float] = []
    var resetShifts: [Float] = []
    var setQuality = leaks
    var resetQuality = leaks
    var stationaryStrengths = [Float](repeating: 1, count: count)
    var trapRates = leaks
    var trapSteps = leaks
    var lives = [Float](repeating: .infinity, count: count)
    var endsShorted = [Bool](repeating: false, count: count)
    defects.reserveCapacity(count)
    formingVoltages.reserveCapacity(count)
    setShifts.reserveCapacity(count)
    resetShifts.reserveCapacity(count)
    for cell in 0..<count {
      let first = block(0, cell)
      let factor = rowFactors[cell / shape.columns]
      let u = Philox4x32.uniform(first.z)
      let low = cells.stuckLowFraction * factor
      let high = low + cells.stuckHighFraction * factor
      let unformable = high + cells.unformableFraction * factor
      defects.append(u < low ? .stuckLow : u < high ? .stuckHigh : u < unformable ? .unformable : .none)
      if cells.leakyFraction > 0, Philox4x32.uniform(first.w) < cells.leakyFraction * factor {
        leaks[cell] = Float(cells.leak.microsiemens)
      }
      let z = Philox4x32.normals(first).0
      formingVoltages.append(
        Float((distribution?.voltage(at: z) ?? cells.formingMean + z * cells.formingSigma).rawValue))
      let shifts = Philox4x32.normals(block(1, cell))
      setShifts.append(Float(shifts.0 * profile.programming.deviceSpread.rawValue))
      resetShifts.append(Float(shifts.1 * profile.programming.deviceSpread.rawValue))
      let endpoints = profile.programming.endpoints
      if endpoints.device > 0 || endpoints.resetDevice > 0 {
        let quality = Philox4x32.normals(block(2, cell))
        setQuality[cell] = Float(quality.0)
        resetQuality[cell] = Float(quality.1)
      }
      if let components {
        // Log-normal with mean 1.
        let strength = Philox4x32.normals(block(3, cell))
        let s = components.stationarySpread
        stationaryStrengths[cell] = Float(exp((s * strength.0 - s * s / 2) / 2))
      }
      if telegraph.fraction > 0 {
        let words = block(4, cell)
        if Philox4x32.uniform(words.z) < telegraph.fraction {
          let (fast, slow) = (telegraph.times.lowerBound.seconds, telegraph.times.upperBound.seconds)
          trapRates[cell] = Float(1 / (fast * pow(slow / fast, Philox4x32.uniform(words.w))))
          trapSteps[cell] = Float(telegraph.step * exp(telegraph.stepSpread * Philox4x32.normals(words).0))
        }
      }
      if wear.endurance > 0 || wear.earlyShare > 0 {
        let words = block(5, cell)
        let median = Philox4x32.uniform(words.w) < wear.earlyShare ? wear.earlyEndurance : wear.endurance
        if median > 0 {
          lives[cell] = Float(median * pow(10, wear.enduranceSpread * Philox4x32.normals(words).0))
        }
        endsShorted[cell] = Philox4x32.uniform(words.z) < wear.shortShare
      }
    }
    self.defects = defects
    self.leaks = leaks
    self.formingVoltages = formingVoltages
    self.setShifts = setShifts
    self.resetShifts = resetShifts
    self.setQuality = setQuality
    self.resetQuality = resetQuality
    self.stationaryStrengths = stationaryStrengths
    self.trapRates = trapRates
    self.trapSteps = trapSteps
    self.lives = lives
    self.endsShorted = endsShorted
  }
}
