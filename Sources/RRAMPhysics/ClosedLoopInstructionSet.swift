internal import CAnalogKernel
internal import Glibc

/// An instruction set the loop's kernel is compiled for.
///
/// AVX-512 and AVX2 give the same bits; the others lack fused multiply-add or have it in another width and differ by
/// rounding.
public enum InstructionSet: String, Sendable, Hashable, CaseIterable {
  case portable, sse2, avx2, avx512, neon

  var code: ak_isa {
    switch self {
    case .portable: AK_ISA_PORTABLE
    case .sse2: AK_ISA_SSE2
    case .avx2: AK_ISA_AVX2
    case .avx512: AK_ISA_AVX512
    case .neon: AK_ISA_NEON
    }
  }

  /// True if this machine runs it.
  public var isSupported: Bool { ak_isa_supported(code) != 0 }

  /// The sets this machine runs, in the order of their declaration.
  public static var supported: [InstructionSet] { allCases.filter(\.isSupported) }

  /// The fastest set this machine runs.
  public static var best: InstructionSet {
    let code = ak_isa_best()
    return allCases.first { $0.code == code } ?? .portable
  }

  /// The set that `RRAM_ISA` names, or the fastest one if it is unset or empty.
  public static func selected() throws(LoopError) -> InstructionSet {
    guard let raw = getenv("RRAM_ISA"), raw.pointee != 0 else { return best }
    return try named(String(cString: raw))
  }

  static func named(_ name: String) throws(LoopError) -> InstructionSet {
    let names = supported.map(\.rawValue).joined(separator: ", ")
    guard let set = InstructionSet(rawValue: name) else {
      throw LoopError(.instructionSet, "unknown instruction set '\(name)' in RRAM_ISA: this machine runs \(names)")
    }
    guard set.isSupported else {
      throw LoopError(
        .instructionSet, "instruction set \(name) of RRAM_ISA is not available: this machine runs \(names)")
    }
    return set
  }
}
