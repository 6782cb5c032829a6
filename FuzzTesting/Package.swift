// swift-tools-version: 6.2
// Fuzzers of the parsers that read what peers, people and former processes wrote. README.md says how to run them.

import PackageDescription

/// libFuzzer brings `main`.
let fuzzer: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-parse-as-library"])]

let daemonParts: Target.Dependency = .product(name: "DaemonParts", package: "litebase")
let checks: Target.Dependency = .product(name: "LiteBaseTesting", package: "litebase")
let completion: Target.Dependency = .product(name: "Completion", package: "litebase")
let client: Target.Dependency = .product(name: "LiteBaseClient", package: "litebase")

let package = Package(
    name: "FuzzTesting",
    dependencies: [.package(name: "litebase", path: "..")],
    targets: [
        .executableTarget(name: "FuzzFrames", dependencies: [checks], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzJSON", dependencies: [checks], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzMessagePack", dependencies: [checks], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzSettings", dependencies: [daemonParts], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzAddresses", dependencies: [daemonParts], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzHandover", dependencies: [daemonParts], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzReplies", dependencies: [client], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzCommands", dependencies: [daemonParts], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzCluster", dependencies: [daemonParts], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzCatalog", dependencies: [checks], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzCompletion", dependencies: [checks], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzScanner", dependencies: [completion], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzRows", dependencies: [checks], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzArrow", dependencies: [checks], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzTable", dependencies: [daemonParts], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzStatements", dependencies: [checks], swiftSettings: fuzzer),
    ]
)
