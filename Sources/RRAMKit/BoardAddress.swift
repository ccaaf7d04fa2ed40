public import RRAMEmulator

/// Where a board is: `usb:`, `usb:SERIAL`, `emu:KEY=VALUE,…`, `sock:PATH`, `replay:FILE`, `hdpm:PORT` or `hdpm-emu:KEY=VALUE,…`.
public enum BoardAddress: Sendable, Hashable, CustomStringConvertible {
  /// A board on USB; `nil` = the only one.
  case usb(serial: String?)
  /// A chip emulated in this process.
  case emulated(EmulatedChip)
  /// A board served on a Unix socket, as by `rram emulate --socket PATH`.
  case socket(path: String)
  /// A recording that is played back.
  case replay(path: String)
  /// The published STM32F407 board on a serial port.
  case hdpm(port: String)
  /// The virtual twin of that board in this process, in virtual time.
  case emulatedHDPM(EmulatedHDPM)

  /// True where every opening finds another chip, or none: what happened to the one before says nothing of it.
  var isMadeAnew: Bool {
    switch self {
    case .emulated(let chip): chip.stateFile == nil
    case .replay, .emulatedHDPM: true
    case .usb, .socket, .hdpm: false
    }
  }

  /// The keys of an `emu:` address.
  public struct EmulatedChip: Sendable, Hashable, CustomStringConvertible {
    /// Chip profile: a shipped name or a path.
    public var profile = "cmo-hfox"
    /// Board description: a shipped name or a path.
    public var board = "parallel"
    public var seed: UInt64 = 0
    /// File that keeps the chip between commands; `nil` keeps it in memory only.
    public var stateFile: String?
    /// How the closed loop is integrated.
    public var loop: EmulatedBoard.LoopSolution
    /// °C at which the chip stands as long as this board is on; `nil`: the profile's reference temperature.
    public var temperature: Double?

    public init(
      profile: String = "cmo-hfox", board: String = "parallel", seed: UInt64 = 0, stateFile: String? = nil,
      loop: EmulatedBoard.LoopSolution = EmulatedBoard.LoopSolution(), temperature: Double? = nil
    ) {
      self.profile = profile
      self.board = board
      self.seed = seed
      self.stateFile = stateFile
      self.loop = loop
      self.temperature = temperature
    }

    public var description: String {
      let usual = EmulatedBoard.LoopSolution()
      return "emu:profile=\(profile),board=\(board),seed=\(seed)"
        + (loop.steps == usual.steps ? "" : ",steps=\(loop.steps)")
        + (loop.noise == usual.noise ? "" : ",noise=\(loop.noise.rawValue)")
        + (temperature.map { ",temperature=\($0)" } ?? "") + (stateFile.map { ",state=\($0)" } ?? "")
    }
  }

  /// An address that cannot be understood.
  public struct ParseError: Error, CustomStringConvertible, Sendable, Hashable {
    public let address: String
    public let reason: String
    public var description: String { "board address '\(address)': \(reason)" }
  }

  /// Parses an address.
  ///
  /// In an `emu:` address `state=` takes the rest of the string, commas included.
  public init(_ text: String) throws(ParseError) {
    guard let colon = text.firstIndex(of: ":") else {
      throw ParseError(address: text, reason: "no scheme; known are \(Self.schemes)")
    }
    let rest = String(text[text.index(after: colon)...])
    switch text[..<colon] {
    case "usb": self = .usb(serial: rest.isEmpty ? nil : rest)
    case "emu": self = .emulated(try Self.emulated(rest, address: text))
    case "hdpm":
      guard !rest.isEmpty else { throw ParseError(address: text, reason: "no serial port, for example /dev/ttyUSB0") }
      self = .hdpm(port: rest)
    case "hdpm-emu": self = .emulatedHDPM(try Self.emulatedHDPM(rest, address: text))
    case "sock", "replay":
      guard !rest.isEmpty else { throw ParseError(address: text, reason: "no path") }
      self = text.hasPrefix("sock") ? .socket(path: rest) : .replay(path: rest)
    default: throw ParseError(address: text, reason: "unknown scheme '\(text[..<colon])'; known are \(Self.schemes)")
    }
  }

  private static let schemes =
    "usb:, usb:SERIAL, emu:KEY=VALUE,…, sock:PATH, replay:FILE, hdpm:PORT, hdpm-emu:KEY=VALUE,…"

  /// Beside `state`, which comes last.
  private static let emulatedKeys = ["profile", "board", "seed", "steps", "noise", "temperature"]

  private static func emulated(_ keys: String, address: String) throws(ParseError) -> EmulatedChip {
    var chip = EmulatedChip()
    for (key, value) in try pairs(keys, address: address, last: "state") {
      switch key {
      case "profile": chip.profile = value
      case "board": chip.board = value
      case "state":
        // Whoever writes it in the middle means no file of such a name, and would get another chip.
        if let key = Self.emulatedKeys.first(where: { value.contains(",\($0)=") }) {
          throw ParseError(
            address: address, reason: "'state=' takes the rest, '\(key)=' behind it as well: put 'state=' last")
        }
        chip.stateFile = value
      case "seed": chip.seed = try seed(value, address: address)
      case "steps":
        let range = EmulatedBoard.LoopSolution.stepRange
        guard let steps = Int(value), range.contains(steps) else {
          throw ParseError(
            address: address,
            reason: "steps '\(value)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        chip.loop.steps = steps
      case "noise":
        guard let noise = EmulatedBoard.LoopSolution.Noise(rawValue: value) else {
          let known = EmulatedBoard.LoopSolution.Noise.allCases.map(\.rawValue).joined(separator: ", ")
          throw ParseError(address: address, reason: "unknown noise '\(value)'; known are \(known)")
        }
        chip.loop.noise = noise
      case "temperature":
        let range = EmulatedBoard.Configuration.temperatureRange
        guard let celsius = Double(value), range.contains(celsius) else {
          throw ParseError(
            address: address,
            reason: "temperature '\(value)' is not a number of °C from \(range.lowerBound) to \(range.upperBound)")
        }
        chip.temperature = celsius
      default:
        throw ParseError(
          address: address,
          reason: "unknown key '\(key)'; known are \((Self.emulatedKeys + ["state"]).joined(separator: ", "))")
      }
    }
    return chip
  }

  static func seed(_ value: String, address: String) throws(ParseError) -> UInt64 {
    guard let seed = UInt64(value) else {
      throw ParseError(address: address, reason: "seed '\(value)' is not a whole number from 0 to \(UInt64.max)")
    }
    return seed
  }

  /// KEY=VALUE pairs between commas; the value of `last` takes the rest of the string.
  static func pairs(
    _ keys: String, address: String, last: Substring? = nil
  ) throws(ParseError) -> [(key: Substring, value: String)] {
    var pairs: [(key: Substring, value: String)] = []
    var rest = Substring(keys)
    while !rest.isEmpty {
      guard let equals = rest.firstIndex(of: "=") else {
        throw ParseError(address: address, reason: "'\(rest)' is not KEY=VALUE")
      }
      let key = rest[..<equals]
      guard !pairs.contains(where: { $0.key == key }) else {
        throw ParseError(address: address, reason: "key '\(key)' stands twice")
      }
      let tail = rest[rest.index(after: equals)...]
      let end = key == last ? tail.endIndex : tail.firstIndex(of: ",") ?? tail.endIndex
      let value = String(tail[..<end])
      rest = end == tail.endIndex ? "" : tail[tail.index(after: end)...]
      guard !value.isEmpty else { throw ParseError(address: address, reason: "key '\(key)' has no value") }
      pairs.append((key, value))
    }
    return pairs
  }

  public var description: String {
    switch self {
    case .usb(let serial): "usb:\(serial ?? "")"
    case .emulated(let chip): chip.description
    case .socket(let path): "sock:\(path)"
    case .replay(let path): "replay:\(path)"
    case .hdpm(let port): "hdpm:\(port)"
    case .emulatedHDPM(let board): board.description
    }
  }
}
