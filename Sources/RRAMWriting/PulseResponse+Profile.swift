internal import Foundation
public import RRAMProfiles
public import RRAMUnits
public import RRAMWire

extension PulseResponse {
  /// The response that a chip's profile states, before anything is known of the chip itself.
  ///
  /// - Parameter width: width of the pulses of both ramps.
  public init(_ profile: ChipProfile) {
    let programming = profile.programming
    let endpoints = programming.endpoints
    var setGoal = profile.cells.asymptotes.upperBound
    let gate = programming.setControl == .gate ? programming.gate : nil
    if let gate {
      setGoal = min(setGoal, Siemens(gate.slope * (programming.set.wordLine - gate.threshold).rawValue))
    }
    self.init(
      set: programming.setVoltage, setGoal: setGoal, reset: programming.resetVoltage,
      resetGoal: profile.cells.asymptotes.lowerBound, voltsPerDecade: programming.voltsPerDecade,
      referenceWidth: programming.referenceWidth, rateSpread: programming.cycleSpread,
      cellSpread: programming.deviceSpread, gateThreshold: gate?.threshold ?? .zero, gateSlope: gate?.slope ?? 0,
      gatePulseSpread: endpoints.pulse,
      gateCellSpread: (endpoints.cycle * endpoints.cycle + endpoints.device * endpoints.device).squareRoot(),
      readSpread: profile.readSpread, grid: .millivolts(10))
  }
}

extension ChipProfile {
  /// σ of one verify read ÷ G in the middle of the window, from reads a millisecond apart.
  public var readSpread: Double {
    let middle = (cells.conductance.lowerBound + cells.conductance.upperBound) / 2
    let apart = 1e-3
    var variance = 0.0
    if let components = relaxation.components {
      variance =
        components.value(components.fast, at: middle)
        + components.value(components.stationary, at: middle) * log10(1 + apart / components.onset.seconds)
    } else {
      // The published 1/f law of CMO/HfOx: σ = k·log10(G/µS)·√ln((t + t_r)/2t_r), t_r = 1 µs.
      let sigma = readNoise.flicker.rawValue * max(0, log10(middle.microsiemens))
      variance = sigma * sigma * log((apart + 1e-6) / 2e-6)
    }
    return variance.squareRoot() / middle.rawValue
  }

  /// σ of G − target at an age after a write that accepted |G − target| ≤ `tolerance`: errors even over the window, and what the cell
  /// does since, as the profile's law of relaxation states it; both independent.
  public func targetError(after age: Duration, at conductance: Siemens, tolerance: Siemens) -> Siemens {
    let verify = tolerance.rawValue / 3.0.squareRoot()
    let later = relaxation.sigma(after: age, at: conductance).rawValue
    return Siemens((verify * verify + later * later).squareRoot())
  }
}
