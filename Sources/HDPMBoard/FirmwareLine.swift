/// The board's receiver of command lines, byte for byte as its interrupt routine keeps it.
///
/// A line ends in CR LF. The buffer is never cleared: a short line is completed by what the line before left there, and an empty line
/// runs the line before again.
struct FirmwareLine: Sendable {
  /// Bytes the buffer holds; with one more without CR, counting starts again at 0.
  static let capacity = 200

  private(set) var buffer = [UInt8](repeating: 0, count: FirmwareLine.capacity)
  private var count = 0
  private var carriageReturn = false
  /// A finished line waits; every byte that comes meanwhile is lost.
  private(set) var isComplete = false

  /// Takes one byte from the wire.
  mutating func receive(_ byte: UInt8) {
    if isComplete { return }
    if carriageReturn {
      if byte == UInt8(ascii: "\n") {
        isComplete = true
      } else {
        // Anything else after CR drops the line, this byte included; what was stored stays stored.
        carriageReturn = false
        count = 0
      }
    } else if byte == UInt8(ascii: "\r") {
      carriageReturn = true
    } else {
      buffer[count] = byte
      count += 1
      if count == Self.capacity { count = 0 }
    }
  }

  /// The main loop is done with the line.
  mutating func release() {
    isComplete = false
    carriageReturn = false
    count = 0
  }
}
