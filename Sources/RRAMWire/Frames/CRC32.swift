internal import CZlib

/// The CRC-32 of zlib, gzip and Ethernet: polynomial 0x04C11DB7 reflected, start and final exclusive-or 0xFFFFFFFF.
///
/// Check value: the CRC-32 of the nine bytes "123456789" is 0xCBF43926.
public enum CRC32 {
  public static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    guard let start = bytes.baseAddress else { return 0 }
    return UInt32(truncatingIfNeeded: crc32_z(0, start.assumingMemoryBound(to: UInt8.self), bytes.count))
  }

  public static func checksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0) }
  }
}
