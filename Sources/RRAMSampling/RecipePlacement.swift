internal import Glibc
public import RRAMBoard
public import RRAMMapping
public import RRAMModel
public import RRAMProfiles
public import RRAMUnits

/// One way a network can lie on a chip, as a recipe weighs it.
public struct RecipePlacement: Sendable {
  public var plan: MappingPlan
  /// Weights lie on the quietest of the cells that could carry them: noise was measured, or is drawn as a screening would find it.
  public var isScreened: Bool { noisePower.contains { $0.contains { $0 != nil } } }
  /// Noise power of the cells of each layer over what is usual on the chip, row-major over the block; nil for a cell that nobody has
  /// looked at.
  public var noisePower: [[Double?]]
  /// Cells that are to be formed for it, those that a screening forms and moves weights off again among them.
  public var toForm: Set<CellAddress> = []
  /// Passes of a screening that find something to read.
  public var screenings = 0

  /// A plan on cells as far as they are known.
  public init(_ plan: MappingPlan, known: KnownCells) {
    self.plan = plan
    let noise = known.noise
    let usual = noise.meanSquare
    noisePower = plan.layers.map { layer in
      (0..<layer.block.cellCount).map { cell in
        noise[layer.block.address(at: cell)].map { $0.microsiemens * $0.microsiemens / usual }
      }
    }
  }

  /// The mappings that recipes weigh on a board: one cell a weight, and where its switches reach every row, only as many cells as a weight
  /// needs out of as many as fit.
  public static func mappings(on board: BoardDescription) -> [MappingOptions] {
    guard board.closedLoop?.rowRouting == .any else { return [MappingOptions()] }
    var sparse = MappingOptions()
    (sparse.pairs, sparse.scale, sparse.replicas) = (.sparse, .column, .most)
    return [MappingOptions(), sparse]
  }

  /// Where the weights would lie once the cells were screened: the noise that `Board.form(for:…)` would find is drawn from a profile.
  ///
  /// What was measured before is kept. Without traps in the profile's cells, and for pairs that are not sparse, nothing is moved.
  public static func screened(
    _ network: ScoreNetwork, on board: BoardDescription, window: ClosedRange<Siemens>, mapping: MappingOptions,
    known: KnownCells, profile: ChipProfile, screening: Screening = Screening(), seed: UInt64 = 1,
    amplifiers: LoopCalibration? = nil
  ) throws(MappingError) -> RecipePlacement {
    var known = known
    var plan = try MappingPlan(
      network, on: board, window: window, options: mapping, known: known, amplifiers: amplifiers)
    guard mapping.pairs == .sparse, let law = profile.relaxation.components else {
      var placement = RecipePlacement(plan, known: known)
      placement.toForm = plan.cellsToForm
      return placement
    }
    let usual = known.noise.meanSquare
    let spread = law.stationarySpread
    var visited = plan.cellsToForm
    var screenings = 0
    for _ in 0..<screening.passes {
      let have = known.noise
      screenings += 1
      for layer in plan.layers {
        for (cell, isWritten) in layer.written.enumerated() where isWritten {
          let address = layer.block.address(at: cell)
          guard have[address] == nil else { continue }
          var draw = PhiloxStream(
            seed: seed, stream: (UInt32(address.macro), UInt32(address.row), UInt32(address.column)))
          // Log-normal with mean 1.
          let power = usual * exp(spread * draw.normal() - spread * spread / 2)
          known.enter(noise: .microsiemens(power.squareRoot()), of: address)
        }
      }
      let next = try MappingPlan(
        network, on: board, window: window, options: mapping, known: known, amplifiers: amplifiers)
      if next == plan { break }
      plan = next
      visited.formUnion(plan.cellsToForm)
    }
    var placement = RecipePlacement(plan, known: known)
    placement.toForm = visited
    placement.screenings = screenings
    return placement
  }
}
