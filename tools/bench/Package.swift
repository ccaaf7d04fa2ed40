// swift-tools-version: 6.2
import PackageDescription

// Benchmarks that need more than `rram bench` may bring along: a mocked kernel, a harness, or libraries to compare with.
// Build with RRAM_USB_MOCK=1, which makes the root package offer the mocked kernel; `tools/bench/usb` does it.
let package = Package(
  name: "bench",
  dependencies: [
    .package(name: "rram", path: "../.."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    // Without its traits: they replace malloc and the reference counting for the whole process.
    .package(url: "https://github.com/ordo-one/benchmark", exact: "1.38.1", traits: []),
  ],
  targets: [
    .systemLibrary(name: "CLibUSBPlain", pkgConfig: "libusb-1.0", providers: [.apt(["libusb-1.0-0-dev"])]),
    .executableTarget(
      name: "usb-bench",
      dependencies: [
        "CLibUSBPlain", .product(name: "RRAMKit", package: "rram"), .product(name: "CUSBMock", package: "rram"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    // Work of fixed sizes under the harness.
    .executableTarget(
      name: "Toolkit",
      dependencies: [
        .product(name: "RRAMKit", package: "rram"), .product(name: "Logging", package: "swift-log"),
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/Toolkit", plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ],
  swiftLanguageModes: [.v6]
)
