// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
    name: "mlmirror",
    products: [.executable(name: "mlmirror", targets: ["mlmirror"])],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),

        .target(name: "Curl", dependencies: ["CCurl"], swiftSettings: settings),
        .target(name: "Systemd", dependencies: ["CSystemd"], swiftSettings: settings),
        .target(name: "Hashing", dependencies: ["CCrypto"], swiftSettings: settings),
        .target(name: "Replication", dependencies: ["Hashing", grdb, logging], swiftSettings: settings),
        .target(name: "Platforms", dependencies: ["Curl", "Hashing", "Replication", grdb], swiftSettings: settings),
        .executableTarget(
            name: "mlmirror",
            dependencies: [
                "Platforms", "Replication", "Systemd", logging, "Yams",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings
        ),

        .target(name: "TestSupport", dependencies: ["Replication"], path: "Tests/Support", exclude: ["python"], swiftSettings: settings),
        .target(
            name: "Simulation", dependencies: ["Replication", "TestSupport", grdb, logging], path: "Tests/Simulation",
            swiftSettings: settings),
        .executableTarget(
            name: "simulate", dependencies: ["Replication", "Simulation", "TestSupport"], path: "Tests/Simulate", swiftSettings: settings),
        .testTarget(name: "SimulationTests", dependencies: ["Replication", "Simulation", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "CurlTests", dependencies: ["Curl", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "ReplicationTests", dependencies: ["Replication", "Hashing", "TestSupport", grdb], swiftSettings: settings),
        .testTarget(name: "PlatformsTests", dependencies: ["Platforms", "Curl", "TestSupport", grdb], swiftSettings: settings),
        .testTarget(
            name: "mlmirrorTests", dependencies: ["mlmirror", "Platforms", "Curl", "Systemd", "TestSupport"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
