import Foundation
import RRAMSampling
import Testing

@Suite("SampleJournal") struct SampleJournalTests {
  @Test("what was appended is read back, and a record cut short is ignored")
  func roundTrip() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "rram-journal-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "samples.journal").path
    #expect(try SampleJournal.read(path: path).isEmpty)
    let journal = try SampleJournal(path: path)
    try journal.append(
      SampleBatch(firstSample: 7, label: 2, x: [1, -2, 3.5, 4], xT: [0.1, 0.2, 0.3, 0.4], flags: [0, 1]))
    let second = SampleJournal.Record(x: [9, 8], xT: [-1, 0], label: nil, number: UInt32.max)
    try journal.append([second])
    let records = try SampleJournal.read(path: path)
    #expect(
      records == [
        .init(x: [1, -2], xT: [0.1, 0.2], label: 2, number: 7),
        .init(x: [3.5, 4], xT: [0.3, 0.4], label: 2, number: 8), second,
      ])
    var bytes = try Data(contentsOf: URL(filePath: path))
    #expect(bytes.count == 72)
    bytes.removeLast()
    try bytes.write(to: URL(filePath: path))
    #expect(try SampleJournal.read(path: path) == Array(records.prefix(2)))
    // An earlier run's samples are never overwritten.
    let error = #expect(throws: SessionError.self) { try SampleJournal(path: path) }
    #expect(error?.description == "cannot make \(path): File exists")
  }
}
