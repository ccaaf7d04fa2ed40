import RRAMUnits

extension ChipLimits {
  static let keys = [
    "wordLine", "bitLine", "sourceLine", "forming", "read", "pulseWidth", "pulsesPerRequest", "conductance",
  ]
  static let optionalKeys = [
    "slew", "current", "pulseEnergy", "power", "resistance", "disturb", "pulsesPerRun", "pulsesPerLife", "temperature",
  ]

  /// Reads a chip's limits record: the keys of a profile's `limits` section at the root of the document.
  public static func load(path: String) throws(ProfileError) -> ChipLimits {
    try ChipLimits(yaml: try ProfileDocument.read(path: path), file: path)
  }

  /// Decodes and validates a limits record.
  public init(yaml: String, file: String) throws(ProfileError) {
    try self.init(try ProfileReader(file: file).root(of: yaml, required: Self.keys, optional: Self.optionalKeys))
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
    if section.has("slew") { slew = VoltsPerSecond(try section.number("slew", .slew)) }
    if section.has("current") { current = Amperes(try section.number("current", .current)) }
    if section.has("pulseEnergy") { pulseEnergy = Joules(try section.number("pulseEnergy", .pulseEnergy)) }
    if section.has("power") { power = Watts(try section.number("power", .power)) }
    if section.has("resistance") { resistance = try section.ohms("resistance") }
    if section.has("disturb") { disturb = try section.volts("disturb") }
    if section.has("pulsesPerRun") { pulsesPerRun = try section.count("pulsesPerRun") }
    if section.has("pulsesPerLife") { pulsesPerLife = try section.count("pulsesPerLife") }
    if section.has("temperature") {
      temperature = try section.range("temperature") { (bounds, name) throws(ProfileError) in try bounds.celsius(name) }
    }
    if let slew { try section.requirePositive(slew, "slew") }
    if let current { try section.requirePositive(current, "current") }
    if let pulseEnergy { try section.requirePositive(pulseEnergy, "pulseEnergy") }
    if let power { try section.requirePositive(power, "power") }
    if let disturb { try section.requireNotNegative(disturb, "disturb") }
    if let pulsesPerRun { try section.require(pulsesPerRun, in: 0...Int(UInt32.max), "pulsesPerRun") }
    if let pulsesPerLife { try section.require(pulsesPerLife, in: 0...Int(UInt32.max), "pulsesPerLife") }
    if let resistance {
      // The window must be reachable: its low end stands below the ceiling.
      try section.reader.require(
        resistance.rawValue * conductance.lowerBound.rawValue >= 1, section.childPath("resistance"),
        "\(resistance) is below the resistance of the window's low end, \(conductance.lowerBound)")
    }
  }
}
