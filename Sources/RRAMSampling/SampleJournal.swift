internal import Foundation
internal import Glibc
internal import RRAMFiles

/// The samples of a run as they come, one record of 24 bytes each (more with paths): an interrupted run loses none that its host has seen.
///
/// A record is x, y, xT and yT as little-endian Float32, the class as Int32 (−1: none) and the sample's number as UInt32; where a run
/// reads paths, the frames of the sample's path follow as Float32. Every
/// batch is handed to the kernel at once; a record that a crash cut short is ignored.
public final class SampleJournal {
  private static let recordBytes = 24
  private let file: FileHandle
  private let path: String

  /// One sample.
  public struct Record: Sendable, Hashable {
    public var x: [Float]
    public var xT: [Float]
    public var label: Int?
    public var number: UInt32
    /// Frames of its path, (frames, 2); empty if paths are not read.
    public var trajectory: [Float]

    public init(x: [Float], xT: [Float], label: Int?, number: UInt32, trajectory: [Float] = []) {
      self.x = x
      self.xT = xT
      self.label = label
      self.number = number
      self.trajectory = trajectory
    }
  }

  /// Makes the file, which must not exist.
  ///
  /// - Throws: ``SessionError`` `malformedFile` if it cannot be made.
  public init(path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw SessionError(.malformedFile, "cannot make \(path): \(String(cString: strerror(errno)))")
    }
    file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    self.path = path
  }

  /// Adds a batch.
  public func append(_ batch: SampleBatch) throws {
    var data = Data(capacity: batch.count * Self.recordBytes)
    let path = batch.count > 0 ? batch.trajectory.count / batch.count : 0
    for index in 0..<batch.count {
      Self.add(
        (batch.x[2 * index], batch.x[2 * index + 1]), (batch.xT[2 * index], batch.xT[2 * index + 1]), batch.label,
        batch.firstSample + UInt32(index), to: &data)
      Self.add(batch.trajectory[path * index..<path * (index + 1)], to: &data)
    }
    try file.write(contentsOf: data)
  }

  /// Adds samples.
  public func append(_ records: [Record]) throws {
    var data = Data(capacity: records.count * Self.recordBytes)
    for record in records {
      Self.add((record.x[0], record.x[1]), (record.xT[0], record.xT[1]), record.label, record.number, to: &data)
      Self.add(record.trajectory[...], to: &data)
    }
    try file.write(contentsOf: data)
  }

  private static func add(_ values: ArraySlice<Float>, to data: inout Data) {
    for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) } }
  }

  private static func add(
    _ x: (Float, Float), _ xT: (Float, Float), _ label: Int?, _ number: UInt32, to data: inout Data
  ) {
    let words = [
      x.0.bitPattern, x.1.bitPattern, xT.0.bitPattern, xT.1.bitPattern,
      UInt32(bitPattern: Int32(label ?? SampleFile.noLabel)), number,
    ]
    for word in words { withUnsafeBytes(of: word.littleEndian) { data.append(contentsOf: $0) } }
  }

  /// The whole records of a file, in its order; none if there is no file.
  ///
  /// - Parameter frames: points of each sample's path.
  public static func read(path: String, frames: Int = 0) throws -> [Record] {
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    let bytes = try FileContents.read(path)
    func word(_ offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
    }
    let stride = recordBytes + 8 * frames
    return (0..<bytes.count / stride).map { index in
      let start = index * stride
      let values = (0..<4).map { Float(bitPattern: word(start + 4 * $0)) }
      let label = Int(Int32(bitPattern: word(start + 16)))
      return Record(
        x: Array(values[0..<2]), xT: Array(values[2..<4]), label: label == SampleFile.noLabel ? nil : label,
        number: word(start + 20),
        trajectory: (0..<2 * frames).map { Float(bitPattern: word(start + recordBytes + 4 * $0)) })
    }
  }
}
