import RRAMFiles
import RRAMUnits

@testable import RRAMWire

// Inputs that are wrong in one thing each, so that fuzzing sets out behind every check and not in front of it.

private func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// `bytes` with others from `at` on, counted from the end where it is negative.
private func patched(_ bytes: [UInt8], _ at: Int, _ others: [UInt8]) -> [UInt8] {
  var bytes = bytes
  let start = at < 0 ? bytes.count + at : at
  bytes.replaceSubrange(start..<start + others.count, with: others)
  return bytes
}

/// A stored archive, damaged: the record at its end is 22 bytes long, the directory's first record begins where it says.
func badArchives(_ good: [UInt8]) -> [(String, [UInt8])] {
  let directory = Int(good[good.count - 6]) | Int(good[good.count - 5]) << 8
  let name = directory + 46
  let nameLength = Int(good[directory + 28])
  let first = Array(good[directory..<name + nameLength])
  // The same record twice in a directory of one record more.
  let twice =
    Array(good[..<directory]) + first + first
    + patched(
      Array(good.suffix(22)), 8,
      littleEndian(UInt16(2)) + littleEndian(UInt16(2)) + littleEndian(UInt32(2 * first.count)))
  return [
    ("zip64", patched(good, -12, [0xFF, 0xFF])), ("parts", patched(good, -18, [1, 0])),
    ("directory-size", patched(good, -10, [0xFF])), ("no-record", patched(good, directory, [0])),
    ("name", patched(good, name, [0xFF])), ("zip64-entry", patched(good, directory + 20, [0xFF, 0xFF, 0xFF, 0xFF])),
    ("twice", twice), ("method", patched(good, directory + 10, [99, 0])),
    ("encrypted", patched(good, directory + 8, [1, 0])),
    ("no-header", patched(good, Int(good[directory + 42]), [0])),
    ("long-record", patched(good, directory + 28, [0xFF, 0x7F])), ("stored-size", patched(good, directory + 24, [1])),
    ("into-directory", patched(good, directory + 20, [0xFF, 0xFF, 0, 0])), ("cut", Array(good.dropLast(22))),
    ("other-name", patched(good, 30, [0x7A])), ("checksum", patched(good, directory + 16, [1, 2, 3, 4])),
    ("none", [1, 2, 3]),
  ]
}

/// Arrays whose headers numpy could write but rarely does, and some that it never would.
func arrayHeaders() -> [(String, [UInt8])] {
  func file(_ header: String, _ data: Int, latin: Bool = false) -> [UInt8] {
    let text = (latin ? header.unicodeScalars.map { UInt8($0.value) } : Array(header.utf8)) + [0x0A]
    return [0x93] + Array("NUMPY".utf8) + [1, 0] + littleEndian(UInt16(text.count)) + text
      + (0..<data).map { UInt8($0 & 0xFF) }
  }
  return [
    ("big-endian", file("{'descr': '>f8', 'fortran_order': False, 'shape': (3,), }", 24)),
    ("fortran", file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24)),
    ("unicode", file("{'descr': '>U2', 'fortran_order': False, 'shape': (), }", 8)),
    ("short", file("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", 8)),
    ("no-comma", file("{'descr': '<f8', 'fortran_order': False, 'shape': (1)}", 8)),
    ("structured", file("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", 8)),
    ("no-type", file("{'fortran_order': False, 'shape': (1,), }", 8)),
    ("no-order", file("{'descr': '<f8', 'shape': (1,), }", 8)),
    ("no-shape", file("{'descr': '<f8', 'fortran_order': False, }", 8)),
    ("unquoted", file("{descr: '<f8'}", 8)), ("open", file("{'descr", 8)),
    ("latin", file("{'d\u{E9}': '<f8'}", 8, latin: true)),
    ("twice", file("{'descr': '<f8', 'descr': '<f8'}", 8)), ("key", file("{'other': '<f8'}", 8)),
    ("order", file("{'fortran_order': Perhaps}", 8)), ("negative", file("{'shape': (-1,)}", 8)),
    ("huge", file("{'shape': (99999999999999999999,)}", 8)),
    ("python2", file("{'descr': '<f8', 'fortran_order': False, 'shape': (1L,)}", 8)),
    ("dimensions", file("{'shape': (\(String(repeating: "1,", count: 40)))}", 8)),
    ("no-number", file("{'shape': (a,)}", 8)),
    ("after", file("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x", 8)),
    ("type", file("{'descr': '<q9'}", 8)),
    ("product", file("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 8)),
    ("version", [0x93] + Array("NUMPY".utf8) + [9, 0, 0, 0]), ("magic", Array("no array at all".utf8)),
  ]
}

func badTensors() -> [(String, [UInt8])] {
  func file(_ header: String, _ data: Int) -> [UInt8] {
    littleEndian(UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 1, count: data)
  }
  return [
    ("empty", []), ("huge", littleEndian(UInt64(1) << 40)), ("cut", littleEndian(UInt64(100)) + [0x7B]),
    ("text", file("[1]", 0)), ("json", file("{", 0)),
    ("null", file(#"{"w":{"dtype":null,"shape":[1],"data_offsets":[0,4]}}"#, 4)),
    ("no-shape", file(#"{"w":{"dtype":"F32","data_offsets":[0,4]}}"#, 4)),
    ("type", file(#"{"w":{"dtype":"Q5","shape":[1],"data_offsets":[0,4]}}"#, 4)),
    ("mismatch", file(#"{"w":{"dtype":4,"shape":[1],"data_offsets":[0,4]}}"#, 4)),
    ("range", file(#"{"w":{"dtype":"F32","shape":[1e40],"data_offsets":[0,4]}}"#, 4)),
    ("offsets", file(#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, 4)),
    ("outside", file(#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, 4)),
    ("shape", file(#"{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4)),
    ("size", file(#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4)),
    (
      "overlap",
      file(
        #"{"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        4)
    ),
    ("gap", file(#"{"v":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8)),
    ("behind", file(#"{"v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 8)),
    (
      "twice",
      file(
        #"{"v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1
      )
    ),
    ("integers", file(#"{"v":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, 8)),
    ("doubles", file(#"{"v":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#, 8)),
    (
      "halves",
      file(
        #"{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]}}"#,
        4)
    ),
  ]
}

func badFrames() throws -> [(String, [UInt8])] {
  let encoder = FrameEncoder(maximumPayloadBytes: 1 << 16)
  let good = try encoder.encode(
    Frame(sequence: 1, payload: try RequestMessage(operationID: 0, body: Heartbeat().body).payload()))
  var version = patched(good, 2, [9])
  version = patched(version, 12, littleEndian(version[..<12].withUnsafeBytes { CRC32.checksum($0) }))
  return [
    ("version", version), ("payload", patched(good, -1, [good[good.count - 1] ^ 1])),
    ("noise", [1, 2, 3, good[0], 7] + good),
    ("long", try encoder.encode(Frame(sequence: 2, payload: [UInt8](repeating: 0, count: 2000))) + good),
    ("cut", Array(good.dropLast()) + good),
  ] + (0..<16).map { ("header-\($0)", patched(good, $0, [good[$0] ^ 0x55])) }
}
