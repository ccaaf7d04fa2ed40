public import Foundation
public import RRAMProfiles

/// Everything that was set when a run was made: `manifest.json`.
public struct RunManifest: Codable, Sendable {
  /// Version of this layout; a larger one is refused.
  public static let currentSchema = 1

  public struct Board: Codable, Sendable, Hashable {
    public var address: String
    public var serial: String
    public var name: String
    public var firmware: String
    public var protocolLevel: Int
    public var emulated: Bool

    public init(address: String, serial: String, name: String, firmware: String, protocolLevel: Int, emulated: Bool) {
      self.address = address
      self.serial = serial
      self.name = name
      self.firmware = firmware
      self.protocolLevel = protocolLevel
      self.emulated = emulated
    }
  }

  public struct Chip: Codable, Sendable, Hashable {
    public var id: String
    public var profile: String

    public init(id: String, profile: String) {
      self.id = id
      self.profile = profile
    }
  }

  public var schema = RunManifest.currentSchema
  public var toolkit: String
  public var command: [String]
  /// Settings as the command understood them, defaults included.
  public var settings: [String: String]
  public var board: Board?
  public var chip: Chip?
  public var limits: ChipLimits?
  /// Calibrations in force, by id.
  public var calibrations: [String] = []
  public var startedUTC: Date
  public var stoppedUTC: Date?
  /// Seconds of the host's monotonic clock.
  public var startedMonotonic: Double
  public var stoppedMonotonic: Double?
  /// `nil` while the run is under way, and for ever if the process was killed.
  public var exitStatus: Int?

  static let encoder: JSONEncoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    return encoder
  }()

  /// Reads the manifest of a run folder.
  public static func read(from folder: URL) throws -> RunManifest {
    let file = folder.appending(path: "manifest.json")
    guard let data = FileManager.default.contents(atPath: file.path) else {
      throw RecordsError(.notFound, path: file.path, reason: "no such run")
    }
    struct Schema: Codable { var schema: Int }
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    do {
      let schema = try decoder.decode(Schema.self, from: data).schema
      guard schema <= currentSchema else {
        throw RecordsError(
          .newerVersion, path: file.path, reason: "layout \(schema) is newer than this toolkit's \(currentSchema)")
      }
      return try decoder.decode(RunManifest.self, from: data)
    } catch let error as RecordsError {
      throw error
    } catch {
      throw RecordsError(.malformed, path: file.path, reason: "is not a run manifest", underlying: error)
    }
  }
}
