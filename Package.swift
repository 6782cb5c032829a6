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
        .library(name: "LiteBaseTesting", targets: ["LiteBaseTesting"]),
        .library(name: "Completion", targets: ["Completion"]),
        .library(
            name: "DaemonParts",
            targets: [
                "Configuration", "Server", "DatabaseContract", "DatabaseEngines", "SQLiteEngine", "PostgreSQLEngine",
                "MySQLEngine", "RedisEngine", "SQLText", "LinuxSystem",
            ]),
    ],
    dependencies: [argumentParserPackage],
    targets: [
        // What Swift's Glibc module lacks, and C libraries.
        .target(name: "CLinux", exclude: ["DESIGN.md"]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        // What SQLite takes, charged to users.
        .target(name: "CSQLiteAccounts", dependencies: ["CLinux", "CSQLite"], exclude: ["DESIGN.md"]),
        // SQLite's page cache for readers, whose pages the daemon looks into.
        .target(name: "CSQLitePages", dependencies: ["CSQLite"], exclude: ["DESIGN.md"]),
        // systemd's own library for what is said between it and a service.
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        // The files that SQLite may open and delete, and what it may do with what it has mapped.
        .target(name: "CSQLiteFiles", dependencies: ["CLinux", "CSQLite"], exclude: ["DESIGN.md"]),
        .target(name: "CToml"),
        // Line editing; the library is opened when the shell starts, so that no other command pays for it.
        .target(name: "CEditLine"),
        // The user's own history, by SQLite, which is opened by the commands that need it.
        .target(name: "CHistoryStore"),
        // Spreadsheets; the library is opened by the command that writes one.
        .target(name: "CSpreadsheet"),
        .target(name: "CNumbers"),
        // How much of a loop's time and memory a client library may take.
        .target(name: "CSocketLimits", dependencies: ["CLinux"], exclude: ["DESIGN.md"]),
        // Client libraries are declared by their headers (libpq-dev, libmariadb-dev, libhiredis-dev) and not linked: each is opened
        // when the first database of its kind is named, so that no other daemon pays for it. As .systemLibrary targets they
        // would be linked.
        .target(name: "CPostgreSQL", dependencies: ["CSocketLimits"], exclude: ["DESIGN.md"]),
        .target(name: "CMariaDB"),
        .target(name: "CHiredis"),

        // Foundations: no knowledge of databases or of the protocol's meaning.
        .target(name: "ByteBuffers", exclude: ["DESIGN.md"], swiftSettings: strict),
        .target(
            name: "LinuxSystem", dependencies: ["CLinux", "ByteBuffers"], exclude: ["DESIGN.md"], swiftSettings: strict),
        .target(
            name: "SystemdSupport", dependencies: ["LinuxSystem", "CSystemd"], exclude: ["DESIGN.md"],
            swiftSettings: lean),

        // The language on the socket: pure, no I/O.
        .target(
            name: "WireProtocol", dependencies: ["ByteBuffers", "CNumbers"], exclude: ["DESIGN.md"],
            swiftSettings: strict),

        // What must be known of SQL without an engine: pure, no I/O. For the daemon, the command line and the fuzzers.
        .target(name: "SQLText", dependencies: ["ByteBuffers"], exclude: ["DESIGN.md"], swiftSettings: lean),

        // What may come next at a place of a statement: pure, no I/O. For the daemon and the command line.
        .target(name: "Completion", dependencies: ["SQLText"], exclude: ["DESIGN.md"], swiftSettings: lean),
        // Rows in files, and text in its encodings: pure, no I/O.
        .target(
            name: "Tabular", dependencies: ["ByteBuffers", "CNumbers"], exclude: ["DESIGN.md"], swiftSettings: lean),
        // Rows as a stream of Apache Arrow: pure, no I/O.
        .target(
            name: "ArrowStream", dependencies: ["Tabular", "ByteBuffers", "CNumbers"], exclude: ["DESIGN.md"],
            swiftSettings: lean),
        // What is in a database, as an index in memory: pure, no I/O.
        .target(name: "Catalog", dependencies: ["ByteBuffers"], exclude: ["DESIGN.md"], swiftSettings: lean),

        // What every engine offers, and what the daemon lends to them; they do not know the wire format.
        .target(
            name: "DatabaseContract", dependencies: ["Catalog", "Tabular", "LinuxSystem", "ByteBuffers"],
            exclude: ["DESIGN.md"], swiftSettings: lean),
        // What engines behind a socket share: the pool of connections, and how one of them is used.
        .target(
            name: "RemoteDatabases", dependencies: ["DatabaseContract", "SQLText", "LinuxSystem", "ByteBuffers"],
            exclude: ["DESIGN.md"],
            swiftSettings: lean),
        // One target for each engine. None knows another one.
        .target(
            name: "SQLiteEngine",
            dependencies: [
                "Catalog", "Tabular", "DatabaseContract", "SQLText", "LinuxSystem", "CSQLite", "CSQLiteAccounts",
                "CSQLiteFiles", "CSQLitePages",
            ],
            exclude: ["DESIGN.md"], swiftSettings: lean),
        .target(
            name: "PostgreSQLEngine",
            dependencies: [
                "Catalog", "Tabular", "DatabaseContract", "RemoteDatabases", "SQLText", "LinuxSystem", "ByteBuffers",
                "CNumbers", "CPostgreSQL",
            ],
            exclude: ["DESIGN.md"], swiftSettings: lean),
        .target(
            name: "MySQLEngine",
            dependencies: [
                "Catalog", "Tabular", "DatabaseContract", "RemoteDatabases", "SQLText", "LinuxSystem", "ByteBuffers",
                "CNumbers", "CMariaDB", "CSocketLimits",
            ],
            exclude: ["DESIGN.md"], swiftSettings: lean),
        .target(
            name: "RedisEngine",
            dependencies: [
                "Catalog", "DatabaseContract", "RemoteDatabases", "SQLText", "LinuxSystem", "ByteBuffers", "CNumbers",
                "CHiredis",
            ],
            exclude: ["DESIGN.md"], swiftSettings: lean),
        // All of them, by the URLs of their databases.
        .target(
            name: "DatabaseEngines",
            dependencies: ["DatabaseContract", "SQLiteEngine", "PostgreSQLEngine", "MySQLEngine", "RedisEngine"],
            exclude: ["DESIGN.md"], swiftSettings: lean),

        // The service: connections, sessions, routing, limits. Knows nothing of systemd.
        .target(
            name: "Server",
            dependencies: [
                "Catalog", "Tabular", "ArrowStream", "Completion", "WireProtocol", "DatabaseContract", "LinuxSystem",
                "ByteBuffers",
            ],
            exclude: ["DESIGN.md"], swiftSettings: lean),
        .target(
            name: "Configuration",
            dependencies: ["Server", "DatabaseContract", "LinuxSystem", "CToml"],
            exclude: ["DESIGN.md"], swiftSettings: lean),
        .executableTarget(
            name: "litebased",
            dependencies: [
                "Configuration", "Server", "DatabaseContract", "DatabaseEngines", "SystemdSupport", "LinuxSystem",
            ],
            exclude: ["DESIGN.md"], swiftSettings: lean,
            // libpq and OpenSSL are to find it here (CSocketLimits.c), and the linker exports only what a linked library uses.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--export-dynamic-symbol=HMAC_Init_ex"])]),

        // The other side of the socket.
        .target(
            name: "LiteBaseClient", dependencies: ["WireProtocol", "LinuxSystem", "ByteBuffers"],
            exclude: ["DESIGN.md"], swiftSettings: strict),
        // Definitions of SQLite in the words of PostgreSQL, for a database that outgrows one machine.
        .target(
            name: "SchemaTranslation", dependencies: ["SQLText"], exclude: ["DESIGN.md"], swiftSettings: lean),
        .executableTarget(
            name: "litebase",
            dependencies: [
                "LiteBaseClient", "WireProtocol", "SQLText", "SchemaTranslation", "LinuxSystem", "ByteBuffers",
                "CEditLine",
                "CHistoryStore", "CSpreadsheet", argumentParser,
            ], exclude: ["DESIGN.md"], swiftSettings: lean),

        // Never part of a product.
        .target(
            name: "LiteBaseTesting",
            dependencies: [
                "Catalog", "WireProtocol", "SQLText", "Completion", "Tabular", "ArrowStream", "LinuxSystem",
                "ByteBuffers",
            ],
            exclude: ["DESIGN.md"], swiftSettings: strict),
        .testTarget(name: "CatalogTests", dependencies: ["Catalog", "LiteBaseTesting"], swiftSettings: strict),
        .testTarget(name: "TabularTests", dependencies: ["Tabular", "LiteBaseTesting"], swiftSettings: strict),
        .testTarget(
            name: "ArrowStreamTests", dependencies: ["ArrowStream", "LinuxSystem", "ByteBuffers", "LiteBaseTesting"],
            swiftSettings: strict),
        .testTarget(name: "SQLTextTests", dependencies: ["SQLText", "LiteBaseTesting"], swiftSettings: strict),
        .testTarget(name: "SchemaTranslationTests", dependencies: ["SchemaTranslation"], swiftSettings: strict),
        .testTarget(
            name: "CompletionTests", dependencies: ["Completion", "LinuxSystem", "LiteBaseTesting"], exclude: ["Cases"],
            swiftSettings: strict),
        .testTarget(
            name: "ByteBuffersTests", dependencies: ["ByteBuffers", "LiteBaseTesting"], swiftSettings: strict),
        .testTarget(
            name: "LinuxSystemTests", dependencies: ["LinuxSystem", "LiteBaseTesting"], swiftSettings: strict),
        .testTarget(
            name: "WireProtocolTests", dependencies: ["WireProtocol", "ByteBuffers", "LiteBaseTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "EngineTests",
            dependencies: [
                "Catalog", "DatabaseContract", "DatabaseEngines", "RemoteDatabases", "SQLiteEngine", "PostgreSQLEngine",
                "MySQLEngine", "RedisEngine", "SQLText", "LinuxSystem", "LiteBaseTesting", "CSQLite", "CHiredis",
            ], swiftSettings: strict),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "Server", "WireProtocol", "DatabaseContract", "Catalog", "Completion", "Tabular", "SQLiteEngine",
                "LinuxSystem", "ByteBuffers", "LiteBaseTesting",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ConfigurationTests",
            dependencies: [
                "Configuration", "Server", "DatabaseContract", "DatabaseEngines", "SQLiteEngine", "LinuxSystem",
                "LiteBaseTesting",
            ],
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
                "litebase", "LiteBaseClient", "WireProtocol", "SQLText", "LinuxSystem", "ByteBuffers",
                "LiteBaseTesting",
                argumentParser,
            ],
            exclude: ["Snapshots"], swiftSettings: lean),
    ],
    cxxLanguageStandard: .cxx17
)
