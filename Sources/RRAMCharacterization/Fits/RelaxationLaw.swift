internal import Foundation
internal import RRAMProfiles
internal import RRAMUnits

/// The law of relaxation at one conductance, fitted to reads of many cells after a write by maximum likelihood.
///
/// Deviations from the common shift of two reads at ages t₁ < t₂ are normal, given the cell, with
/// Var[G(t₂) − G(t₁)] = a·log10(1 + (t₂ − t₁)/t₀) + b·[log10(1 + t₂/t₀) − log10(1 + t₁/t₀)] + w, a of a cell and b of a write log-normal: a
/// minority of cells carries most of the variance. The likelihood of a cell is summed over a grid of its own a and b, and over the telegraph
/// traps that it may have; the means of a and b maximize the product over cells. t₀, w, the spreads of ln a and ln b, the asymmetry and the
/// traps are the base profile's. Standard errors are those of the cells' scores (Berndt, Hall, Hall and Hausman, Ann. Econ. Soc. Meas. 3,
/// 653, 1974), with the intervals even in the logarithm, because neither a nor b can be negative.
struct RelaxationLaw {
  typealias Estimate = (value: Double, low: Double, high: Double)

  static let method = "maximum likelihood over cells"
  /// µS² a decade.
  var stationary: Estimate
  var accumulating: Estimate

  /// What was read of the cells of one level.
  struct Series {
    /// µS.
    var level: Double
    /// Since the write, s, rising.
    var ages: [Double]
    /// The accepted read, µS, by cell.
    var verify: [Double]
    /// Change since then, µS: by age, then by cell.
    var changes: [[Double]]
    /// Common shift at each age, µS.
    var shifts: [Double]
  }

  /// Steps of the grids over ln a and ln b, and how far they reach to both sides of where the data put the middle.
  private static let (step, reach) = (0.5, 18)
  /// Traps: one correlation time a decade, and the two nodes of a normal spread of ln(step).
  private static let trapSizes = [-1.0, 1.0]
  /// Reads a decade of time that are used: more of them say little that is new, and cost time.
  private static let readsPerDecade = 2.0

  /// nil with fewer than 20 cells or 3 ages, or where the likelihood has no maximum.
  init?(_ series: Series, base profile: ChipProfile) {
    guard let law = profile.relaxation.components, series.verify.count >= 20 else { return nil }
    var kept: [Int] = []
    for (place, age) in series.ages.enumerated() {
      if let last = kept.last, log10(age / series.ages[last]) < 0.99 / Self.readsPerDecade { continue }
      kept.append(place)
    }
    guard kept.count >= 3 else { return nil }
    let ages = kept.map { series.ages[$0] }
    let at = Siemens.microsiemens(series.level)
    let kappa = law.value(law.asymmetry, at: at)
    func even(_ deviation: Double) -> Double { deviation / (deviation > 0 ? 1 + kappa : 1 - kappa) }
    // A cell shows no less than a pristine one: of a read that low it is known only that the deviation was at most so much.
    let floor = 5 * profile.cells.pristine.microsiemens
    let cells = series.verify.indices
    var deviations = kept.map { place in cells.map { even(series.changes[place][$0] - series.shifts[place]) } }
    let bounds = kept.map { place in cells.map { even(floor - series.verify[$0] - series.shifts[place]) } }
    var isCut = kept.map { place in cells.map { series.verify[$0] + series.changes[place][$0] < floor } }
    let shareCut = isCut.reduce(0.0) { $0 + Double($1.count { $0 }) } / Double(kept.count * cells.count)

    // Covariances for a = 1, for b = 1 and without either.
    let onset = law.onset.seconds
    func decades(_ time: Double) -> Double { log10(1 + time / onset) }
    let rows = ages.indices
    let fast = law.value(law.fast, at: at) * 1e12 / 2
    var parts = (
      a: rows.map { j in
        rows.map { k in (decades(ages[j]) + decades(ages[k]) - decades(abs(ages[j] - ages[k]))) / 2 }
      },
      b: rows.map { j in rows.map { k in decades(min(ages[j], ages[k])) } },
      // The fast part was drawn anew at every read, and once for all of them at the write.
      w: rows.map { j in rows.map { k in fast * (j == k ? 2 : 1) } }
    )
    var traps: [(share: Double, covariance: [[Double]])] = []
    let telegraph = profile.readNoise.telegraph
    if telegraph.fraction > 0, telegraph.step > 0 {
      let (first, last) = (log10(telegraph.times.lowerBound.seconds), log10(telegraph.times.upperBound.seconds))
      let times = max(1, Int((last - first).rounded()))
      for time in 0..<times {
        let rate = pow(10, -(first + (Double(time) + 0.5) * (last - first) / Double(times)))
        for size in Self.trapSizes {
          let square = pow(series.level * telegraph.step * exp(telegraph.stepSpread * size), 2)
          traps.append(
            (
              telegraph.fraction / Double(times * Self.trapSizes.count),
              rows.map { j in
                rows.map { k in
                  square / 4
                    * (1 - exp(-rate * ages[j]) - exp(-rate * ages[k]) + exp(-rate * abs(ages[j] - ages[k])))
                }
              }
            ))
        }
      }
    }
    // What lies between the last pulse that counts as a write and the accepted read is unknown: only differences from the first read
    // after it are used, except where many cells lie at the floor, and where they came from says most.
    if shareCut < 0.02 {
      func differences(_ matrix: [[Double]]) -> [[Double]] {
        rows.dropFirst().map { j in
          rows.dropFirst().map { k in matrix[j][k] - matrix[j][0] - matrix[0][k] + matrix[0][0] }
        }
      }
      parts = (differences(parts.a), differences(parts.b), differences(parts.w))
      traps = traps.map { ($0.share, differences($0.covariance)) }
      deviations = deviations.dropFirst().map { row in zip(row, deviations[0]).map { $0 - $1 } }
      // They are few: taken as read.
      isCut = isCut.dropFirst().map { $0.map { _ in false } }
    }

    // Where the data put the middle of the grid: the median square of the last deviation, were it of one kind.
    let last = deviations.count - 1
    let unit = max(median(deviations[last].map { $0 * $0 }) / 0.455, 1e-9)
    let centre = (a: log(unit / parts.a[last][last]), b: log(unit / parts.b[last][last]))
    let grid = -Self.reach...Self.reach
    let gridA = grid.map { centre.a + Self.step * Double($0) }
    let gridB = grid.map { centre.b + Self.step * Double($0) }
    let columns = gridB.count
    let batch = CellBatch(deviations, bounds, isCut)
    var likelihoods = [[Float]](repeating: [], count: gridA.count * columns)
    func covariance(_ i: Int, _ j: Int, _ trap: [[Double]]? = nil) -> [[Double]] {
      let (a, b) = (exp(gridA[i]), exp(gridB[j]))
      return parts.a.indices.map { j in
        parts.a.indices.map { k in a * parts.a[j][k] + b * parts.b[j][k] + parts.w[j][k] + (trap?[j][k] ?? 0) }
      }
    }
    for i in gridA.indices {
      for j in gridB.indices {
        likelihoods[i * columns + j] = batch.logLikelihoods(
          covariance(i, j), offset: log(max(1 - telegraph.fraction, 1e-9)))
      }
    }
    // Cells with a trap are few: every second node of the grid, each for four. Those at the floor are too low for a trap to tell.
    for (share, trap) in traps {
      for i in stride(from: 0, to: gridA.count, by: 2) {
        for j in stride(from: 0, to: columns, by: 2) {
          let more = batch.logLikelihoods(covariance(i, j, trap), offset: log(4 * share), withCut: false)
          let node = i * columns + j
          for cell in cells where more[cell] > likelihoods[node][cell] - 20 {
            let (x, y) = (likelihoods[node][cell], more[cell])
            likelihoods[node][cell] = max(x, y) + log(1 + exp(-abs(x - y)))
          }
        }
      }
    }
    // By cell, relative to the largest.
    var table = [Float](repeating: 0, count: cells.count * likelihoods.count)
    for cell in cells {
      var most = -Float.infinity
      for node in likelihoods.indices { most = max(most, likelihoods[node][cell]) }
      for node in likelihoods.indices { table[cell * likelihoods.count + node] = exp(likelihoods[node][cell] - most) }
    }

    let spreads = (a: law.stationarySpread, b: law.accumulatingSpread)
    var theta = (a: centre.a - 0.7, b: centre.b - 0.7)
    for _ in 0..<60 {
      // Scores of the cells: how far the expected ln a and ln b lie from those of the distribution.
      let middle = (a: theta.a - spreads.a * spreads.a / 2, b: theta.b - spreads.b * spreads.b / 2)
      let (awayA, awayB) = (gridA.map { $0 - middle.a }, gridB.map { $0 - middle.b })
      let priorA = awayA.map { exp(-$0 * $0 / (2 * spreads.a * spreads.a)) }
      let priorB = awayB.map { exp(-$0 * $0 / (2 * spreads.b * spreads.b)) }
      var (gradient, information) = ((a: 0.0, b: 0.0), (aa: 0.0, ab: 0.0, bb: 0.0))
      for cell in cells {
        var (sum, sumA, sumB) = (0.0, 0.0, 0.0)
        for i in gridA.indices {
          var (row, rowB) = (0.0, 0.0)
          let start = (cell * gridA.count + i) * columns
          for j in gridB.indices {
            let weight = Double(table[start + j]) * priorB[j]
            row += weight
            rowB += weight * awayB[j]
          }
          sum += priorA[i] * row
          sumA += priorA[i] * row * awayA[i]
          sumB += priorA[i] * rowB
        }
        guard sum > 0 else { continue }
        let (a, b) = (sumA / sum / (spreads.a * spreads.a), sumB / sum / (spreads.b * spreads.b))
        gradient = (gradient.a + a, gradient.b + b)
        information = (information.aa + a * a, information.ab + a * b, information.bb + b * b)
      }
      let determinant = information.aa * information.bb - information.ab * information.ab
      guard determinant > 0 else { return nil }
      let move = (
        a: (information.bb * gradient.a - information.ab * gradient.b) / determinant,
        b: (information.aa * gradient.b - information.ab * gradient.a) / determinant
      )
      theta = (theta.a + min(max(move.a, -1), 1), theta.b + min(max(move.b, -1), 1))
      let edge = Self.step * Double(Self.reach)
      guard abs(theta.a - centre.a) < edge, abs(theta.b - centre.b) < edge else { return nil }
      guard abs(move.a) < 1e-4, abs(move.b) < 1e-4 else { continue }
      let errors = (
        a: (information.bb / determinant).squareRoot(), b: (information.aa / determinant).squareRoot()
      )
      func estimate(_ logarithm: Double, _ error: Double) -> Estimate {
        let half = 1.959_963_984_540_054 * error
        return (exp(logarithm), exp(logarithm - half), exp(logarithm + half))
      }
      stationary = estimate(theta.a, errors.a)
      accumulating = estimate(theta.b, errors.b)
      return
    }
    return nil
  }
}

/// Deviations of many cells, whose likelihoods under one covariance are wanted at once.
private struct CellBatch {
  private typealias Block = SIMD16<Float>
  private let count: Int
  private let rows: Int
  /// By row, then by block of 16 cells.
  private let blocks: [Block]
  private let width: Int
  private struct Cut {
    var cell: Int
    /// Rows as read first, those at the floor last; with the deviation, or the bound of it.
    var order: [Int]
    var values: [Double]
    var read: Int
  }
  private let cuts: [Cut]

  init(_ deviations: [[Double]], _ bounds: [[Double]], _ isCut: [[Bool]]) {
    rows = deviations.count
    count = deviations[0].count
    width = (count + 15) / 16
    var blocks = [Block](repeating: .zero, count: rows * width)
    for row in deviations.indices {
      for cell in 0..<deviations[row].count {
        blocks[row * width + cell / 16][cell % 16] = Float(deviations[row][cell])
      }
    }
    self.blocks = blocks
    cuts = (0..<count).filter { cell in isCut.contains { $0[cell] } }.map { cell in
      let read = deviations.indices.filter { !isCut[$0][cell] }
      let order = read + deviations.indices.filter { isCut[$0][cell] }
      return Cut(
        cell: cell, order: order, values: order.map { isCut[$0][cell] ? bounds[$0][cell] : deviations[$0][cell] },
        read: read.count)
    }
  }

  /// ln of the density of each cell, without the factors of 2π, plus `offset`.
  ///
  /// - Parameter withCut: false gives cells at the floor −∞.
  func logLikelihoods(_ covariance: [[Double]], offset: Double, withCut: Bool = true) -> [Float] {
    var lower = covariance
    var logDeterminant = 0.0
    for j in 0..<rows {
      for k in 0...j {
        var sum = covariance[j][k]
        for m in 0..<k { sum -= lower[j][m] * lower[k][m] }
        lower[j][k] = j == k ? max(sum, 1e-12).squareRoot() : sum / lower[k][k]
      }
      logDeterminant += log(lower[j][j])
    }
    let factors = lower.map { $0.map(Float.init) }
    let inverses = (0..<rows).map { Float(1 / lower[$0][$0]) }
    var result = [Float](repeating: 0, count: count)
    var solved = [Block](repeating: .zero, count: rows)
    for block in 0..<width {
      var squares = Block.zero
      for j in 0..<rows {
        var rest = blocks[j * width + block]
        let row = factors[j]
        for k in 0..<j { rest -= solved[k] * row[k] }
        rest *= inverses[j]
        solved[j] = rest
        squares += rest * rest
      }
      for lane in 0..<min(16, count - 16 * block) {
        result[16 * block + lane] = Float(offset - logDeterminant) - squares[lane] / 2
      }
    }
    for cut in cuts {
      result[cut.cell] = withCut ? Float(offset + logLikelihood(cut, covariance)) : -.infinity
    }
    return result
  }

  /// Reads one after the other, each given those before; what is known to lie below a bound leaves a normal of the same mean and variance
  /// (Mendell and Elston, Biometrics 30, 41, 1974).
  private func logLikelihood(_ cut: Cut, _ covariance: [[Double]]) -> Double {
    var rest = cut.order.flatMap { j in cut.order.map { k in covariance[j][k] } }
    var centres = [Double](repeating: 0, count: rows)
    var result = 0.0
    for row in 0..<rows {
      let spread = rest[row * rows + row]
      let sigma = max(spread, 1e-12).squareRoot()
      let z = (cut.values[row] - centres[row]) / sigma
      let (shift, left): (Double, Double)
      if row < cut.read {
        result -= z * z / 2 + log(sigma)
        (shift, left) = (sigma * z, 0)
      } else {
        let tail = NormalTail(z, above: false)
        // The densities of the others lack √2π each as well.
        result += tail.logShare + 0.918_938_533_204_673
        (shift, left) = (sigma * tail.mean, tail.variance)
      }
      for j in row + 1..<max(rows, row + 1) {
        let share = rest[j * rows + row] / spread
        centres[j] += share * shift
        for k in row + 1..<rows { rest[j * rows + k] -= share * rest[row * rows + k] * (1 - left) }
      }
    }
    return result
  }
}

/// A standard normal that is known to lie above or below z.
struct NormalTail {
  private let bound: Double
  private let share: Double
  private let hazard: Double
  private let above: Bool

  init(_ z: Double, above: Bool) {
    self.above = above
    bound = above ? z : -z
    share = 0.5 * erfc(bound / 2.0.squareRoot())
    // Far out the hazard is the bound itself and a bit (Gordon, Ann. Math. Stat. 12, 364, 1941).
    hazard =
      share > 1e-12
      ? exp(-bound * bound / 2) / (2 * Double.pi).squareRoot() / share : bound + 1 / max(bound, 1)
  }

  var mean: Double { above ? hazard : -hazard }
  var variance: Double { max(1e-6, 1 - hazard * (hazard - bound)) }
  /// ln of the probability of it.
  var logShare: Double {
    share > 1e-12 ? log(share) : -bound * bound / 2 - log(hazard * (2 * Double.pi).squareRoot())
  }
}
