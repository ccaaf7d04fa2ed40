// swift-tools-version: 6.2
import PackageDescription

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

// The allowed direction of imports is checked by tools/check; keep this list in the order of the layers.
let package = Package(
  name: "rram",
  products: [
    .library(name: "RRAMKit", targets: ["RRAMKit"]),
    .executable(name: "rram", targets: ["rram"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.8.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    // System libraries and C.
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CLibUSB", pkgConfig: "libusb-1.0", providers: [.apt(["libusb-1.0-0-dev"])]),
    .systemLibrary(name: "CLibudev", pkgConfig: "libudev", providers: [.apt(["libudev-dev"])]),
    .systemLibrary(
      name: "CUSBRedir", pkgConfig: "libusbredirparser-0.5", providers: [.apt(["libusbredirparser-dev"])]),
    .systemLibrary(name: "CKLU", providers: [.apt(["libsuitesparse-dev"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5-serial", providers: [.apt(["libhdf5-dev"])]),
    .target(name: "CAnalogKernel"),
    // Ground.
    .target(name: "RRAMUnits"),
    .target(name: "RRAMFiles", dependencies: ["RRAMUnits", "CZlib"]),
    .target(
      name: "RRAMProfiles",
      dependencies: ["RRAMUnits", "Yams"],
      resources: [.copy("Resources/chips"), .copy("Resources/boards")]),
    // The wire and what carries it.
    .target(
      name: "RRAMWire",
      dependencies: ["RRAMUnits", "CZlib", .product(name: "SwiftProtobuf", package: "swift-protobuf")]),
    // How cells are written: what firmware and host share.
    .target(name: "RRAMWriting", dependencies: ["RRAMUnits", "RRAMWire", "RRAMProfiles"]),
    .target(name: "RRAMTransport", dependencies: ["RRAMUnits"]),
    .target(name: "RRAMUSB", dependencies: ["RRAMUnits", "RRAMTransport", "CLibUSB", "CLibudev", logging]),
    // Device layer and the emulated device.
    .target(
      name: "RRAMBoard",
      dependencies: [
        "RRAMUnits", "RRAMWire", "RRAMTransport", "RRAMProfiles", logging,
        .product(name: "DequeModule", package: "swift-collections"),
      ]),
    // The protocol suite for boards.
    .target(
      name: "RRAMConformance", dependencies: ["RRAMUnits", "RRAMWire", "RRAMTransport", "RRAMProfiles"]),
    .target(name: "RRAMPhysics", dependencies: ["RRAMUnits", "RRAMProfiles", "CAnalogKernel", "CKLU"]),
    .target(
      name: "RRAMEmulator",
      dependencies: [
        "RRAMUnits", "RRAMWire", "RRAMTransport", "RRAMWriting", "RRAMPhysics", "RRAMProfiles", "RRAMFiles", logging,
      ]),
    .target(
      name: "RRAMEmulatorUSB",
      dependencies: ["RRAMUnits", "RRAMWire", "RRAMTransport", "RRAMEmulator", "CUSBRedir", logging]),
    // Networks, mapping, sampling, records.
    .target(
      name: "RRAMModel",
      dependencies: ["RRAMUnits", "RRAMFiles", "CAnalogKernel"],
      resources: [.copy("Resources/models"), .copy("Resources/data")]),
    .target(
      name: "RRAMRecords",
      dependencies: [
        "RRAMUnits", "RRAMWire", "RRAMBoard", "RRAMProfiles", "RRAMFiles",
        .product(name: "GRDB", package: "GRDB.swift"),
      ]),
    .target(
      name: "RRAMMapping",
      dependencies: [
        "RRAMUnits", "RRAMWire", "RRAMWriting", "RRAMBoard", "RRAMModel", "RRAMProfiles", "CAnalogKernel",
        "RRAMRecords", logging,
      ]),
    .target(
      name: "RRAMSampling",
      dependencies: [
        "RRAMUnits", "RRAMWire", "RRAMBoard", "RRAMModel", "RRAMMapping", "RRAMProfiles", "CAnalogKernel",
        "RRAMRecords", "RRAMFiles", logging,
      ]),
    .target(
      name: "RRAMCharacterization",
      dependencies: [
        "RRAMUnits", "RRAMFiles", "RRAMWire", "RRAMBoard", "RRAMPhysics", "RRAMProfiles", "RRAMMapping", "RRAMRecords",
      ],
      resources: [.copy("Resources/plans")]),
    // The published STM32F407 board and its virtual twin.
    .target(
      name: "HDPMBoard", dependencies: ["RRAMUnits", "RRAMTransport", "RRAMModel", "RRAMPhysics", "RRAMProfiles"],
      resources: [.copy("Resources/presets.csv")]),
    // Composition root and command line.
    .target(
      name: "RRAMKit",
      dependencies: [
        "RRAMUnits", "RRAMFiles", "RRAMProfiles", "RRAMWire", "RRAMTransport", "RRAMUSB", "RRAMBoard",
        "RRAMPhysics", "RRAMEmulator", "RRAMEmulatorUSB", "RRAMModel", "RRAMRecords", "RRAMWriting", "RRAMMapping",
        "RRAMSampling", "RRAMCharacterization", "RRAMConformance", "HDPMBoard", logging,
      ]),
    .executableTarget(
      name: "rram",
      dependencies: [
        "RRAMUnits", "RRAMKit", "CHDF5", logging,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ]),
    // What tools/usb-guest runs against a board that a real kernel has enumerated.
    .executableTarget(
      name: "usb-guest-checks", dependencies: ["RRAMWire", "RRAMTransport", "RRAMUSB", "RRAMEmulatorUSB"],
      path: "tools/usb-guest/checks"),
    // Test support: boards and links that break, for tests and for tools/soak. No product.
    .target(
      name: "RRAMFaults", dependencies: ["RRAMUnits", "RRAMWire", "RRAMTransport", "RRAMProfiles", "RRAMEmulator"],
      path: "tools/soak/Faults"),
    .executableTarget(
      name: "soak",
      dependencies: [
        "RRAMUnits", "RRAMKit", "RRAMFaults", logging,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "tools/soak/Sources"),
    // Tests: one target each, named for the target it tests.
    .testTarget(name: "RRAMUnitsTests", dependencies: ["RRAMUnits"]),
    .testTarget(
      name: "RRAMPhysicsTests", dependencies: ["CAnalogKernel", "RRAMUnits", "RRAMProfiles", "RRAMPhysics"],
      resources: [.copy("Resources")]),
    .testTarget(name: "RRAMProfilesTests", dependencies: ["RRAMUnits", "RRAMProfiles"]),
    .testTarget(
      name: "RRAMWireTests",
      dependencies: ["RRAMUnits", "RRAMWire", .product(name: "SwiftProtobuf", package: "swift-protobuf")]),
    .testTarget(
      name: "RRAMWritingTests", dependencies: ["RRAMUnits", "RRAMWire", "RRAMProfiles", "RRAMPhysics", "RRAMWriting"]),
    .testTarget(
      name: "RRAMConformanceTests",
      dependencies: [
        "RRAMUnits", "RRAMWire", "RRAMTransport", "RRAMProfiles", "RRAMBoard", "RRAMEmulator", "RRAMConformance",
        "RRAMFaults",
      ]),
    .testTarget(
      name: "RRAMEmulatorTests",
      dependencies: [
        "RRAMUnits", "RRAMFiles", "RRAMWire", "RRAMTransport", "RRAMPhysics", "RRAMProfiles", "RRAMEmulator",
      ]),
    .testTarget(
      name: "RRAMEmulatorUSBTests",
      dependencies: [
        "RRAMUnits", "RRAMProfiles", "RRAMWire", "RRAMTransport", "RRAMUSB", "RRAMEmulator", "RRAMEmulatorUSB",
        "CUSBRedir",
      ]),
    .testTarget(name: "RRAMTransportTests", dependencies: ["RRAMTransport"]),
    .testTarget(name: "RRAMUSBTests", dependencies: ["RRAMTransport", "RRAMUSB"]),
    .testTarget(
      name: "RRAMBoardTests",
      dependencies: [
        "RRAMUnits", "RRAMProfiles", "RRAMWire", "RRAMTransport", "RRAMBoard", "RRAMEmulator", "RRAMFaults",
      ]),
    .testTarget(name: "RRAMFilesTests", dependencies: ["RRAMFiles"], resources: [.copy("Resources")]),
    .testTarget(
      name: "RRAMModelTests", dependencies: ["RRAMModel", "RRAMFiles", "RRAMUnits"],
      resources: [.copy("Resources")]),
    .testTarget(
      name: "HDPMBoardTests",
      dependencies: ["RRAMUnits", "RRAMTransport", "RRAMModel", "RRAMPhysics", "RRAMProfiles", "HDPMBoard"]),
    .testTarget(
      name: "RRAMMappingTests",
      dependencies: [
        "RRAMUnits", "RRAMProfiles", "RRAMModel", "RRAMWire", "RRAMTransport", "RRAMBoard", "RRAMRecords",
        "RRAMMapping", "RRAMEmulator",
      ]),
    .testTarget(
      name: "RRAMSamplingTests",
      dependencies: [
        "RRAMUnits", "RRAMProfiles", "RRAMFiles", "RRAMModel", "RRAMWire", "RRAMTransport", "RRAMBoard",
        "RRAMRecords", "RRAMMapping", "RRAMSampling", "RRAMEmulator", "RRAMPhysics", "RRAMCharacterization",
      ]),
    .testTarget(
      name: "RRAMRecordsTests",
      dependencies: [
        "RRAMUnits", "RRAMProfiles", "RRAMWire", "RRAMBoard", "RRAMRecords",
        .product(name: "GRDB", package: "GRDB.swift"),
      ]),
    .testTarget(
      name: "RRAMCharacterizationTests",
      dependencies: [
        "RRAMUnits", "RRAMProfiles", "RRAMWire", "RRAMTransport", "RRAMBoard", "RRAMEmulator", "RRAMRecords",
        "RRAMPhysics", "RRAMCharacterization",
      ]),
    .testTarget(name: "RRAMKitTests", dependencies: ["RRAMKit"]),
    .testTarget(
      name: "rramTests",
      dependencies: [
        "rram", "RRAMKit", .product(name: "Subprocess", package: "swift-subprocess"),
        .product(name: "SystemPackage", package: "swift-system"),
      ]),
  ]
)

// Builds under a sanitizer cost minutes: only the tests that are wanted then, and what they stand on (tools/sanitize).
if let wanted = Context.environment["RRAM_TESTS"] {
  var kept = Set(wanted.split(separator: " ").map(String.init))
  var found = kept
  while !found.isEmpty {
    let needed = package.targets.filter { found.contains($0.name) }.flatMap(\.dependencies)
    found = Set(
      needed.compactMap { dependency in
        switch dependency {
        case .byNameItem(let name, _), .targetItem(let name, _): name
        default: nil
        }
      }
    ).subtracting(kept)
    kept.formUnion(found)
  }
  package.targets.removeAll { !kept.contains($0.name) }
  package.products.removeAll { _ in true }
}

// For tools/fuzz, a package of its own: what takes bytes from strangers, and no more. Only that is instrumented: libFuzzer looks at every
// counter after each of some thousand executions a second.
if Context.environment["RRAM_FUZZ"] != nil {
  let fuzzed = [
    "RRAMUnits", "RRAMFiles", "RRAMProfiles", "RRAMWire", "RRAMTransport", "RRAMEmulator", "RRAMEmulatorUSB",
    "RRAMCharacterization", "HDPMBoard",
  ]
  package.products.append(.library(name: "RRAMFuzzed", targets: fuzzed))
  for target in package.targets where fuzzed.contains(target.name) {
    target.swiftSettings = [.unsafeFlags(["-sanitize=fuzzer"])]
  }
}

// The mocked USB tests link umockdev, and a library that stands before libc in the whole test bundle: only where tools/test
// found both.
if let wanted = Context.environment["RRAM_USB_MOCK"] {
  // Builds of everything under a sanitizer cost minutes: these tests alone then.
  if wanted == "only" { package.targets.removeAll { $0.type == .test } }
  // For tools/bench, which is a package of its own.
  package.products.append(.library(name: "CUSBMock", targets: ["CUSBMock"]))
  package.targets += [
    .systemLibrary(
      name: "CUMockdev", path: "Tests/CUMockdev", pkgConfig: "umockdev-1.0", providers: [.apt(["libumockdev-dev"])]),
    .target(
      name: "CUSBMock", dependencies: ["CUMockdev"], path: "Tests/CUSBMock",
      linkerSettings: [.linkedLibrary(":libumockdev-preload.so.0")]),
    .testTarget(
      name: "RRAMUSBMockTests",
      dependencies: [
        "CUSBMock", "RRAMUnits", "RRAMProfiles", "RRAMWire", "RRAMTransport", "RRAMUSB", "RRAMBoard", "RRAMEmulator",
        "RRAMKit", "rram",
      ]),
  ]
}

for target in package.targets where target.type != .system && !["CAnalogKernel", "CUSBMock"].contains(target.name) {
  target.swiftSettings =
    (target.swiftSettings ?? []) + [
      .swiftLanguageMode(.v6),
      .enableUpcomingFeature("ExistentialAny"),
      .enableUpcomingFeature("MemberImportVisibility"),
      .enableUpcomingFeature("InternalImportsByDefault"),
      .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
      .treatAllWarnings(as: .error),
    ]
}
