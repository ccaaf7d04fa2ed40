internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// Pulses that cells got in this session and before it, and what was last read of them.
struct PulseBook {
  private let shape: MacroShape
  private var run: [Int: [UInt32]] = [:]
  private var before: [Int: [UInt32]] = [:]
  private var conductances: [Int: [Float]] = [:]

  init(shape: MacroShape) { self.shape = shape }

  /// True if the life of a macro's cells before this session has not been looked up yet.
  func lacksLife(ofMacro macro: Int) -> Bool { before[macro] == nil }

  /// What the cells of a macro had got before; `nil` where nobody counted.
  mutating func enter(life: [UInt32]?, ofMacro macro: Int) {
    before[macro] = life.flatMap { $0.count == shape.cellCount ? $0 : nil } ?? []
  }

  mutating func enter(_ report: CellReport) {
    let block = report.selection.block
    for (k, index) in report.selection.indices.enumerated() {
      let cell = block.address(at: index).index(in: shape)
      if report.pulses[k] > 0 {
        run[block.macro, default: Array(repeating: 0, count: shape.cellCount)][cell] += report.pulses[k]
      }
      // A pulse makes what was read before it old.
      if report.pulses[k] > 0 || report.reads[k] > 0 {
        note(report.reasons[k] == .notFormed ? .nan : report.conductance[k], block.macro, cell)
      }
    }
  }

  mutating func enter(_ readings: Board.Readings, of cells: CellSelection) {
    for (k, index) in cells.indices.enumerated() {
      // A pristine cell conducts little because it has no filament that a RESET could overdo.
      let isPristine = !readings.formed.isEmpty && !readings.formed[k]
      note(
        isPristine ? .nan : readings.conductance[k], cells.block.macro, cells.block.address(at: index).index(in: shape))
    }
  }

  private mutating func note(_ conductance: Float, _ macro: Int, _ cell: Int) {
    conductances[macro, default: Array(repeating: .nan, count: shape.cellCount)][cell] = conductance
  }

  /// Siemens; NaN where the cell has not been read since its last pulse, or is known to be pristine.
  func lastRead(_ cell: CellAddress) -> Float { conductances[cell.macro]?[cell.index(in: shape)] ?? .nan }

  typealias Given = (cell: CellAddress, pulses: Int)

  func inRun(_ cells: CellSelection) -> [Given] {
    guard let run = run[cells.block.macro] else { return first(of: cells) }
    return cells.indices.map { index in
      let cell = cells.block.address(at: index)
      return (cell, Int(run[cell.index(in: shape)]))
    }
  }

  func inLife(_ cells: CellSelection) -> [Given] {
    guard let before = before[cells.block.macro], !before.isEmpty else { return inRun(cells) }
    let run = run[cells.block.macro]
    return cells.indices.map { index in
      let cell = cells.block.address(at: index)
      let place = cell.index(in: shape)
      return (cell, Int(before[place]) + Int(run?[place] ?? 0))
    }
  }

  /// Where none has got a pulse, one cell stands for all.
  private func first(of cells: CellSelection) -> [Given] {
    cells.indices.first.map { [(cells.block.address(at: $0), 0)] } ?? []
  }
}
