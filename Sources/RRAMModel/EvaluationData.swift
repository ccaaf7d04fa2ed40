internal import RRAMFiles
internal import RRAMUnits

/// The data side of every metric: points, their classes, the histogram that goes with them.
public struct EvaluationData: Sendable {
  /// The shipped data sets.
  public static let names = ["ring", "letters"]

  /// The shipped set's name or the path.
  public let name: String
  /// The path it was read from.
  public let file: String
  /// SHA-256 of the file, hexadecimal; of points that come from no file, of their float64 bytes.
  public let sha256: String
  /// Shape (n, 2), row-major, finite.
  public let points: [Double]
  /// Shape (n); nil if the points have no classes.
  public private(set) var labels: [Int]?
  public var histogram: JointHistogram

  /// Points of any origin, with the ring's histogram.
  ///
  /// - Parameters:
  ///   - points: shape (n, 2), row-major.
  ///   - labels: shape (n); nil without classes.
  /// - Throws: ``ModelError`` naming the first point that is not finite.
  public init(name: String, points: [Double], labels: [Int]?) throws(ModelError) {
    precondition(points.count % 2 == 0 && (labels?.count ?? points.count / 2) * 2 == points.count, "counts differ")
    guard !points.isEmpty else { throw ModelError(.wrongShape, name, key: "x", reason: "no points") }
    try Self.check(points, of: name)
    self.name = name
    file = name
    sha256 = points.withUnsafeBytes { SHA256.hexadecimal(Array($0)) }
    histogram = .ring
    self.points = points
    self.labels = labels
  }

  /// Number of points.
  public var count: Int { points.count / 2 }

  /// Reads a data set.
  ///
  /// - Parameter nameOrPath: `ring` (50 000 points), `letters` (latents with classes), or a path, anything with a slash
  ///   or ending in `.npy` (n, 2) or `.npz` (`x` (n, 2) and, if there are classes, `label` (n)). A file of one's own
  ///   gets the ring's histogram.
  /// - Throws: ``ModelError`` naming the file, the array, what was found and what was expected.
  public init(_ nameOrPath: String) throws(ModelError) {
    let path: String
    if ModelLibrary.isPath(nameOrPath, endings: [".npy", ".npz"]) {
      path = nameOrPath
    } else {
      let files = ["ring": "ring-reference.npy", "letters": "letters-latents.npz"]
      guard let file = files[nameOrPath] else {
        throw ModelError(
          .unknownName, "data '\(nameOrPath)'",
          reason: "unknown; there are \(Self.names.joined(separator: ", ")), or a path")
      }
      path = try ModelLibrary.resource("data/\(file)", name: "data '\(nameOrPath)'")
    }
    let bytes = try readingFile { () throws(FileError) in try FileContents.read(path) }
    name = nameOrPath
    file = path
    sha256 = SHA256.hexadecimal(bytes)
    histogram = nameOrPath == "letters" ? .letters : .ring
    let array: NPYArray
    var labels: [Int]?
    if bytes.starts(with: [0x50, 0x4B]) || path.hasSuffix(".npz") {
      let archive = try readingFile { () throws(FileError) in try NPZArchive(bytes: bytes, file: path) }
      array = try readingFile { () throws(FileError) in try archive.array("x") }
      if archive.contains("label") {
        labels = try readingFile { () throws(FileError) in
          try archive.integers("label", shape: [array.shape.first ?? 0])
        }
      }
    } else {
      array = try readingFile { () throws(FileError) in try NPYArray(npy: bytes, file: path) }
    }
    guard array.shape.count == 2, array.shape[1] == 2, array.shape[0] > 0, let values = array.doubles else {
      throw ModelError(
        .wrongShape, path, key: "x", reason: "shape \(array.shape) of \(array.elementType), expected numbers (n, 2)")
    }
    try Self.check(values, of: path)
    points = values
    // What has −1 throughout has no classes, as in the sample files of networks without them.
    self.labels = labels?.contains { $0 >= 0 } ?? false ? labels : nil
  }

  private static func check(_ values: [Double], of file: String) throws(ModelError) {
    if let bad = values.firstNonFinite {
      throw ModelError(.nonFinite, file, key: "x", reason: "point \(bad.index / 2) is \(bad.value)")
    }
    // Moments and distances of such points would not be finite.
    if let far = values.firstIndex(where: { abs($0) > 1e6 }) {
      throw ModelError(
        .nonFinite, file, key: "x", reason: "point \(far / 2) has a coordinate of \(values[far]), beyond ±1e6")
    }
  }

  /// The same points as one class.
  public var withoutClasses: EvaluationData {
    var copy = self
    copy.labels = nil
    return copy
  }

  /// The points of one class.
  public func points(label: Int) throws(ModelError) -> [Double] {
    let members = labels?.indices.filter { labels?[$0] == label } ?? []
    guard !members.isEmpty else {
      let present = Set(labels ?? []).sorted().map { "\($0)" }.joined(separator: ", ")
      throw ModelError(
        .invalidLabel, name, reason: "no points of class \(label); classes: \(present.isEmpty ? "none" : present)")
    }
    return members.flatMap { [points[2 * $0], points[2 * $0 + 1]] }
  }
}
