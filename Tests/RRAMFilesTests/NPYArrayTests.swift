import RRAMFiles
import Testing

@Suite struct NPYArrayTests {
  /// An npy file of version 1.0 with any header text.
  static func npy(_ header: String, data: [UInt8] = [], version: [UInt8] = [1, 0]) -> [UInt8] {
    let text = Array(header.utf8) + [0x0A]
    return [0x93] + Array("NUMPY".utf8) + version + [UInt8(text.count & 255), UInt8(text.count >> 8)] + text + data
  }

  private func failure(_ bytes: [UInt8]) -> FileError? {
    #expect(throws: FileError.self) { try NPYArray(npy: bytes, file: "a.npy") }
  }

  @Test func valuesRoundTrip() throws {
    let floats = try NPYArray(npy: NPYArray([Float(1.5), -0, .infinity, 4], shape: [2, 2]).npy, file: "a")
    #expect(floats.shape == [2, 2] && floats.floats == [1.5, -0, .infinity, 4] && floats.elementType == .float32)
    let doubles = try NPYArray(npy: NPYArray([0.1, 1e-300]).npy, file: "a")
    #expect(doubles.doubles == [0.1, 1e-300] && doubles.shape == [2])
    #expect(try NPYArray(npy: NPYArray([-5, 7]).npy, file: "a").integers == [-5, 7])
    #expect(try NPYArray(npy: NPYArray([Int32(-5)]).npy, file: "a").elementType == .int32)
    #expect(try NPYArray(npy: NPYArray([UInt8(200), 3]).npy, file: "a").floats == [200, 3])
    #expect(try NPYArray(npy: NPYArray([true, false]).npy, file: "a").integers == [1, 0])
    #expect(try NPYArray(npy: NPYArray("µ {\"x\": 1} 😀").npy, file: "a").string == "µ {\"x\": 1} 😀")
    #expect(try NPYArray(npy: NPYArray("").npy, file: "a").string == "")
    #expect(try NPYArray(npy: NPYArray([Float](), shape: [0, 2]).npy, file: "a").shape == [0, 2])
  }

  @Test func filesRoundTrip() throws {
    try withTemporaryDirectory { directory in
      let array = NPYArray([1.0, 2, 3])
      try array.write(to: directory + "/a.npy")
      #expect(try NPYArray(file: directory + "/a.npy") == array)
    }
  }

  @Test func dataAreAlignedTo64Bytes() {
    for n in 0..<40 {
      let array = NPYArray([Float](repeating: 0, count: n), shape: [1, n, 1])
      #expect((array.npy.count - 4 * n) % 64 == 0)
      #expect(array.npy[array.npy.count - 4 * n - 1] == 0x0A)
    }
  }

  @Test func wrongKindsGiveNil() {
    #expect(NPYArray("text").floats == nil && NPYArray("text").integers == nil)
    #expect(NPYArray([0.5]).integers == nil && NPYArray([Double.nan]).integers == nil)
    #expect(NPYArray([UInt64.max]).integers == nil && NPYArray([UInt64.max]).doubles == [0x1p64])
    #expect(NPYArray([1.0]).string == nil)
  }

  @Test func headersOfVersion2And3AreRead() throws {
    for major: UInt8 in [2, 3] {
      let text = "{'shape': (2,), \"descr\": '<i2', 'fortran_order': False}"
      var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [major, 0, UInt8(text.utf8.count), 0, 0, 0]
      bytes += Array(text.utf8) + [1, 0, 255, 255]
      #expect(try NPYArray(npy: bytes, file: "a").integers == [1, -1])
    }
  }

  @Test func everyTruncationIsRefused() throws {
    let whole = NPYArray([Float(1), 2, 3], shape: [3, 1]).npy
    for count in 0..<whole.count {
      let error = failure(Array(whole[..<count]))
      #expect(error?.code == .truncated || error?.code == .malformed)
    }
    #expect(throws: Never.self) { try NPYArray(npy: whole, file: "a") }
  }

  @Test(arguments: [
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "malformed", "a negative dimension"),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (1250000000,)}", "tooLarge", "10000000000 bytes"),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "tooLarge", "overflows"),
    ("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", "tooLarge", "beyond 64 bits"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (60000000,)}", "truncated", "needs 240000000 bytes"),
    ("{'descr': '|O', 'fortran_order': False, 'shape': ()}", "unsupported", "element type '|O'"),
    ("{'descr': '<f16', 'fortran_order': False, 'shape': ()}", "unsupported", "element type '<f16'"),
    ("{'descr': '<U99999999999', 'fortran_order': False, 'shape': ()}", "unsupported", "element type"),
    ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': ()}", "unsupported", "structured"),
    ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "malformed", "comes twice"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'more': 1}", "malformed", "unknown key 'more'"),
    ("{'descr': '<f4', 'shape': ()}", "malformed", "no fortran_order"),
    ("{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}", "malformed", "True or False"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", "malformed", "after the closing brace"),
    ("[]", "malformed", "'{' expected"),
    ("", "malformed", "'{' expected"),
    ("{'descr", "malformed", "does not end"),
  ])
  func brokenHeadersAreNamed(header: String, code: String, reason: String) {
    let error = failure(Self.npy(header, data: [0, 0, 0, 0]))
    #expect(error?.code.rawValue == code)
    #expect(error?.reason.contains(reason) == true, "\(error?.description ?? "no error")")
    #expect(error?.file == "a.npy" && error?.offset != nil)
  }

  @Test func tooManyDimensionsAreRefused() {
    let shape = "(" + String(repeating: "1, ", count: 70) + ")"
    #expect(failure(Self.npy("{'descr': '<f4', 'fortran_order': False, 'shape': \(shape)}"))?.code == .malformed)
  }

  @Test func bytesAfterTheDataAreRefused() {
    #expect(failure(NPYArray([Float(1)]).npy + [0])?.reason == "1 bytes after the array")
  }

  @Test func otherFilesAreRefused() {
    #expect(failure(Array("not an array at all".utf8))?.reason == "not an npy array: the magic bytes are missing")
    #expect(
      failure(Self.npy("", version: [9, 1]))?.description
        == "cannot read a.npy, byte 6: npy version 9.1; 1.0, 2.0 and 3.0 are read")
  }
}
