internal import Glibc

/// The random numbers of a sampling run that host and board draw alike.
///
/// One number is the first Box–Muller normal of one Philox4x32-10 block: key = the 64-bit seed (low word first),
/// counter = (sample, tick, channel, tag). With u₀, u₁ = (word + ½)·2⁻³² of words 0 and 1 it is √(−2 ln u₀)·cos(2πu₁),
/// computed in double precision and rounded once to float. It depends on nothing but these words, so neither order
/// nor threads nor the side that draws can change it.
public enum SamplingNoise {
  /// Counter word 3 of the Wiener increments: "WINR".
  public static let wienerTag: UInt32 = 0x5749_4E52
  /// Counter word 3 of the start points: "STAR"; word 1 is 0.
  public static let startTag: UInt32 = 0x5354_4152

  /// ξ of one tick and channel of one sample: standard normal, not clamped.
  public static func wiener(seed: UInt64, sample: UInt32, tick: UInt32, channel: UInt32) -> Float {
    normal(Philox4x32.block(seed: seed, sample, tick, channel, wienerTag))
  }

  /// One coordinate of the start point of one sample: standard normal.
  public static func start(seed: UInt64, sample: UInt32, dimension: UInt32) -> Float {
    normal(Philox4x32.block(seed: seed, sample, 0, dimension, startTag))
  }

  /// Fills `output` with ``wiener(seed:sample:tick:channel:)`` of consecutive samples.
  public static func fillWiener(
    seed: UInt64, firstSample: UInt32, tick: UInt32, channel: UInt32, into output: UnsafeMutableBufferPointer<Float>
  ) {
    for i in 0..<output.count {
      output[i] = wiener(seed: seed, sample: firstSample &+ UInt32(i), tick: tick, channel: channel)
    }
  }

  /// Start points of the samples `firstSample..<firstSample + count`, shape (count, dimensions), row-major.
  public static func start(seed: UInt64, firstSample: UInt32 = 0, count: Int, dimensions: Int = 2) -> [Float] {
    [Float](unsafeUninitializedCapacity: count * dimensions) { output, filled in
      for i in 0..<count {
        for d in 0..<dimensions {
          output[i * dimensions + d] = start(seed: seed, sample: firstSample &+ UInt32(i), dimension: UInt32(d))
        }
      }
      filled = count * dimensions
    }
  }

  private static func normal(_ block: Philox4x32.Block) -> Float {
    let r = (-2 * log(Philox4x32.uniform(block.x))).squareRoot()
    return Float(r * cos(2 * Double.pi * Philox4x32.uniform(block.y)))
  }
}
