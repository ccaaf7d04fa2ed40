internal import Glibc

/// Sine and cosine as the board's firmware computes them: float32, a 512-entry table and straight lines between its entries.
///
/// This is the scheme of the DSP library that the published firmware image links. Its reduction of the argument rounds to a full turn for
/// arguments just below 0 (−1.87e-7 < x < 0); the line through the first two table entries is then followed 512 steps too far, and the
/// result is about 2π instead of 0. The board shows it as a glitch of one tick.
enum FirmwareMath {
  private static let tableSize = 512
  /// sin(2πi/512), i = 0 … 512.
  private static let table: [Float] = (0...tableSize).map { Float(sin(2 * Double.pi * Double($0) / Double(tableSize))) }
  /// 1/2π, rounded to float32.
  private static let inverseTurn: Float = 0.159154943092

  static func sine(_ x: Float) -> Float {
    interpolate(turns: x * inverseTurn, negative: x < 0)
  }

  static func cosine(_ x: Float) -> Float {
    let turns = x * inverseTurn + 0.25
    return interpolate(turns: turns, negative: turns < 0)
  }

  private static func interpolate(turns: Float, negative: Bool) -> Float {
    var whole = Int32(turns)
    if negative { whole -= 1 }
    let position = Float(tableSize) * (turns - Float(whole))
    // The index is masked, the fraction is not reduced: see above.
    let index = Int(position) & (tableSize - 1)
    let fraction = position - Float(index)
    return (1 - fraction) * table[index] + fraction * table[index + 1]
  }
}
