// swift-tools-version: 6.2
import PackageDescription

// Fuzzing of everything that takes bytes from strangers. Built by tools/fuzz/run, for which the package instruments that
// (RRAM_FUZZ) and lets this one see the insides that have no public door (-enable-testing).
let package = Package(
  name: "fuzz",
  dependencies: [.package(name: "rram", path: "../..")],
  targets: [
    .executableTarget(
      name: "fuzz", dependencies: [.product(name: "RRAMFuzzed", package: "rram")],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])])
  ],
  swiftLanguageModes: [.v6]
)
