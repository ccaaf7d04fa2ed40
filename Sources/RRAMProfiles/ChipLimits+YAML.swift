import RRAMUnits

extension ChipLimits {
  static let keys = [
    "wordLine", "bitLine", "sourceLine", "forming", "read", "pulseWidth", "pulsesPerRequest", "conductance",
  ]

  /// Reads a chip's limits record: the keys of a profile's `limits` section at the root of the document.
  public static func load(path: String) throws(ProfileError) -> ChipLimits {
    try ChipLimits(yaml: try ProfileDocument.read(path: path), file: path)
  }

  /// Decodes and validates a limits record.
  public init(yaml: String, file: String) throws(ProfileError) {
    try self.init(try ProfileReader(file: file).root(of: yaml, required: Self.keys))
  }

  init(_ section: ProfileSection) throws(ProfileError) {
    self.init(
      wordLine: try section.volts("wordLine"), bitLine: try section.volts("bitLine"),
      sourceLine: try section.volts("sourceLine"), forming: try section.volts("forming"),
      read: try section.volts("read"), pulseWidth: try section.durationRange("pulseWidth"),
      pulsesPerRequest: try section.count("pulsesPerRequest"), conductance: try section.siemensRange("conductance"))
    for (key, value) in [
      ("wordLine", wordLine), ("bitLine", bitLine), ("sourceLine", sourceLine), ("forming", forming), ("read", read),
    ] {
      try section.requireNotNegative(value, key)
      try section.reader.require(value <= Volts(20), section.childPath(key), "\(value) is above 20 V")
    }
    try section.reader.require(
      pulseWidth.lowerBound >= .zero, section.childPath("pulseWidth"), "begins below 0 s")
    try section.require(pulsesPerRequest, in: 0...1_000_000, "pulsesPerRequest")
    try section.requireNotNegative(conductance.lowerBound, "conductance")
  }
}
