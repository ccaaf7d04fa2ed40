import Foundation
import RRAMFiles
import RRAMModel
import RRAMSampling
import RRAMUnits
import Testing

@Suite("SampleFile") struct SampleFileTests {
  private func file(_ model: ScoreModel, equation: ReverseEquation, labels: [Int?], count: Int) throws -> SampleFile {
    let program = try SamplingProgram(model, equation: equation, classLabel: labels.first ?? nil, ticks: 50, seed: 11)
    var file = SampleFile(metadata: SampleMetadata(program, board: "parallel", chip: "chip-1", profile: "ideal"))
    for (index, label) in labels.enumerated() {
      let start = program.startPoints(from: UInt32(index * count), count: count)
      file.append(x: start.map { $0 / 2 }, xT: start, label: label, firstSample: UInt32(index * count))
    }
    return file
  }

  private func withFolder<R>(_ body: (String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.path + "/s.npz")
  }

  /// Hosts draw start points in the kernel, whose series are rounded as the formula's library calls are, but for the last bit of a few: none of
  /// 40 000 numbers is further off, and one in a thousand at most is off at all.
  @Test func startPointsAreThoseOfTheProtocol() throws {
    let program = try SamplingProgram(ModelLibrary.scoreModel("ring"), seed: 9)
    let first: UInt32 = 4_000_000_000
    let drawn = program.startPoints(from: first, count: 20_000)
    let deviation = Float(program.process.priorStandardDeviation)
    let asked = SamplingNoise.start(seed: 9, firstSample: first, count: 20_000).map { $0 * deviation }
    #expect(drawn.count == asked.count)
    let off = zip(drawn, asked).filter { $0 != $1 }
    #expect(off.allSatisfy { abs($0 - $1) <= 2 * $1.ulp } && off.count <= 40, "\(off.prefix(3)) of \(off.count)")
  }

  @Test("what is written is read again")
  func roundTrip() throws {
    let file = try file(ModelLibrary.scoreModel("letters"), equation: .sde, labels: [0, 1, 2], count: 5)
    try withFolder { path in
      try file.write(to: path)
      let read = try SampleFile(path: path)
      #expect(read == file)
      #expect(
        read.labels == [Int](repeating: 0, count: 5) + [Int](repeating: 1, count: 5) + [Int](repeating: 2, count: 5))
      #expect(read.metadata.classLabel == nil, "samples of several classes have no one class")
      let archive = try NPZArchive(file: path)
      #expect(Set(archive.keys) == ["x", "xT", "label", "sample", "meta"])
      let meta = try #require(
        try JSONSerialization.jsonObject(with: Data(try archive.string("meta").utf8)) as? [String: Any])
      for key in [
        "model", "modelSHA256", "sde", "solver", "scale", "ticks", "class", "w", "seeds", "board", "profile",
        "calibration",
      ] {
        #expect(meta[key] != nil, "\(key)")
      }
      #expect(meta["calibration"] is NSNull)
    }
  }

  @Test("a file whose arrays disagree is refused by name")
  func refusesShapes() throws {
    try withFolder { path in
      var writer = NPZWriter()
      writer.add(NPYArray([Float](repeating: 0, count: 4), shape: [2, 2]), as: "x")
      writer.add(NPYArray([Float](repeating: 0, count: 6), shape: [3, 2]), as: "xT")
      writer.add(NPYArray([0, 0]), as: "label")
      writer.add(NPYArray([UInt32(0), 1]), as: "sample")
      writer.add("{}", as: "meta")
      try writer.write(to: path)
      let error = try #require(throws: FileError.self) { try SampleFile(path: path) }
      #expect(error.entry?.contains("xT") == true)
    }
  }

  @Test("the software reference takes start points and noise from the file, sample by sample")
  func reference() throws {
    let model = try ModelLibrary.scoreModel("letters")
    let whole = try file(model, equation: .sde, labels: [1], count: 20)
    let reference = try whole.softwareReference(for: model)
    // The same samples with their numbers in two classes: those of class 1 must not change.
    var mixed = SampleFile(metadata: whole.metadata)
    mixed.append(
      x: Array(whole.x[0..<10]), xT: Array(whole.xT[0..<10]), label: 2, firstSample: 0)
    mixed.append(x: Array(whole.x[10...]), xT: Array(whole.xT[10...]), label: 1, firstSample: 5)
    let second = try mixed.softwareReference(for: model)
    #expect(Array(second[10...]) == Array(reference[10...]))
    #expect(Array(second[0..<10]) != Array(reference[0..<10]))
  }

  @Test("a class that the network does not have is refused")
  func refusesClass() throws {
    let ring = try ModelLibrary.scoreModel("ring")
    let letters = try file(ModelLibrary.scoreModel("letters"), equation: .ode, labels: [1], count: 2)
    #expect(throws: ModelError.self) { try letters.softwareReference(for: ring) }
  }
}

@Suite("EvaluationReport") struct EvaluationReportTests {
  private func json(_ report: EvaluationReport) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(report)) as? [String: Any])
  }

  @Test("samples that are the software's own have ratio 1")
  func ownSoftware() throws {
    let ring = try ModelLibrary.scoreModel("ring")
    let program = try SamplingProgram(ring, seed: 3)
    var file = SampleFile(metadata: SampleMetadata(program, board: "parallel"))
    let start = program.startPoints(from: 0, count: 300)
    file.append(x: start, xT: start, label: nil, firstSample: 0)
    let software = try file.softwareReference(for: ring)
    var same = SampleFile(metadata: file.metadata)
    same.append(x: software, xT: start, label: nil, firstSample: 0)
    same.metadata.tracked = [0, 100, 250]
    let report = try EvaluationReport(same, against: EvaluationData("ring"), model: ring, ring: ring)
    #expect(report.ratio?.kl2d == 1)
    #expect(report.ratioToRing?.slicedWasserstein == 1)
    #expect(report.rmsToSoftware == 0)
    #expect(report.parts?.map(\.n) == [100, 150, 50] && report.parts?.map(\.rmsToSoftware) == [0, 0, 0])
    let object = try json(report)
    for key in [
      "n", "kl1d", "kl2d", "slicedWasserstein", "energyDistance", "radiusMean", "radiusStd", "nData", "dataSHA256",
      "nonFinite", "software", "ratio", "ratioToRing",
    ] {
      #expect(object[key] != nil, "\(key)")
    }
    #expect(object["n"] as? Int == 300)
  }

  @Test("letters are compared class by class, and have no ratio to the ring")
  func letters() throws {
    let model = try ModelLibrary.scoreModel("letters")
    let program = try SamplingProgram(model, equation: .ode, classLabel: 0)
    var file = SampleFile(metadata: SampleMetadata(program, board: "parallel"))
    for label in 0..<3 {
      let start = program.startPoints(from: UInt32(label * 100), count: 100)
      file.append(x: start, xT: start, label: label, firstSample: UInt32(label * 100))
    }
    let report = try EvaluationReport(
      file, against: EvaluationData("letters"), model: model, ring: ModelLibrary.scoreModel("ring"))
    #expect(Set(report.classes.keys) == [0, 1, 2])
    let mean = report.classes.values.reduce(0) { $0 + $1.kl2d } / 3
    #expect(abs(report.quality.kl2d - mean) < 1e-12)
    #expect(report.ratioToRing == nil)
    let object = try json(report)
    #expect(object["ratioToRing"] is NSNull)
  }

  @Test("without a model there is no software side")
  func dataOnly() throws {
    let program = try SamplingProgram(ModelLibrary.scoreModel("ring"))
    var file = SampleFile(metadata: SampleMetadata(program, board: "parallel"))
    let start = program.startPoints(from: 0, count: 10)
    file.append(x: start, xT: start, label: nil, firstSample: 0)
    let object = try json(EvaluationReport(file, against: EvaluationData("ring")))
    #expect(object["software"] == nil && object["ratio"] == nil)
  }
}
