internal import Foundation

/// One-sided power spectral density of evenly spaced values.
enum Spectrum {
  /// Frequencies 1/(nΔ) … 1/(2Δ) in Hz and the density in (unit of values)²/Hz, mean removed, Hann window, n the largest power of two.
  ///
  /// Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967), with one segment.
  static func density(_ values: [Double], interval: Double) -> (frequencies: [Double], density: [Double]) {
    var count = 1
    while count * 2 <= values.count { count *= 2 }
    guard count >= 8 else { return ([], []) }
    let centre = mean(Array(values.prefix(count)))
    var power = 0.0
    var real = (0..<count).map { index in
      let window = 0.5 - 0.5 * cos(2 * Double.pi * Double(index) / Double(count))
      power += window * window
      return (values[index] - centre) * window
    }
    var imaginary = [Double](repeating: 0, count: count)
    transform(&real, &imaginary)
    let bins = 1...count / 2
    return (
      bins.map { Double($0) / (Double(count) * interval) },
      bins.map { bin in
        let square = real[bin] * real[bin] + imaginary[bin] * imaginary[bin]
        return (bin == count / 2 ? 1 : 2) * square * interval / power
      }
    )
  }

  /// Radix-2 Fourier transform in place (Cooley and Tukey, Math. Comput. 19, 297, 1965).
  private static func transform(_ real: inout [Double], _ imaginary: inout [Double]) {
    let count = real.count
    var target = 0
    for index in 1..<count {
      var bit = count >> 1
      while target & bit != 0 {
        target ^= bit
        bit >>= 1
      }
      target |= bit
      if index < target {
        real.swapAt(index, target)
        imaginary.swapAt(index, target)
      }
    }
    var length = 2
    while length <= count {
      let angle = -2 * Double.pi / Double(length)
      for start in stride(from: 0, to: count, by: length) {
        for offset in 0..<length / 2 {
          let (c, s) = (cos(angle * Double(offset)), sin(angle * Double(offset)))
          let (upper, lower) = (start + offset, start + offset + length / 2)
          let (x, y) = (real[lower] * c - imaginary[lower] * s, real[lower] * s + imaginary[lower] * c)
          real[lower] = real[upper] - x
          imaginary[lower] = imaginary[upper] - y
          real[upper] += x
          imaginary[upper] += y
        }
      }
      length *= 2
    }
  }

  /// Means over frequencies in equal steps of their logarithm, `perDecade` of them a decade.
  static func binned(_ frequencies: [Double], _ density: [Double], perDecade: Int = 6) -> [(Double, Double)] {
    var sums: [Int: (frequency: Double, density: Double, count: Double)] = [:]
    for (frequency, value) in zip(frequencies, density) {
      let bin = Int((log10(frequency) * Double(perDecade)).rounded(.down))
      let sum = sums[bin] ?? (0, 0, 0)
      sums[bin] = (sum.frequency + log10(frequency), sum.density + value, sum.count + 1)
    }
    return sums.keys.sorted().compactMap { sums[$0] }.map { (pow(10, $0.frequency / $0.count), $0.density / $0.count) }
  }
}
