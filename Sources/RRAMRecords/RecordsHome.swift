public import Foundation

/// The folder of everything the toolkit keeps: `$RRAM_HOME`, by default `~/.local/state/rram`.
///
/// `runs/` holds one folder a run, `chips/ID/` what is known of one chip: `limits.yaml`, `programs/LABEL.json` and
/// `calibrations/ID.json`.
public struct RecordsHome: Sendable {
  public let root: URL

  public init(root: URL) {
    self.root = root
  }

  /// The home named by the environment.
  public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
    if let path = environment["RRAM_HOME"], !path.isEmpty {
      root = URL(filePath: path, directoryHint: .isDirectory)
    } else {
      root = FileManager.default.homeDirectoryForCurrentUser.appending(path: ".local/state/rram")
    }
  }

  public var runs: URL { root.appending(path: "runs") }

  /// The folder of one chip. Characters outside `A-Z a-z 0-9 . _ -` of the id are written as `_`, so that no id leads elsewhere.
  public func chip(_ id: String) -> URL {
    let safe = String(
      id.unicodeScalars.map { scalar in
        let keep =
          scalar.isASCII
          && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "._-".unicodeScalars.contains(scalar))
        return keep ? Character(scalar) : "_"
      })
    let name = safe.isEmpty || safe.allSatisfy { $0 == "." } ? "unnamed" : safe
    return root.appending(path: "chips").appending(path: name)
  }

  /// Where a chip's own limits record lies, whether or not it exists.
  public func limitsFile(chip id: String) -> URL { chip(id).appending(path: "limits.yaml") }

  /// Keeps what was programmed under `label`: the host's side of the label on the chip.
  ///
  /// - Parameters:
  ///   - record: JSON, in the form the mapping layer defines.
  ///   - label: 16 bytes, as the macros carry it.
  public func saveProgram(_ record: Data, label: [UInt8], chip id: String) throws {
    let folder = chip(id).appending(path: "programs")
    try makeFolder(folder)
    try write(record, to: folder.appending(path: hexadecimal(label) + ".json"))
  }

  /// What was programmed under `label`, or `nil` if this home does not know it.
  public func program(label: [UInt8], chip id: String) throws -> Data? {
    let file = chip(id).appending(path: "programs").appending(path: hexadecimal(label) + ".json")
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    do {
      return try Data(contentsOf: file)
    } catch {
      throw RecordsError(.io, path: file.path, reason: "cannot be read", underlying: error)
    }
  }

  /// Keeps a calibration of a chip.
  ///
  /// - Parameters:
  ///   - record: JSON, in the form the layer that calibrates defines.
  ///   - name: of `A-Z a-z 0-9 . _ -`; names sort by age if they begin with their time.
  /// - Returns: where it is.
  public func saveCalibration(_ record: Data, name: String, chip id: String) throws -> URL {
    let folder = calibrations(chip: id)
    try makeFolder(folder)
    let file = folder.appending(path: name + ".json")
    try write(record, to: file)
    return file
  }

  /// The calibrations of a chip, in the order of their names, last first.
  public func calibrationFiles(chip id: String) -> [URL] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: calibrations(chip: id).path)) ?? []
    return names.filter { $0.hasSuffix(".json") }.sorted(by: >).map { calibrations(chip: id).appending(path: $0) }
  }

  private func calibrations(chip id: String) -> URL { chip(id).appending(path: "calibrations") }
}

/// Lower-case hexadecimal digits of `bytes`.
func hexadecimal(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef")
  return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}

func makeFolder(_ url: URL) throws {
  do {
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  } catch {
    throw RecordsError(.io, path: url.path, reason: "cannot be made", underlying: error)
  }
}

func write(_ data: Data, to url: URL) throws {
  do {
    try data.write(to: url, options: .atomic)
  } catch {
    throw RecordsError(.io, path: url.path, reason: "cannot be written", underlying: error)
  }
}
