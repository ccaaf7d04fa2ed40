internal import Foundation
public import HDPMBoard
internal import RRAMFiles
internal import Synchronization

/// A folder into which an oscilloscope writes one capture a run: `.csv` or `.npz`, taken in the order of their names.
///
/// Files that lie there at the start belong to other runs and are left alone. A file is read once its size stands still.
public final class ScopeDirectory: ScopeSource {
  public let path: String
  private let clock: any SerialClock
  private let known: Mutex<Set<String>>
  private static let interval = Duration.milliseconds(100)

  public init(_ path: String, clock: any SerialClock) throws {
    self.path = path
    self.clock = clock
    known = Mutex(try Self.files(in: path))
  }

  private static func files(in path: String) throws -> Set<String> {
    do {
      return Set(
        try FileManager.default.contentsOfDirectory(atPath: path).filter {
          !$0.hasPrefix(".") && ($0.hasSuffix(".csv") || $0.hasSuffix(".npz"))
        })
    } catch {
      throw HDPMError(.capture, "\(path): no folder that can be read")
    }
  }

  public func next(until deadline: Duration) async throws -> ScopeCapture? {
    var sizes: [String: Int] = [:]
    while true {
      let files = try Self.files(in: path)
      if let name = files.subtracting(known.withLock { $0 }).min() {
        let file = path + "/" + name
        let attributes = try? FileManager.default.attributesOfItem(atPath: file)
        let size = (attributes?[.size] as? NSNumber)?.intValue ?? 0
        if size > 0, sizes[name] == size {
          known.withLock { _ = $0.insert(name) }
          return try ScopeCapture(file: file)
        }
        sizes[name] = size
      }
      let now = clock.now
      guard now < deadline || !sizes.isEmpty && now < deadline + Self.interval else { return nil }
      try await clock.sleep(until: now + Self.interval)
    }
  }
}

extension ScopeCapture {
  /// Reads a capture: CSV with the columns time, v1, v2, or npz with arrays of these names.
  public init(file: String) throws {
    guard file.hasSuffix(".npz") else {
      let bytes: [UInt8]
      do {
        bytes = Array(try Data(contentsOf: URL(filePath: file)))
      } catch {
        throw HDPMError(.capture, "\(file): cannot be read")
      }
      try self.init(csv: String(decoding: bytes, as: UTF8.self), file: file)
      return
    }
    let archive = try NPZArchive(file: file)
    func column(_ name: String) throws -> [Double] {
      guard archive.contains(name) else {
        let found = archive.keys.joined(separator: ", ")
        throw HDPMError(.capture, "\(file): arrays '\(found.prefix(80))', time, v1 and v2 expected")
      }
      let array = try archive.array(name)
      guard array.shape.count == 1, let values = array.doubles ?? array.floats.map({ $0.map(Double.init) }) else {
        throw HDPMError(
          .capture, "\(file), '\(name)': shape \(array.shape) of \(array.elementType), one row of numbers expected")
      }
      return values
    }
    try self.init(time: column("time"), v1: column("v1"), v2: column("v2"), file: file)
  }
}
