// swift-tools-version: 6.2
import PackageDescription

// Fuzzing of everything that takes bytes from strangers. Built by tools/fuzz/run, which instruments the whole graph
// (-sanitize=fuzzer) and lets this package see the insides that have no public door (-enable-testing).
let package = Package(
  name: "fuzz",
  dependencies: [.package(name: "rram", path: "../..")],
  targets: [
    .executableTarget(name: "fuzz", dependencies: [.product(name: "RRAMKit", package: "rram")])
  ],
  swiftLanguageModes: [.v6]
)
