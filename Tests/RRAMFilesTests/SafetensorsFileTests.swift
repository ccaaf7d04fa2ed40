import RRAMFiles
import Testing

@Suite struct SafetensorsFileTests {
  static func bytes(_ header: String, data: [UInt8] = []) -> [UInt8] {
    let length = UInt64(header.utf8.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + Array(header.utf8) + data
  }

  private func failure(_ bytes: [UInt8]) -> FileError? {
    #expect(throws: FileError.self) { try SafetensorsFile(bytes: bytes, file: "m.safetensors") }
  }

  @Test(arguments: [
    (SafetensorsFile.ElementType.float16, 0x1p-11), (.bfloat16, 0x1p-8), (.float32, 0x1p-24), (.float64, 0.0),
  ])
  func valuesRoundTrip(type: SafetensorsFile.ElementType, precision: Double) throws {
    let values = [0.1, -1.0 / 3, 1, 0, 250.7, .infinity]
    var writer = SafetensorsWriter(metadata: ["rram.data": "ring", "µ": "ö/\"\n"])
    writer.add(values, shape: [2, 3], as: "w", type: type)
    writer.add([Float(3)], shape: [], as: "a")
    let file = try SafetensorsFile(bytes: try writer.bytes(), file: "m")
    #expect(file.keys == ["a", "w"] && file.metadata == ["rram.data": "ring", "µ": "ö/\"\n"])
    #expect(file.tensors["w"]?.shape == [2, 3] && file.tensors["w"]?.elementType == type)
    for (found, value) in zip(try file.doubles("w"), values) {
      #expect(found == value || abs(found - value) <= precision * abs(value))
    }
    #expect(try file.floats("w") == file.doubles("w").map { Float($0) })
    #expect(try file.doubles("a") == [3])
  }

  /// Bits of bfloat16 by hand: 1 + 2⁻⁸ is a tie and goes to the even neighbour 1, 1 + 3·2⁻⁸ to 1 + 2⁻⁶.
  @Test func bfloat16RoundsTiesToEven() throws {
    var writer = SafetensorsWriter()
    writer.add([1 + 0x1p-8, 1 + 0x3p-8, 1 + 0x1p-8 + 0x1p-20, .nan], shape: [4], as: "w", type: .bfloat16)
    let found = try SafetensorsFile(bytes: try writer.bytes(), file: "m").doubles("w")
    #expect(Array(found[..<3]) == [1, 1 + 0x1p-6, 1 + 0x1p-7] && found[3].isNaN)
  }

  @Test func firstNonFiniteValueIsFound() {
    #expect([1, 2, Float.nan, .infinity].firstNonFinite?.index == 2)
    #expect([1.0, -.infinity].firstNonFinite?.value == -.infinity)
    #expect([1.0, 2].firstNonFinite == nil)
  }

  @Test func everyTruncationIsRefused() throws {
    var writer = SafetensorsWriter(metadata: ["a": "b"])
    writer.add([Float(1), 2, 3], shape: [3], as: "w")
    let whole = try writer.bytes()
    for count in 0..<whole.count { #expect(failure(Array(whole[..<count]))?.file == "m.safetensors") }
    #expect(failure(whole + [0])?.reason == "1 bytes belong to no tensor")
  }

  @Test(arguments: [
    (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, "takes 8 bytes, its offsets hold 4"),
    (#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, "outside the 4 bytes"),
    (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, "outside the 4 bytes"),
    (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, "outside the 4 bytes"),
    (#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, "3 data offsets"),
    (#"{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, "shape [-1]"),
    (#"{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#, "shape [4611686018427387904, 4]"),
    (#"{"w":{"dtype":"F32","shape":[2500000000],"data_offsets":[0,10000000000]}}"#, "outside the 4 bytes"),
    (#"{"w":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#, "element type F31"),
    (#"{"w":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#, "2 bytes belong to no tensor"),
    (#"{"w":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}"#, "leaves a gap"),
    (
      #"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#,
      "overlaps"
    ),
    (
      #"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      "comes twice"
    ),
    (#"{"w":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}"#, "comes twice"),
    (#"{"w":{"dtype":"F32","data_offsets":[0,4]}}"#, "w has no shape"),
    (#"{"w":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}"#, "w.shape is null"),
    (#"{"w":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}"#, "is no Int"),
    (#"{"__metadata__":{"a":1},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "is no String"),
    (#"{"w":"#, "not JSON"),
    (#"[1]"#, "no JSON object"),
    ("", "no JSON object"),
    ("{\u{0}}", "no JSON object"),
  ])
  func brokenHeadersAreNamed(header: String, reason: String) {
    let error = failure(Self.bytes(header, data: [0, 0, 0, 0]))
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "no error")")
  }

  @Test func deepNestingDoesNotExhaustTheStack() {
    let header = "{\"w\":" + String(repeating: "[", count: 100_000)
    #expect(failure(Self.bytes(header))?.code == .malformed)
  }

  @Test func oversizedHeadersCostNothing() {
    let claim: [UInt8] = [0, 0xE4, 0x0B, 0x54, 2, 0, 0, 0]  // 10 GB
    #expect(
      failure(claim + [0x7B, 0x7D])?.description
        == "cannot read m.safetensors, byte 0: header of 10000000000 bytes, the limit is 16777216")
    #expect(failure([UInt8](repeating: 0xFF, count: 8) + [0x7B])?.code == .tooLarge)
  }

  @Test func integersAreNoWeights() throws {
    let file = try SafetensorsFile(
      bytes: Self.bytes(#"{"n":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#, data: [1, 0, 0, 0]), file: "m")
    let error = #expect(throws: FileError.self) { try file.floats("n") }
    #expect(error?.code == .typeMismatch)
    let absent = #expect(throws: FileError.self) { try file.floats("w") }
    #expect(absent?.description == "cannot read m, entry 'w': no such tensor; there are n")
  }
}
