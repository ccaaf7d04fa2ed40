// libFuzzer calls the target that RRAM_FUZZ_TARGET names; its own options follow on the command line.
import Foundation
import Glibc

/// Declared in the compiler's runtime (compiler-rt/include/fuzzer/FuzzerInterface.h).
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ argc: UnsafeMutablePointer<Int32>,
  _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

// libFuzzer calls from the main thread only.
nonisolated(unsafe) private var target: (([UInt8]) -> Void)?

/// The runtime's own main refers to it.
@_cdecl("LLVMFuzzerTestOneInput") public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  target?(Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}

let name = ProcessInfo.processInfo.environment["RRAM_FUZZ_TARGET"] ?? ""
if CommandLine.arguments.dropFirst().first == "--list" {
  print(fuzzTargets.map(\.name).joined(separator: "\n"))
  exit(0)
}
if CommandLine.arguments.dropFirst().first == "--seeds" {
  try writeSeeds(to: URL(filePath: CommandLine.arguments[2], directoryHint: .isDirectory))
  exit(0)
}
guard let chosen = fuzzTargets.first(where: { $0.name == name }) else {
  print("RRAM_FUZZ_TARGET '\(name)': one of \(fuzzTargets.map(\.name).joined(separator: ", "))")
  exit(64)
}
target = try chosen.make()
var argc = CommandLine.argc
var argv = CommandLine.unsafeArgv
exit(runDriver(&argc, &argv) { testOneInput($0, $1) })
