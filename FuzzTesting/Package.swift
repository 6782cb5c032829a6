// swift-tools-version: 6.2
// Fuzzers of the parsers that read what a peer sends. README.md says how to run them.

import PackageDescription

/// libFuzzer brings `main`.
let fuzzer: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-parse-as-library"])]

let package = Package(
    name: "FuzzTesting",
    dependencies: [.package(name: "litebase", path: "..")],
    targets: [
        .target(name: "FuzzChecks", dependencies: [.product(name: "WireProtocol", package: "litebase")]),
        .executableTarget(name: "FuzzFrames", dependencies: ["FuzzChecks"], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzJSON", dependencies: ["FuzzChecks"], swiftSettings: fuzzer),
        .executableTarget(name: "FuzzMessagePack", dependencies: ["FuzzChecks"], swiftSettings: fuzzer),
    ]
)
