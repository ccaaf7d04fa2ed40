internal import RRAMFiles
internal import RRAMUnits

extension CellRecords {
  /// What arrays are called in NeuRRAM's host code (github weierwan/Neurram_48core): `program_array` of python/wupdate_control.py takes the
  /// targets G and gives back program_sucess (so spelt), the conductances of its last reads and num_pulses, each (rows, columns); the
  /// notebook mnist_cnn/mnist_chip_inference.ipynb keeps them as G, program_sucess, G_program, num_pulses, with rows, cols, core_row,
  /// core_col, g_min, g_max and g_tol beside them. Conductances are in siemens.
  private static let namesOfNeuRRAM = [
    "G": "target_S", "G_program": "verify_S", "num_pulses": "pulses", "program_sucess": "accepted",
    "program_success": "accepted",
  ]

  /// Single numbers that may stand beside the arrays.
  private static let scalars: Set = ["core_row", "core_col", "g_min", "g_max", "g_tol", "vread", "temperature_C"]

  private struct Found {
    var key: String
    var shape: [Int]
    var values: [Double]

    /// `file: array 'G'[3, 4]`.
    func place(_ index: Int, _ file: String) -> String {
      var (rest, indices) = (index, [Int]())
      for length in shape.reversed() {
        indices.insert(rest % length, at: 0)
        rest /= length
      }
      return "\(file): array '\(key)'" + (shape.isEmpty ? "" : "\(indices)")
    }
  }

  /// An archive of arrays of one shape: (rows, columns), or (cells) with arrays row and column; reads at several times have an axis more in
  /// front.
  mutating func read(archive bytes: [UInt8], _ reader: Reader) throws {
    let file = reader.file
    let archive = try NPZArchive(bytes: bytes, file: file)
    var found: [Column: Found] = [:]
    var (rowList, columnList): ([Int]?, [Int]?)
    for key in archive.keys where !reader.options.ignored.contains(key) {
      let name = reader.options.names[key] ?? Self.namesOfNeuRRAM[key] ?? key
      let array = try archive.array(key)
      guard let numbers = array.doubles else {
        throw reader.refusal("\(file): array '\(key)'", "holds \(array.elementType), not numbers")
      }
      let raw = Found(key: key, shape: array.shape, values: numbers)
      if name == "rows" || name == "cols" {
        let meaning = Meaning(column: name == "rows" ? .row : .column, factor: 1, isResistance: false)
        let list = try numbers.indices.map { Int(try reader.value(numbers[$0], meaning, at: raw.place($0, file))) }
        if name == "rows" { rowList = list } else { columnList = list }
      } else if let meaning = try reader.meaning(of: name) {
        let values = try numbers.indices.map { try reader.value(numbers[$0], meaning, at: raw.place($0, file)) }
        if name != key { taken.append("\(key) as \(meaning.column.rawValue)") }
        if let other = found.updateValue(
          Found(key: key, shape: array.shape, values: values), forKey: meaning.column)
        {
          throw reader.refusal(
            file,
            "arrays '\(other.key)' and '\(key)' are both taken as \(meaning.column.rawValue): --name says what one holds, --ignore leaves it out"
          )
        }
      } else if Self.scalars.contains(name), array.count == 1, numbers[0].isFinite {
        notes.append((name, numbers[0]))
        if name == "g_tol" {
          guard numbers[0] > 0, numbers[0] <= Reader.largestConductance else {
            throw reader.refusal("\(file): array '\(key)'", "\(numbers[0]) S is no width of a window")
          }
          tolerance = numbers[0]
        }
      } else {
        throw reader.refusal(
          "\(file): array '\(key)'",
          "is unknown (shape \(array.shape) of \(array.elementType)); arrays are row, column, rows, cols, pulses, reads, accepted, "
            + Reader.examples(.target, .verify, .conductance, .time) + ", and "
            + (Self.namesOfNeuRRAM.keys.sorted() + Self.scalars.sorted()).joined(separator: ", "))
      }
    }
    macro = reader.options.macro ?? 0
    if let array = found.removeValue(forKey: .macro) {
      guard array.values.count == 1 else {
        throw reader.refusal("\(file): array '\(array.key)'", "holds \(array.values.count) numbers: one is needed")
      }
      let own = Int(array.values[0])
      if let asked = reader.options.macro, asked != own {
        throw reader.refusal(file, "has no cell of macro \(asked), but of \(own)")
      }
      macro = own
    }
    try take(found, rows: rowList, columns: columnList, reader)
  }

  private mutating func take(
    _ found: [Column: Found], rows: [Int]?, columns: [Int]?, _ reader: Reader
  ) throws {
    let file = reader.file
    let shape = try cellShape(found, reader)
    guard !shape.contains(0) else { throw reader.refusal(file, "holds no cell: its arrays have shape \(shape)") }
    if let row = found[.row], let column = found[.column] {
      guard rows == nil, columns == nil else {
        throw reader.refusal(file, "has arrays row and column, and rows and cols: one pair is enough")
      }
      cells = zip(row.values, column.values).map { CellAddress(macro: macro, row: Int($0), column: Int($1)) }
    } else {
      for (name, list, length) in [("rows", rows, shape[0]), ("cols", columns, shape[1])] {
        guard length <= Reader.largestAddress + 1 else {
          throw reader.refusal(
            file, "has \(length) \(name) (shape \(shape)): rows and columns go from 0 to \(Reader.largestAddress)")
        }
        if let list, list.count != length {
          throw reader.refusal(
            "\(file): array '\(name)'", "holds \(list.count) numbers, and the cells' arrays have \(length) \(name)")
        }
      }
      cells = (0..<shape[0]).flatMap { row in
        (0..<shape[1]).map {
          CellAddress(macro: macro, row: rows?[row] ?? row, column: columns?[$0] ?? $0)
        }
      }
    }
    var seen = Set<CellAddress>()
    for cell in cells where !seen.insert(cell).inserted {
      throw reader.refusal(file, "row \(cell.row) column \(cell.column) comes twice")
    }
    func values(_ column: Column) throws -> [Double]? {
      guard let array = found[column] else { return nil }
      guard array.shape == shape else {
        throw reader.refusal(
          "\(file): array '\(array.key)'", "has shape \(array.shape), and the cells' arrays have \(shape)")
      }
      return array.values
    }
    target = try values(.target)
    verify = try values(.verify)
    accepted = try values(.accepted)?.map { $0 == 1 }
    pulses = try values(.pulses)?.map { Int($0) }
    reads = try values(.reads)?.map { Int($0) }
    guard let conductance = found[.conductance] else {
      if let time = found[.time] { throw reader.refusal("\(file): array '\(time.key)'", Reader.timesAlone) }
      return
    }
    if let time = found[.time] {
      guard conductance.shape == time.shape + shape, time.shape.count == 1 else {
        throw reader.refusal(
          "\(file): array '\(conductance.key)'",
          "has shape \(conductance.shape), and '\(time.key)' of shape \(time.shape) asks for \(time.shape + shape)")
      }
      for (one, other) in zip(time.values, time.values.dropFirst()) where other <= one {
        throw reader.refusal("\(file): array '\(time.key)'", "has \(other) s after \(one) s: times must rise")
      }
      ages = time.values
      later = ages.indices.map { Array(conductance.values[$0 * cells.count..<($0 + 1) * cells.count]) }
    } else {
      later = [try values(.conductance) ?? []]
    }
  }

  /// The shape of an array with one value a cell.
  private func cellShape(_ found: [Column: Found], _ reader: Reader) throws -> [Int] {
    if let row = found[.row] ?? found[.column] {
      guard let column = found[.column], found[.row] != nil, column.shape == row.shape, row.shape.count == 1 else {
        throw reader.refusal(reader.file, "needs both arrays 'row' and 'column', of one length")
      }
      return row.shape
    }
    for column in [Column.target, .verify, .accepted, .pulses, .reads] {
      guard let array = found[column] else { continue }
      guard array.shape.count == 2 else {
        throw reader.refusal(
          "\(reader.file): array '\(array.key)'",
          "has shape \(array.shape): (rows, columns) is needed, or arrays 'row' and 'column' that say which cells these are"
        )
      }
      return array.shape
    }
    guard let conductance = found[.conductance] else {
      throw reader.refusal(
        reader.file, "holds no conductance: one of G_program, \(Reader.examples(.verify, .conductance)) is needed")
    }
    guard conductance.shape.count == (found[.time] == nil ? 2 : 3) else {
      throw reader.refusal(
        "\(reader.file): array '\(conductance.key)'",
        "has shape \(conductance.shape): (rows, columns) is needed\(found[.time] == nil ? "" : ", times in front"), or arrays 'row' and 'column'"
      )
    }
    return Array(conductance.shape.suffix(2))
  }
}
