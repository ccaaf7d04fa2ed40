/// Pairs two sets of as many points.
enum Assignment {
  /// The pairing with the least sum of squared distances, by shortest augmenting paths (Jonker and Volgenant 1987): O(n³) at worst.
  ///
  /// - Parameters:
  ///   - first: shape (n, 2).
  ///   - second: shape (n, 2).
  /// - Returns: for each point of the first set the index of its partner.
  static func leastSquares(from first: [Double], to second: [Double]) -> [Int] {
    precondition(first.count == second.count && first.count % 2 == 0, "sets of the same size")
    let n = first.count / 2
    // Potentials of rows and columns; column 0 stands for "no row yet", all others are shifted by one.
    var rowPotential = [Double](repeating: 0, count: n)
    var potential = [Double](repeating: 0, count: n)
    var owner = [Int](repeating: -1, count: n)
    var distance = [Double](repeating: 0, count: n)
    var previous = [Int](repeating: -1, count: n)
    var open = [Int](repeating: 0, count: n)
    first.withUnsafeBufferPointer { first in
      second.withUnsafeBufferPointer { second in
        for root in 0..<n {
          for j in 0..<n {
            distance[j] = .infinity
            open[j] = j
            previous[j] = -1
          }
          var row = root
          var lastColumn = -1
          var reached = 0.0
          var closed: [Int] = []
          var remaining = n
          while true {
            let (x, y) = (first[2 * row], first[2 * row + 1])
            let base = reached - rowPotential[row]
            var best = Double.infinity
            var place = 0
            for k in 0..<remaining {
              let j = open[k]
              let (dx, dy) = (x - second[2 * j], y - second[2 * j + 1])
              let candidate = base + dx * dx + dy * dy - potential[j]
              if candidate < distance[j] {
                distance[j] = candidate
                previous[j] = lastColumn
              }
              if distance[j] < best {
                best = distance[j]
                place = k
              }
            }
            let column = open[place]
            remaining -= 1
            open[place] = open[remaining]
            closed.append(column)
            reached = best
            lastColumn = column
            guard owner[column] >= 0 else { break }
            row = owner[column]
          }
          rowPotential[root] += reached
          for column in closed.dropLast() {
            rowPotential[owner[column]] += reached - distance[column]
            potential[column] -= reached - distance[column]
          }
          // Shift the owners along the path back to the root.
          var column = lastColumn
          while column >= 0 {
            let before = previous[column]
            owner[column] = before >= 0 ? owner[before] : root
            column = before
          }
        }
      }
    }
    var partners = [Int](repeating: 0, count: n)
    for (column, row) in owner.enumerated() { partners[row] = column }
    return partners
  }
}
