import RRAMFiles
import Testing

@Suite struct NPZArchiveTests {
  /// Archives written by numpy 2.4 with every element type, big-endian and Fortran order.
  @Test(arguments: ["numpy-stored.npz", "numpy-deflated.npz"])
  func archivesOfNumpyAreRead(name: String) throws {
    let archive = try NPZArchive(file: try Fixture.path(name))
    #expect(archive.keys.count == 16)
    #expect(try archive.floats("f2", shape: [2, 3]) == [1.5, -2, 65504, 0, 0x1p-24, Float(Float16(0.333))])
    #expect(try archive.floats("f4big") == [1.25, -3e10])
    #expect(try archive.array("f8fortran").doubles == (0..<24).map { Double($0) })
    #expect(try archive.array("f8fortran").shape == [2, 3, 4])
    #expect(try archive.integers("i8") == [-128, 127])
    #expect(try archive.integers("i16big") == [-300, 300])
    #expect(try archive.integers("i32") == [-70000])
    #expect(try archive.integers("i64") == [-(1 << 62)])
    #expect(try archive.integers("u8") == [255])
    #expect(try archive.integers("u16") == [65535])
    #expect(try archive.integers("u32") == [0xFFFF_FFFF])
    #expect(try archive.array("u64").doubles == [0x1p64])
    #expect(try archive.integers("flags") == [1, 0])
    #expect(try archive.floats("empty", shape: [0, 2]) == [])
    #expect(try archive.floats("scalar", shape: []) == [2.5])
    #expect(try archive.string("meta") == "{\"µ\": 1}")
    #expect(try archive.string("raw") == "abc")
  }

  static func archive(deflated: Bool) throws -> [UInt8] {
    var writer = NPZWriter(deflated: deflated)
    writer.add(NPYArray((0..<40).map { Float($0) }, shape: [20, 2]), as: "x")
    writer.add("{\"n\": 1}", as: "meta")
    return try writer.bytes()
  }

  private func readAll(_ bytes: [UInt8]) throws {
    let archive = try NPZArchive(bytes: bytes, file: "s.npz")
    for key in archive.keys { _ = try archive.array(key) }
  }

  @Test(arguments: [false, true])
  func whatIsWrittenIsRead(deflated: Bool) throws {
    let archive = try NPZArchive(bytes: try Self.archive(deflated: deflated), file: "s.npz")
    #expect(archive.keys == ["x", "meta"])
    #expect(try archive.floats("x", shape: [20, 2]) == (0..<40).map { Float($0) })
    #expect(try archive.string("meta") == "{\"n\": 1}")
    #expect(try Self.archive(deflated: deflated) == Self.archive(deflated: deflated))
  }

  @Test(arguments: [false, true])
  func everyTruncationIsRefused(deflated: Bool) throws {
    let whole = try Self.archive(deflated: deflated)
    for count in 0..<whole.count {
      #expect(throws: FileError.self) { try readAll(Array(whole[..<count])) }
    }
    try readAll(whole)
  }

  /// A flipped bit is refused or harmless (times, attributes, version fields); it never changes an array.
  @Test(arguments: [false, true])
  func flippedBitsNeverChangeAnArray(deflated: Bool) throws {
    let whole = try Self.archive(deflated: deflated)
    let original = try NPZArchive(bytes: whole, file: "s.npz")
    var refused = 0
    for bit in 0..<whole.count * 8 {
      var bytes = whole
      bytes[bit / 8] ^= 1 << (bit % 8)
      do {
        let archive = try NPZArchive(bytes: bytes, file: "s.npz")
        for key in archive.keys where original.contains(key) {
          #expect(try archive.array(key) == original.array(key), "bit \(bit)")
        }
        for key in archive.keys { _ = try archive.array(key) }
      } catch {
        refused += 1
      }
    }
    #expect(refused > whole.count * 4)
  }

  @Test func wrongChecksumIsNamed() throws {
    var bytes = try Self.archive(deflated: false)
    let position = 30 + "x.npy".utf8.count  // the data follow the first entry's header
    bytes[position + 128 + 5] ^= 1
    let archive = try NPZArchive(bytes: bytes, file: "s.npz")
    let error = #expect(throws: FileError.self) { try archive.array("x") }
    #expect(error?.code == .checksum)
    #expect(error?.description == "cannot read s.npz, entry 'x', byte \(position): the CRC-32 differs")
  }

  @Test func otherFilesAreRefused() {
    let error = #expect(throws: FileError.self) { try NPZArchive(bytes: Array("hello".utf8), file: "s.npz") }
    #expect(error?.description == "cannot read s.npz, byte 5: not an npz file: no zip directory at its end")
    #expect(throws: FileError.self) { try NPZArchive(bytes: [], file: "s.npz") }
    #expect(throws: FileError.self) { try NPZArchive(bytes: NPYArray([1.0]).npy, file: "s.npz") }
  }

  @Test func missingEntriesListWhatIsThere() throws {
    let archive = try NPZArchive(bytes: try Self.archive(deflated: true), file: "s.npz")
    let error = #expect(throws: FileError.self) { try archive.array("y") }
    #expect(error?.description == "cannot read s.npz, entry 'y': not in the archive, which holds x, meta")
    let shape = #expect(throws: FileError.self) { try archive.floats("x", shape: [40]) }
    #expect(shape?.description == "cannot read s.npz, entry 'x': shape [40] expected, found shape [20, 2] of <f4")
    #expect(throws: FileError.self) { try archive.string("x") }
    #expect(throws: FileError.self) { try archive.floats("meta") }
  }

  /// Where the only entry's directory record starts, and the archive.
  private func single(_ npy: [UInt8]? = nil, deflated: Bool) throws -> (bytes: [UInt8], directory: Int) {
    var writer = NPZWriter(deflated: deflated)
    writer.add(NPYArray([Float](repeating: 0, count: 1000)), as: "x")
    let bytes = try writer.bytes()
    let directory = Int(bytes[bytes.count - 6]) | Int(bytes[bytes.count - 5]) << 8
    return (bytes, directory)
  }

  private func patch(_ bytes: inout [UInt8], _ value: UInt32, at offset: Int) {
    for i in 0..<4 { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(i))) }
  }

  @Test func directoryClaimsAreCheckedAgainstTheHeader() throws {
    var (bytes, directory) = try single(deflated: true)
    patch(&bytes, 4_000_000_000, at: directory + 24)
    let large = #expect(throws: FileError.self) { try readAll(bytes) }
    #expect(large?.code == .malformed && large?.entry == "x")
    (bytes, directory) = try single(deflated: true)
    patch(&bytes, 4000, at: directory + 24)
    #expect(throws: FileError.self) { try readAll(bytes) }
    (bytes, directory) = try single(deflated: false)
    patch(&bytes, 4_000_000_000, at: directory + 20)
    patch(&bytes, 4_000_000_000, at: directory + 24)
    let stored = #expect(throws: FileError.self) { try readAll(bytes) }
    #expect(stored?.code == .truncated)
  }

  @Test func zip64IsRefused() throws {
    var (bytes, directory) = try single(deflated: false)
    patch(&bytes, 0xFFFF_FFFF, at: directory + 24)
    let entry = #expect(throws: FileError.self) { try readAll(bytes) }
    #expect(entry?.code == .unsupported && entry?.reason == "a zip64 entry; plain zip is read")
    (bytes, _) = try single(deflated: false)
    patch(&bytes, 0xFFFF_FFFF, at: bytes.count - 6)
    let whole = #expect(throws: FileError.self) { try readAll(bytes) }
    #expect(whole?.reason == "a zip64 archive; plain zip is read")
  }

  @Test func otherMethodsAndEncryptionAreRefused() throws {
    var (bytes, directory) = try single(deflated: false)
    bytes[directory + 10] = 12
    #expect(
      #expect(throws: FileError.self) { try readAll(bytes) }?.reason
        == "compression method 12; stored and deflated are read")
    (bytes, directory) = try single(deflated: false)
    bytes[directory + 8] |= 1
    #expect(#expect(throws: FileError.self) { try readAll(bytes) }?.reason == "the entry is encrypted")
  }

  @Test func namesThatComeTwiceAreRefused() throws {
    var writer = NPZWriter()
    writer.add(NPYArray([1.0]), as: "a")
    writer.add(NPYArray([2.0]), as: "b")
    let bytes = try writer.bytes().map { $0 == UInt8(ascii: "b") ? UInt8(ascii: "a") : $0 }
    let error = #expect(throws: FileError.self) { try NPZArchive(bytes: bytes, file: "s.npz") }
    #expect(error?.reason == "the name comes twice" && error?.entry == "a")
  }
}
