/// How a network was trained and is meant to be sampled: the `rram.*` metadata of its file.
public struct ModelMetadata: Sendable, Hashable {
  /// `rram.sde`: `vp` with `rram.beta0`, `rram.beta1` and `rram.scale`; `subvp` with both β; `ve` with `rram.sigma`; `flow`;
  /// `neural-ode`.
  public var process: DiffusionProcess
  /// `rram.amplitude`: score = amplitude · net(x, t).
  public var amplitude: Float
  /// `rram.solver`: the equation that suits this network, `ode` or `sde`.
  public var equation: ReverseEquation
  /// `rram.data`: the data set it was trained on, `ring`, `letters` or a name of its own.
  public var data: String
  /// `rram.classes`: names of the classes 0, 1, …, comma-separated in the file; empty if they have none.
  public var classNames: [String] = []

  public init(process: DiffusionProcess, amplitude: Float, equation: ReverseEquation, data: String) {
    self.process = process
    self.amplitude = amplitude
    self.equation = equation
    self.data = data
  }

  /// The keys that a file of a process should have, in the order of messages.
  public static func keys(of process: DiffusionProcess) -> [String] {
    let own: [String] =
      switch process {
      case .variancePreserving: ["rram.beta0", "rram.beta1", "rram.scale"]
      case .subVariancePreserving: ["rram.beta0", "rram.beta1"]
      case .varianceExploding: ["rram.sigma"]
      case .flow, .neuralODE: []
      }
    return ["rram.sde"] + own + ["rram.amplitude", "rram.solver", "rram.data"]
  }

  /// The published values: VP with β from 0.001 to 0.5, amplitude 5; unconditional networks scale 2, ODE, data ring,
  /// conditional ones scale 1.5, SDE, data letters (arXiv 2404.05648 and its notebooks).
  public static func published(conditional: Bool) -> ModelMetadata {
    ModelMetadata(
      process: .variancePreserving(beta0: 0.001, beta1: 0.5, scale: conditional ? 1.5 : 2), amplitude: 5,
      equation: conditional ? .sde : .ode, data: conditional ? "letters" : "ring")
  }

  /// The keys and values as they stand in a file.
  public var dictionary: [String: String] {
    var result = [
      "rram.sde": process.name, "rram.amplitude": "\(amplitude)", "rram.solver": equation.rawValue, "rram.data": data,
    ]
    switch process {
    case .variancePreserving(let beta0, let beta1, let scale):
      result["rram.beta0"] = "\(beta0)"
      result["rram.beta1"] = "\(beta1)"
      result["rram.scale"] = "\(scale)"
    case .subVariancePreserving(let beta0, let beta1):
      result["rram.beta0"] = "\(beta0)"
      result["rram.beta1"] = "\(beta1)"
    case .varianceExploding(let sigma): result["rram.sigma"] = "\(sigma)"
    case .flow, .neuralODE: break
    }
    return result
  }

  /// Reads the metadata of a file; what is absent gets the published value.
  ///
  /// - Returns: the metadata, and the keys that were absent.
  static func read(
    _ text: [String: String], conditional: Bool, file: String
  ) throws(ModelError) -> (metadata: ModelMetadata, absent: [String]) {
    func number(
      _ key: String, default value: Double, allowed: (Double) -> Bool, rule: String
    ) throws(ModelError) -> Double {
      guard let entry = text[key] else { return value }
      guard let number = Double(entry), number.isFinite, allowed(number) else {
        throw ModelError(.invalidMetadata, file, key: key, reason: "'\(entry)' found, \(rule) expected")
      }
      return number
    }
    var metadata = published(conditional: conditional)
    guard case .variancePreserving(let beta0, let beta1, let scale) = metadata.process else { preconditionFailure() }
    func betas() throws(ModelError) -> (Double, Double) {
      let low = try number("rram.beta0", default: beta0, allowed: { $0 >= 0 }, rule: "a number of at least 0")
      return (
        low,
        try number(
          "rram.beta1", default: beta1, allowed: { $0 > 0 && $0 >= low }, rule: "a number above beta0")
      )
    }
    switch text["rram.sde"] ?? "vp" {
    case "vp":
      let (low, high) = try betas()
      metadata.process = .variancePreserving(
        beta0: low, beta1: high,
        scale: try number("rram.scale", default: scale, allowed: { $0 > 0 }, rule: "a number above 0"))
    case "subvp":
      let (low, high) = try betas()
      metadata.process = .subVariancePreserving(beta0: low, beta1: high)
    case "ve":
      guard text["rram.sigma"] != nil else {
        throw ModelError(
          .invalidMetadata, file, key: "rram.sigma", reason: "missing; the process ve has no other value")
      }
      metadata.process = .varianceExploding(
        sigma: try number(
          "rram.sigma", default: 0, allowed: { $0 > 1 && $0 <= 1e3 }, rule: "a number above 1, up to 1000"))
    case "flow":
      metadata.process = .flow
      metadata.equation = .ode
    case "neural-ode":
      metadata.process = .neuralODE
      metadata.equation = .ode
    case let other:
      throw ModelError(
        .invalidMetadata, file, key: "rram.sde",
        reason: "'\(other)' found, vp, subvp, ve, flow and neural-ode are known")
    }
    metadata.amplitude = Float(
      try number(
        "rram.amplitude", default: Double(metadata.amplitude), allowed: { $0 > 0 }, rule: "a number above 0"))
    if let solver = text["rram.solver"] {
      guard let equation = ReverseEquation(rawValue: solver) else {
        throw ModelError(.invalidMetadata, file, key: "rram.solver", reason: "'\(solver)' found, ode or sde expected")
      }
      guard metadata.process.supports(equation) else {
        let kind = metadata.process == .flow ? "flow" : "neural ODE"
        throw ModelError(
          .invalidMetadata, file, key: "rram.solver", reason: "'sde' found, a \(kind) has no SDE")
      }
      metadata.equation = equation
    }
    if let data = text["rram.data"] { metadata.data = data }
    if let names = text["rram.classes"] { metadata.classNames = names.split(separator: ",").map(String.init) }
    return (metadata, keys(of: metadata.process).filter { text[$0] == nil })
  }
}
