/// The projections of points on a direction, sorted; kept as integers that sort like the numbers.
///
/// Sorting is exact: three radix passes over the upper 33 bits, then insertion for what still ties. Where too much ties
/// (points that nearly coincide) a comparison sort finishes.
struct SortedProjection {
  /// Sorted keys; ``value(_:)`` gives the number back.
  private(set) var keys: [UInt64]

  private static let radixBits = 11
  private static let passShifts = [31, 42, 53]

  init(_ points: [Double], _ cosine: Double, _ sine: Double) {
    let n = points.count / 2
    keys = points.withUnsafeBufferPointer { points in
      [UInt64](unsafeUninitializedCapacity: n) { keys, filled in
        for i in 0..<n { keys[i] = Self.key(points[2 * i] * cosine + points[2 * i + 1] * sine) }
        filled = n
      }
    }
    guard n >= 2048 else {
      keys.sort()
      return
    }
    sortByUpperBits()
    if !finishByInsertion() { keys.sort() }
  }

  /// Orders like the number: negative ones have all bits flipped, others the sign bit.
  static func key(_ value: Double) -> UInt64 {
    let bits = (value + 0).bitPattern  // −0 becomes +0
    return bits >> 63 == 1 ? ~bits : bits | 1 << 63
  }

  static func value(_ key: UInt64) -> Double {
    Double(bitPattern: key >> 63 == 1 ? key & ~(1 << 63) : ~key)
  }

  private mutating func sortByUpperBits() {
    let n = keys.count
    let size = 1 << Self.radixBits
    let mask = UInt64(size - 1)
    keys.withUnsafeMutableBufferPointer { keys in
      withUnsafeTemporaryAllocation(of: UInt64.self, capacity: n) { spare in
        withUnsafeTemporaryAllocation(of: Int.self, capacity: size) { starts in
          var (from, to) = (keys, spare)
          for shift in Self.passShifts {
            let shift = UInt64(shift)
            starts.update(repeating: 0)
            for i in 0..<n { starts[Int(from[i] >> shift & mask)] += 1 }
            var sum = 0
            for i in 0..<size {
              let count = starts[i]
              starts[i] = sum
              sum += count
            }
            for i in 0..<n {
              let key = from[i]
              let slot = Int(key >> shift & mask)
              to[starts[slot]] = key
              starts[slot] += 1
            }
            swap(&from, &to)
          }
          // Three passes end in the spare buffer.
          for i in 0..<n { keys[i] = spare[i] }
        }
      }
    }
  }

  /// False if more moves are needed than a comparison sort is worth.
  private mutating func finishByInsertion() -> Bool {
    keys.withUnsafeMutableBufferPointer { keys in
      var budget = 16 * keys.count
      for i in 1..<keys.count {
        let key = keys[i]
        var j = i
        while j > 0, keys[j - 1] > key {
          keys[j] = keys[j - 1]
          j -= 1
        }
        keys[j] = key
        budget -= i - j
        if budget < 0 { return false }
      }
      return true
    }
  }
}
