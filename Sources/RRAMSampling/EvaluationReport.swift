public import RRAMModel

/// Samples against data, and against the same run in software: what `evaluate` prints.
public struct EvaluationReport: Sendable, Hashable, Encodable {
  /// Samples that were drawn with the same tables, beside the software's of the same start points.
  public struct Part: Sendable, Hashable, Encodable {
    public var firstSample: UInt32
    public var n: Int
    /// Root mean square difference per coordinate, in units.
    public var rmsToSoftware: Double
    public var radiusMean: Double
    public var radiusStd: Double
  }

  /// The samples' metrics; with classes, the mean over them.
  public var quality: SampleQuality
  /// Name of the samples.
  public var set: String
  /// Name and SHA-256 of the data.
  public var data: String
  public var dataSHA256: String
  /// Per class; empty for data without classes.
  public var classes: [Int: SampleQuality]
  /// Metrics of the same run in software; nil without a model.
  public var software: SampleQuality?
  public var softwareClasses: [Int: SampleQuality]
  /// Samples over software.
  public var ratio: QualityRatio?
  /// Samples over the shipped `ring` network in software; nil for other data.
  public var ratioToRing: QualityRatio?
  /// Root mean square difference between samples and the software's, per coordinate, in units.
  public var rmsToSoftware: Double?
  /// The parts of a tracked run, each with tables of its own; nil for other runs.
  public var parts: [Part]?
  /// How many decoded letters the classifier recognises; nil for data other than the letters.
  public var letters: LetterScore?
  /// The same of the software's.
  public var softwareLetters: LetterScore?
  /// False if the model compared with is not the one that the samples were drawn from.
  public var sameModel: Bool?

  /// Compares samples with data.
  ///
  /// - Parameters:
  ///   - model: the network whose software run is the reference; nil compares with data only.
  ///   - method: how the software steps an ODE.
  ///   - steps: of that ODE.
  ///   - ring: the shipped `ring` network, for ``ratioToRing``.
  public init(
    _ file: SampleFile, against data: EvaluationData, model: ScoreModel? = nil, ring: ScoreModel? = nil,
    method: DigitalSolver.Method = .heun, steps: Int = 200, threads: Int? = nil
  ) throws {
    try self.init(
      SampleSet(file, name: file.metadata.model), against: data, model: model, ring: ring, method: method, steps: steps,
      threads: threads)
  }

  /// Compares a set of any origin with data; with a network's run in software if the set knows its own start points.
  ///
  /// - Throws: ``SessionError`` `malformedFile` if a model is given and the points do not say how they were made.
  public init(
    _ set: SampleSet, against data: EvaluationData, model: ScoreModel? = nil, ring: ScoreModel? = nil,
    method: DigitalSolver.Method = .heun, steps: Int = 200, threads: Int? = nil
  ) throws {
    let labels = data.labels == nil ? nil : set.labels
    let (overall, classes) = try SampleMetrics.quality(of: set.x, labels: labels, against: data, threads: threads)
    quality = overall
    self.set = set.name
    self.data = data.name
    dataSHA256 = data.sha256
    self.classes = classes
    softwareClasses = [:]
    let judges =
      data.name == "letters" && labels != nil
      ? (try ModelLibrary.letterDecoder(), try ModelLibrary.letterClassifier()) : nil
    func judge(_ points: [Float]) -> LetterScore? {
      judges.flatMap {
        LetterScore.judge(points, labels: labels ?? [], decoder: $0.0, classifier: $0.1, threads: threads)
      }
    }
    letters = judge(set.x)
    guard let model else { return }
    guard let file = set.run else {
      throw SessionError(
        .malformedFile,
        "\(set.name): its points do not say what they started from, so '\(model.name)' cannot be run from there")
    }
    let reference = try file.softwareReference(for: model, method: method, steps: steps, threads: threads)
    let (software, softwareClasses) = try SampleMetrics.quality(
      of: reference, labels: labels, against: data, threads: threads)
    self.software = software
    self.softwareClasses = softwareClasses
    ratio = overall.ratio(to: software)
    softwareLetters = judge(reference)
    let difference = SampleMetrics.rootMeanSquareDifference(file.x, reference)
    rmsToSoftware = difference.isFinite ? difference : nil
    parts = Self.parts(of: file, reference)
    sameModel = file.metadata.modelSHA256 == model.sha256
    guard data.name == "ring", let ring, !model.network.isConditional else { return }
    if ring.sha256 == model.sha256, ring.metadata.process == file.process {
      ratioToRing = ratio
    } else {
      let reference = try file.softwareReference(
        for: ring, ownProcess: true, method: method, steps: steps, threads: threads)
      ratioToRing = overall.ratio(
        to: try SampleMetrics.quality(of: reference, labels: nil, against: data, threads: threads).overall)
    }
  }

  private static func parts(of file: SampleFile, _ reference: [Float]) -> [Part]? {
    guard let tracked = file.metadata.tracked, !tracked.isEmpty else { return nil }
    let starts = tracked.compactMap { first in file.numbers.firstIndex { $0 >= first } }
    return starts.indices.compactMap { index in
      let end = index + 1 < starts.count ? starts[index + 1] : file.count
      guard end > starts[index] else { return nil }
      let range = 2 * starts[index]..<2 * end
      let x = Array(file.x[range])
      let radius = SampleMetrics.radius(x)
      return Part(
        firstSample: file.numbers[starts[index]], n: x.count / 2,
        rmsToSoftware: SampleMetrics.rootMeanSquareDifference(x, Array(reference[range])), radiusMean: radius.mean,
        radiusStd: radius.standardDeviation)
    }
  }

  enum CodingKeys: String, CodingKey {
    case n, kl1d, kl2d, slicedWasserstein, energyDistance, radiusMean, radiusStd, nData, nonFinite
    case set, data, dataSHA256, classes, software, softwareClasses, ratio, ratioToRing, rmsToSoftware, sameModel
    case letters, softwareLetters, parts
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(quality.n, forKey: .n)
    try container.encode(quality.kl1d, forKey: .kl1d)
    try container.encode(quality.kl2d, forKey: .kl2d)
    try container.encode(quality.slicedWasserstein, forKey: .slicedWasserstein)
    try container.encode(quality.energyDistance, forKey: .energyDistance)
    try container.encode(quality.radiusMean, forKey: .radiusMean)
    try container.encode(quality.radiusStd, forKey: .radiusStd)
    try container.encode(quality.nData, forKey: .nData)
    try container.encode(quality.nonFinite, forKey: .nonFinite)
    try container.encode(set, forKey: .set)
    try container.encode(data, forKey: .data)
    try container.encode(dataSHA256, forKey: .dataSHA256)
    try container.encode(named(classes), forKey: .classes)
    if letters != nil { try container.encode(letters, forKey: .letters) }
    guard software != nil else { return }
    if softwareLetters != nil { try container.encode(softwareLetters, forKey: .softwareLetters) }
    try container.encode(software, forKey: .software)
    try container.encode(named(softwareClasses), forKey: .softwareClasses)
    try container.encode(ratio, forKey: .ratio)
    try container.encode(ratioToRing, forKey: .ratioToRing)
    try container.encode(rmsToSoftware, forKey: .rmsToSoftware)
    try container.encode(sameModel, forKey: .sameModel)
    if parts != nil { try container.encode(parts, forKey: .parts) }
  }

  /// JSON objects have text keys.
  private func named(_ classes: [Int: SampleQuality]) -> [String: SampleQuality] {
    Dictionary(uniqueKeysWithValues: classes.map { ("\($0.key)", $0.value) })
  }
}
