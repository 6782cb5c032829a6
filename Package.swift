// swift-tools-version: 6.2
// LiteBase: the local database service of a Linux machine. ARCHITECTURE.md explains the targets and their direction.

import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
// A single `contains("text")` would bring the engine of regular expressions, 1 MB of program; nothing in the programs needs it.
let lean =
    strict + [.unsafeFlags(["-Xfrontend", "-disable-implicit-string-processing-module-import"])]
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
// A directory named swift-argument-parser that has it, instead of its repository: for builds without a network.
let argumentParserPackage: Package.Dependency =
    if let path = Context.environment["LITEBASE_ARGUMENT_PARSER"] {
        .package(path: path)
    } else {
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    }

let package = Package(
    name: "litebase",
    products: [
        .executable(name: "litebased", targets: ["litebased"]),
        .executable(name: "litebase", targets: ["litebase"]),
        .library(name: "LiteBaseClient", targets: ["LiteBaseClient"]),
        // For the packages in FuzzTesting/ and Benchmarks/ only.
        .library(name: "WireProtocol", targets: ["WireProtocol"]),
        .library(name: "DaemonParts", targets: ["Configuration", "Server", "DatabaseDrivers", "LinuxSystem"]),
    ],
    dependencies: [argumentParserPackage],
    targets: [
        // What Swift's Glibc module lacks, and C libraries.
        .target(name: "CLinux"),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        // What SQLite takes, charged to users.
        .target(name: "CSQLiteAccounts", dependencies: ["CLinux", "CSQLite"]),
        // systemd's own library for what is said between it and a service.
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        // The files that SQLite may open and delete, and what it may do with what it has mapped.
        .target(name: "CSQLiteFiles", dependencies: ["CSQLite"]),
        .target(name: "CToml"),
        // Line editing; the library is opened when the shell starts, so that no other command pays for it.
        .target(name: "CEditLine"),
        .target(name: "CNumbers"),
        // libpq is opened when the first PostgreSQL database is named, so that no other daemon pays for it.
        .target(name: "CPostgreSQL", dependencies: ["CLinux"]),
        // libmariadb likewise.
        .target(name: "CMariaDB"),
        // hiredis likewise, when the first Redis database is named.
        .target(name: "CHiredis"),

        // Foundations: no knowledge of databases or of the protocol's meaning.
        .target(name: "ByteBuffers", swiftSettings: strict),
        .target(name: "LinuxSystem", dependencies: ["CLinux", "ByteBuffers"], swiftSettings: strict),
        .target(name: "SystemdSupport", dependencies: ["LinuxSystem", "CSystemd"], swiftSettings: lean),

        // The language on the socket: pure, no I/O.
        .target(name: "WireProtocol", dependencies: ["ByteBuffers", "CNumbers"], swiftSettings: strict),

        // The engines; they do not know the wire format.
        .target(
            name: "DatabaseDrivers",
            dependencies: [
                "LinuxSystem", "ByteBuffers", "CNumbers", "CSQLite", "CSQLiteAccounts", "CSQLiteFiles", "CPostgreSQL",
                "CMariaDB",
                "CHiredis",
            ],
            swiftSettings: lean),

        // The service: connections, sessions, routing, limits. Knows nothing of systemd.
        .target(
            name: "Server", dependencies: ["WireProtocol", "DatabaseDrivers", "LinuxSystem", "ByteBuffers"],
            swiftSettings: lean),
        .target(
            name: "Configuration", dependencies: ["Server", "DatabaseDrivers", "LinuxSystem", "CToml"],
            swiftSettings: lean),
        .executableTarget(
            name: "litebased",
            dependencies: ["Configuration", "Server", "SystemdSupport", "LinuxSystem", "DatabaseDrivers"],
            swiftSettings: lean),

        // The other side of the socket.
        .target(
            name: "LiteBaseClient", dependencies: ["WireProtocol", "LinuxSystem", "ByteBuffers"],
            swiftSettings: strict),
        .executableTarget(
            name: "litebase",
            dependencies: [
                "LiteBaseClient", "WireProtocol", "LinuxSystem", "ByteBuffers", "CEditLine", argumentParser,
            ], swiftSettings: lean),

        // Never part of a product.
        .target(
            name: "LiteBaseTesting", dependencies: ["LinuxSystem", "ByteBuffers"], swiftSettings: strict),
        .testTarget(
            name: "ByteBuffersTests", dependencies: ["ByteBuffers", "LiteBaseTesting"], swiftSettings: strict),
        .testTarget(
            name: "LinuxSystemTests", dependencies: ["LinuxSystem", "LiteBaseTesting"], swiftSettings: strict),
        .testTarget(
            name: "WireProtocolTests", dependencies: ["WireProtocol", "ByteBuffers", "LiteBaseTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "DatabaseDriversTests",
            dependencies: ["DatabaseDrivers", "LinuxSystem", "LiteBaseTesting", "CSQLite"], swiftSettings: strict),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "Server", "WireProtocol", "DatabaseDrivers", "LinuxSystem", "ByteBuffers", "LiteBaseTesting",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ConfigurationTests", dependencies: ["Configuration", "Server", "LinuxSystem", "LiteBaseTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "DaemonTests",
            dependencies: ["litebased", "Configuration", "Server", "SystemdSupport", "LinuxSystem", "LiteBaseTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "LiteBaseClientTests",
            dependencies: ["LiteBaseClient", "WireProtocol", "LinuxSystem", "ByteBuffers", "LiteBaseTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "litebase", "LiteBaseClient", "WireProtocol", "LinuxSystem", "ByteBuffers", "LiteBaseTesting",
                argumentParser,
            ],
            exclude: ["Snapshots"], swiftSettings: lean),
    ],
    cxxLanguageStandard: .cxx17
)
