// swift-tools-version: 6.2
import PackageDescription

// Benchmarks that need more than `rram bench` may bring along: a mocked kernel, or libraries to compare with.
// Build with RRAM_USB_MOCK=1, which makes the root package offer the mocked kernel; `tools/bench/usb` does it.
let package = Package(
  name: "bench",
  dependencies: [
    .package(name: "rram", path: "../.."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    .systemLibrary(name: "CLibUSBPlain", pkgConfig: "libusb-1.0", providers: [.apt(["libusb-1.0-0-dev"])]),
    .executableTarget(
      name: "usb-bench",
      dependencies: [
        "CLibUSBPlain", .product(name: "RRAMKit", package: "rram"), .product(name: "CUSBMock", package: "rram"),
        .product(name: "Logging", package: "swift-log"),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
