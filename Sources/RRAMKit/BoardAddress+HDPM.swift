extension BoardAddress {
  /// The keys of an `hdpm-emu:` address.
  public struct EmulatedHDPM: Sendable, Hashable, CustomStringConvertible {
    /// The network behind the converters: a shipped name or a path.
    public var model = "ring"
    /// Chip profile whose programming errors it has: a shipped name or a path.
    public var profile = "cmo-hfox"
    /// Of programming errors, start points and noise.
    public var seed: UInt64 = 0
    /// Which embedding the firmware holds.
    public var firmware = Firmware.published

    /// The coefficients in the virtual firmware.
    public enum Firmware: String, Sendable, Hashable, CaseIterable {
      /// The 21 published presets.
      case published
      /// Preset 0 holds the model's own frequencies, as a lab that builds its own firmware would have it; a class `k` of a conditional
      /// model is preset `k`.
      case model
    }

    public init() {}

    public var description: String {
      "hdpm-emu:model=\(model),profile=\(profile),seed=\(seed)"
        + (firmware == .published ? "" : ",firmware=\(firmware.rawValue)")
    }
  }

  static func emulatedHDPM(_ keys: String, address: String) throws(ParseError) -> EmulatedHDPM {
    var board = EmulatedHDPM()
    for (key, value) in try pairs(keys, address: address) {
      switch key {
      case "model": board.model = value
      case "profile": board.profile = value
      case "seed": board.seed = try seed(value, address: address)
      case "firmware":
        guard let firmware = EmulatedHDPM.Firmware(rawValue: value) else {
          throw ParseError(address: address, reason: "firmware '\(value)': published and model are known")
        }
        board.firmware = firmware
      default:
        throw ParseError(address: address, reason: "unknown key '\(key)'; known are model, profile, seed, firmware")
      }
    }
    return board
  }
}
