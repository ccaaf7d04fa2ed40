internal import Glibc

/// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
///
/// A block is a pure function of key and counter, so draws depend neither on order nor on threads.
public enum Philox4x32 {
  public typealias Block = SIMD4<UInt32>

  /// Ten rounds of Philox4x32 on `counter` under `key`.
  @inlinable
  public static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> Block {
    // Plain variables: lanes of a SIMD vector are slow to take apart.
    var (c0, c1, c2, c3) = (counter.x, counter.y, counter.z, counter.w)
    var (k0, k1) = (key.x, key.y)
    for _ in 0..<10 {
      let p0 = UInt64(0xD251_1F53) &* UInt64(c0)
      let p1 = UInt64(0xCD9E_8D57) &* UInt64(c2)
      (c0, c1, c2, c3) = (
        UInt32(truncatingIfNeeded: p1 >> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: p1),
        UInt32(truncatingIfNeeded: p0 >> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: p0)
      )
      // Weyl constants: golden ratio and √3 − 1.
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return SIMD4(c0, c1, c2, c3)
  }

  /// The same with a 64-bit seed (low word first) and four counter words.
  @inlinable
  public static func block(seed: UInt64, _ c0: UInt32, _ c1: UInt32, _ c2: UInt32, _ c3: UInt32) -> Block {
    block(
      counter: SIMD4(c0, c1, c2, c3),
      key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
  }

  /// A uniform number in (0, 1) from 32 random bits: (u + ½)·2⁻³².
  @inlinable
  public static func uniform(_ word: UInt32) -> Double { (Double(word) + 0.5) * 0x1p-32 }

  /// Two independent standard normal numbers from one block, by Box–Muller on words 0 and 1.
  public static func normals(_ block: Block) -> (Double, Double) {
    let r = (-2 * log(uniform(block.x))).squareRoot()
    let angle = 2 * Double.pi * uniform(block.y)
    return (r * cos(angle), r * sin(angle))
  }
}

/// A sequential generator over Philox blocks: a seed and a 96-bit stream number, one counter word that runs.
///
/// Two streams with different numbers are independent; the same stream gives the same numbers on every run.
public struct PhiloxStream: RandomNumberGenerator, Sendable {
  private let key: SIMD2<UInt32>
  private var counter: SIMD4<UInt32>
  private var block = SIMD4<UInt32>()
  private var used = 4
  private var spareNormal: Double?

  /// - Parameters:
  ///   - seed: the run's or the chip's seed.
  ///   - stream: up to three words that name the stream, for example purpose, macro and cell.
  ///   - position: the first counter value; draws continue from there.
  public init(seed: UInt64, stream: (UInt32, UInt32, UInt32), position: UInt32 = 0) {
    key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    counter = SIMD4(position, stream.0, stream.1, stream.2)
  }

  /// The counter of the next unused block: pass it as `position` to continue later from a fresh block.
  public var position: UInt32 { counter.x }

  public mutating func nextWord() -> UInt32 {
    if used == 4 {
      block = Philox4x32.block(counter: counter, key: key)
      counter.x &+= 1
      used = 0
    }
    defer { used += 1 }
    return block[used]
  }

  public mutating func next() -> UInt64 {
    let low = UInt64(nextWord())
    return low | UInt64(nextWord()) << 32
  }

  /// A uniform number in (0, 1).
  public mutating func uniform() -> Double { Philox4x32.uniform(nextWord()) }

  /// A standard normal number, by Box–Muller; the second of a pair is kept for the next call.
  public mutating func normal() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    let r = (-2 * log(uniform())).squareRoot()
    let angle = 2 * Double.pi * uniform()
    spareNormal = r * sin(angle)
    return r * cos(angle)
  }
}
