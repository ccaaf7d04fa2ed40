internal import Foundation
internal import RRAMProfiles
internal import RRAMUnits

/// The law of relaxation at one conductance, from medians over cells.
///
/// Var[G(t₂) − G(t₁)] = a·log10(1 + (t₂ − t₁)/t₀) + b·[log10(1 + t₂/t₀) − log10(1 + t₁/t₀)], a of a cell and b of a write log-normal: a minority of
/// cells carries most of the variance, and the variance of a sample says little. The medians of |ΔG| since the write and between two later
/// reads give a and b, with the spreads of their logarithms and t₀ taken from the base profile.
struct RelaxationLaw {
  /// Median of |ΔG|² for a + b = 1 by the share of b, since the write and between the later reads.
  private let squares: [(share: Double, written: Double, later: Double)]

  /// - Parameters:
  ///   - law: of the base profile.
  ///   - ages: seconds since the write: of the first of the two later reads, and of the last read.
  init(_ law: ChipProfile.Relaxation.Components, ages: (first: Double, last: Double)) {
    let onset = law.onset.seconds
    var stream = PhiloxStream(seed: 7, stream: (0x5245_4C58, 0, 0))
    let (s, r) = (law.stationarySpread, law.accumulatingSpread)
    let draws = (0..<4000).map { _ in
      let z = stream.normal()
      return (square: z * z, a: exp(s * stream.normal() - s * s / 2), b: exp(r * stream.normal() - r * r / 2))
    }
    func middle(_ share: Double, _ stationary: Double, _ accumulating: Double) -> Double {
      median(draws.map { $0.square * ((1 - share) * $0.a * stationary + share * $0.b * accumulating) })
    }
    let all = log10(1 + ages.last / onset)
    let apart = log10(1 + (ages.last - ages.first) / onset)
    let gained = all - log10(1 + ages.first / onset)
    squares = (0...20).map { step in
      let share = Double(step) / 20
      return (share, middle(share, all, all), middle(share, apart, gained))
    }
  }

  /// a and b from the medians of |ΔG| since the write and between the later reads, in the square of their unit.
  func parts(written: Double, later: Double) -> (stationary: Double, accumulating: Double) {
    let ratio = later * later / (written * written)
    // The share of b lowers the later change against the whole one.
    var share = 0.0
    for (low, high) in zip(squares, squares.dropFirst()) {
      let (from, to) = (low.later / low.written, high.later / high.written)
      if ratio >= from { break }
      share = ratio <= to ? high.share : low.share + (from - ratio) / (from - to) * (high.share - low.share)
    }
    let place = min(19, Int(share * 20))
    let rest = share * 20 - Double(place)
    let unit = squares[place].written + rest * (squares[place + 1].written - squares[place].written)
    let total = written * written / unit
    return ((1 - share) * total, share * total)
  }
}
