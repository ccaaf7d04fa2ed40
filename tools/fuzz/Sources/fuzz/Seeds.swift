import Foundation
import RRAMCharacterization
import RRAMFiles
import RRAMProfiles
import RRAMUnits
import RRAMWire

/// One small, good input of each kind, from which libFuzzer sets out: written by `--seeds`, committed under corpus/.
func writeSeeds(to folder: URL) throws {
  func write(_ target: String, _ name: String, _ bytes: [UInt8]) throws {
    let folder = folder.appending(path: target)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data(bytes).write(to: folder.appending(path: name))
  }
  let block = CellBlock(macro: 0, shape: MacroShape(rows: 3, columns: 8))
  let cells = CellSelection(block: block)
  let bias = ReadBias(wordLine: Volts(1.1), bitLine: Volts(0.2), averages: 1)
  let programming = try ChipProfile.named("cmo-hfox").programming
  func ramp(_ bias: ChipProfile.Programming.Bias) -> PulseRamp {
    PulseRamp(wordLine: bias.wordLine, start: bias.start, step: bias.step, stop: bias.stop, width: bias.width)
  }
  let requests: [(String, RequestBody)] = [
    ("hello", Hello(sessionID: 7, client: "fuzz").body), ("description", GetDescription().body),
    ("limits", GetLimits().body), ("safe", Safe().body), ("abort", Abort(operationID: 0).body),
    ("counters", GetCounters().body), ("operation", GetOperation(operationID: 5).body),
    ("label", GetLabel(macro: 0).body), ("set-label", SetLabel(macro: 0, label: Array(0..<16)).body),
    ("advance", AdvanceTime(duration: .seconds(1)).body),
    ("read", ReadCells(cells: cells, bias: bias).body),
    (
      "form",
      Form(cells: cells, ramp: ramp(programming.forming), read: bias, stopConductance: .microsiemens(5), credit: 64)
        .body
    ),
    (
      "write",
      WriteVerify(
        cells: cells, targets: [Float](repeating: 40e-6, count: 24), tolerance: .microsiemens(1),
        set: ramp(programming.set), reset: ramp(programming.reset), verify: bias, confirmReads: 0, maximumPulses: 60,
        maximumReversals: 6, credit: 64
      ).body
    ),
    (
      "pulse",
      Pulse(
        cells: cells, kind: .set, wordLine: Volts(2), bitLine: Volts(1.2), sourceLine: .zero, width: .microseconds(1),
        count: 2
      ).body
    ),
    ("product", MatrixProduct(block: block, inputs: [0.1, -0.1, 0.2], wordLine: Volts(1.1), averages: 1).body),
    ("dac", SetDAC(kind: .bitLine, channel: 0, code: DACCode(rawValue: 100)).body),
    ("adc", ReadADC(kind: .temperature, channel: 0).body),
    (
      "loop",
      ConfigureLoop(layers: [
        LoopLayer(block: block, columnGain: [9, 9, 9, 9]),
        LoopLayer(block: CellBlock(macro: 1, shape: MacroShape(rows: 5, columns: 4)), columnGain: [9, 9]),
      ]).body
    ),
    (
      "schedule",
      UploadSchedule(
        scheduleID: 1, ticks: 4, tick: .microseconds(5), firstTick: 0, count: 4,
        codes: [UInt16](repeating: 40000, count: 4 * 18), noise: []
      ).body
    ),
    (
      "run",
      RunLoop(scheduleID: 1, samples: 2, preset: [30000, 40000, 30000, 20000], seed: 3, firstSample: 0, credit: 9).body
    ),
  ]
  let encoder = FrameEncoder(maximumPayloadBytes: 1 << 16)
  var session: [UInt8] = []
  for (index, (name, body)) in requests.enumerated() {
    let payload = try RequestMessage(operationID: body.needsOperationID ? UInt64(index + 1) : 0, body: body).payload()
    try write("messages", "request-" + name, [0] + payload)
    try write(
      "frames", "frame-" + name, [3] + (try encoder.encode(Frame(sequence: UInt32(index + 1), payload: payload))))
    let record = [UInt8(payload.count & 0xFF), UInt8(payload.count >> 8)] + payload
    try write("firmware", "one-" + name, record)
    if ["form", "write", "loop", "schedule", "run"].contains(name) { session += record }
  }
  try write("firmware", "session", session)
  for name in ChipProfile.shippedNames.prefix(2) {
    try write("yaml", "chip-" + name, [0] + Array(try ChipProfile.named(name).document.utf8))
  }
  for name in ["parallel", "multiplexed"] {
    try write("yaml", "board-" + name, [1] + Array(try BoardDescription.named(name).document.utf8))
  }
  try write("yaml", "plan", [3] + Array(try CharacterizationPlan.load(nameOrPath: "quick").document.utf8))
  var archive = NPZWriter()
  archive.add(NPYArray([Float(1), 2, 3]), as: "x")
  archive.add("text", as: "meta")
  let scratch = folder.appending(path: "scratch.npz").path
  try archive.write(to: scratch)
  try write("npz", "stored", [1] + Array(try Data(contentsOf: URL(filePath: scratch))))
  var deflated = NPZWriter(deflated: true)
  deflated.add(NPYArray([Double](repeating: 1, count: 64)), as: "y")
  try deflated.write(to: scratch)
  try write("npz", "deflated", [1] + Array(try Data(contentsOf: URL(filePath: scratch))))
  try NPYArray([UInt32(1), 2]).write(to: scratch)
  try write("npz", "npy", [0] + Array(try Data(contentsOf: URL(filePath: scratch))))
  var tensors = SafetensorsWriter(metadata: ["rram.sde": "vp"])
  tensors.add([1, 2, 3, 4], shape: [2, 2], as: "w")
  try tensors.write(to: scratch)
  try write("safetensors", "small", Array(try Data(contentsOf: URL(filePath: scratch))))
  // Cells that were measured elsewhere: with and without targets and times, in every unit, and with one thing wrong each.
  var die = NPZWriter()
  for (name, values) in [("G", [1e-5, 2e-5]), ("G_program", [1.1e-5, 1.9e-5]), ("num_pulses", [3, 4])] {
    die.add(NPYArray(values, shape: [1, 2]), as: name)
  }
  die.add(NPYArray([true, false], shape: [1, 2]), as: "program_sucess")
  die.add(NPYArray([Int64(7)]), as: "rows")
  die.add(NPYArray([Int64(0), 3]), as: "cols")
  die.add(NPYArray([1e-6]), as: "g_tol")
  try die.write(to: scratch)
  try write("cells", "archive", Array(try Data(contentsOf: URL(filePath: scratch))))
  var reads = NPZWriter()
  for name in ["row", "column", "reads"] { reads.add(NPYArray([Int64(1), 2]), as: name) }
  reads.add(NPYArray([1e-5, 2e-5, 1.1e-5, 2.1e-5, 1.2e-5, 2.2e-5], shape: [3, 2]), as: "conductance_S")
  reads.add(NPYArray([0.0, 1, 10]), as: "time_s")
  try reads.write(to: scratch)
  try write("cells", "archive-times", Array(try Data(contentsOf: URL(filePath: scratch))))
  var empty = NPZWriter()
  empty.add(NPYArray([Double](), shape: [1 << 40, 0]), as: "verify_S")
  try empty.write(to: scratch)
  try write("cells", "archive-empty", Array(try Data(contentsOf: URL(filePath: scratch))))
  for (name, text) in [
    (
      "cells",
      "macro,row,column,target_uS,verify_kOhm,pulses,reads,accepted\n0,0,1,10,100,3,4,true\n0,2,0,20,50,1,2,0\n"
    ),
    ("times", "row,column,target_uS,conductance_uS,time_min\n0,1,10,11,1\n0,1,10,12,10\n0,1,10,13,99\n"),
    ("noise", "row,column,resistance_kOhm,time_s\n" + (1...16).map { "1,1,\(90 + $0 % 3),\($0)\n" }.joined()),
    ("unclosed", "row,column,verify_uS\n1,1,\"5\n"),
    ("quoted", "\"row\",\"column\",verify_S\r\n\"1\",2,1e-5\r\n"), ("unit", "row,column,verify_V\n1,1,1\n"),
    ("nan", "row,column,verify_S\n1,1,nan\n"), ("twice", "row,column,conductance_uS\n1,1,5\n1,1,6\n"),
    ("macros", "macro,row,column,verify_uS\n0,1,1,5\n1,1,1,5\n"), ("short", "row,column,verify_uS\n1,1\n"),
    ("order", "row,column,conductance_uS,time_s\n1,1,5,1\n1,1,5,2\n1,2,5,3\n1,2,5,4\n"),
  ] { try write("cells", "table-" + name, Array(text.utf8)) }
  let stored = try Data(contentsOf: URL(filePath: folder.appending(path: "npz/stored").path)).dropFirst()
  try FileManager.default.removeItem(atPath: scratch)
  for (name, bytes) in badArchives(Array(stored)) { try write("npz", "bad-archive-" + name, [1] + bytes) }
  for (name, bytes) in arrayHeaders() { try write("npz", "header-" + name, [0] + bytes) }
  for (name, bytes) in badTensors() { try write("safetensors", "bad-" + name, bytes) }
  for (name, bytes) in try badFrames() { try write("frames", "bad-" + name, [36] + bytes) }
  try write("hdpm", "capture", [1] + Array("time,v1,v2\n0,0.1,0.2\n1e-5,0.2,0.3\n".utf8))
  try write("hdpm", "start", [0] + Array("S\r\n".utf8))
  try write("hdpm", "bare-return", [0] + Array("S\rX\r\nS\n".utf8))
  for (name, text) in [
    ("head", "t,v1,v2\n0,1,2\n"), ("fields", "time,v1,v2\n0,1\n"), ("number", "time,v1,v2\n0,1,x\n"),
    ("order", "time,v1,v2\n1,1,1\n0,1,1\n"),
    ("none", "time,v1,v2\n"), ("infinite", "time,v1,v2\n0,inf,1\n1,1,1\n"),
    ("long", "time,v1,v2\n-1,0,0\n0,0.1,0.2\n1,0.2,0.3\n"),
  ] { try write("hdpm", "capture-" + name, [1] + Array(text.utf8)) }
  try write("packets", "attach", [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3])
  // OP_REQ_DEVLIST and OP_REQ_IMPORT of USB/IP, and the hello of usbredir (80 bytes, version, capabilities).
  try write("usbip", "list", [0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0])
  try write(
    "usbip", "import", [0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0] + Array("1-1".utf8) + [UInt8](repeating: 0, count: 29))
  // After the import: a GET_DESCRIPTOR, and one transfer given up.
  let attach = [0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0] + Array("1-1".utf8) + [UInt8](repeating: 0, count: 29)
  let submit: [UInt8] =
    [0, 0, 0, 1, 0, 0, 0, 7, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, 0]
    + [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0x80, 6, 0, 1, 0, 0, 18, 0]
  let unlink: [UInt8] =
    [0, 0, 0, 2, 0, 0, 0, 8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7] + [UInt8](repeating: 0, count: 24)
  try write("usbip", "submit", attach + submit)
  try write("usbip", "unlink", attach + submit + unlink)
  try write("usbip", "unknown", attach + [0, 0, 0, 9] + submit.dropFirst(4))
  try write("usbip", "isochronous", attach + submit[..<32] + [0, 0, 0, 3] + submit[36...])
  try write("packets", "kind", [0, 0xEE, 0, 0, 0, 0, 0, 0, 0])
  try write("packets", "long", [0, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F])
  try write("packets", "many", [0] + (0..<40).flatMap { _ -> [UInt8] in [3, 0, 0, 0, 1, 0, 0, 0, 5] })
  try write(
    "usbredir", "hello",
    [0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0] + Array("fuzz".utf8) + [UInt8](repeating: 0, count: 60) + [0xFF, 0, 0, 0])
}
