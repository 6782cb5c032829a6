// Files, drop-ins and flags, one over the other.

import DatabaseContract
import DatabaseEngines
import Glibc
import LinuxSystem
import Server
import Testing

@testable import Configuration

/// A configuration directory that goes away with it.
private final class Directory {
    let path: String

    init() {
        var template = Array("/tmp/litebase-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("mkdtemp: \(Errno.current)") }
        path = String(cString: made)
        mkdir(path + "/litebase.toml.d", 0o700)
    }

    deinit {
        for directory in [path + "/litebase.toml.d", path] {
            for name in (try? Files.names(in: directory)) ?? [] { unlink("\(directory)/\(name)") }
            rmdir(directory)
        }
    }

    func write(_ name: String, _ text: String) throws {
        let file = try Files.open("\(path)/\(name)", flags: O_WRONLY | O_CREAT | O_TRUNC)
        try Files.replaceContent(of: file, with: text)
    }

    func load(_ arguments: [String] = [], credentials: String? = nil) throws -> Configuration {
        let options = try CommandLineOptions(parsing: arguments, directory: "/work", engines: .all)
        let variables = [
            "CONFIGURATION_DIRECTORY": path, "STATE_DIRECTORY": "/state", "CREDENTIALS_DIRECTORY": credentials,
        ].compactMapValues(\.self)
        return try Configuration.load(options, paths: StandardPaths(isRoot: false, home: nil) { variables[$0] })
    }
}

@Suite struct ConfigurationLoadTests {
    @Test func withoutFilesTheEmbeddedDatabaseIsServed() throws {
        let configuration = try Directory().load()
        #expect(configuration.settings == Settings())
        #expect(configuration.databases == [DatabaseConfiguration(name: "default", url: "sqlite:/state/default.db")])
        #expect(configuration.stateDirectory == "/state")
        #expect(configuration.socketPath == nil, "no home, no directory for sockets")
        #expect(configuration.files == [])
    }

    @Test func dropInsOverrideInTheOrderOfTheirNames() throws {
        let directory = Directory()
        try directory.write("litebase.toml", "loops = 1\nidle_exit_seconds = 1\nlog_level = \"debug\"\n")
        try directory.write("litebase.toml.d/20.toml", "loops = 3\n")
        try directory.write("litebase.toml.d/10.toml", "loops = 2\nidle_exit_seconds = 2\n")
        try directory.write("litebase.toml.d/30.toml.disabled", "loops = 9\n")
        try directory.write("litebase.toml.d/.40.toml", "loops = 9\n")
        let settings = try directory.load().settings
        #expect(settings.loopCount == 3)
        #expect(settings.idleExitSeconds == 2)
        #expect(settings.logLevel == .debug)
        #expect(try directory.load(["-loops=7"]).settings.loopCount == 7, "flags override files")
    }

    @Test func aDatabaseMayBeSpreadOverFiles() throws {
        let directory = Directory()
        try directory.write("litebase.toml", "[databases.b]\nurl = \"sqlite:/b\"\n[databases.a]\nurl = \"sqlite:/a\"\n")
        try directory.write("litebase.toml.d/1.toml", "[databases.b]\naccess = \"read_only\"\n")
        let databases = try directory.load(["--database", "c=rel/c.db", "--database=a=/new"]).databases
        #expect(
            databases == [
                DatabaseConfiguration(name: "default", url: "sqlite:/state/default.db"),
                DatabaseConfiguration(name: "b", url: "sqlite:/b", access: .readOnly),
                DatabaseConfiguration(name: "a", url: "sqlite:/new"),
                DatabaseConfiguration(name: "c", url: "sqlite:/work/rel/c.db"),
            ])
    }

    @Test func theDefaultDatabaseComesFirstAndReplacesTheEmbeddedOne() throws {
        let directory = Directory()
        try directory.write(
            "litebase.toml",
            "default_database = \"b\"\n[databases.a]\nurl = \"sqlite:/a\"\n[databases.b]\nurl = \"sqlite:/b\"\n")
        let configuration = try directory.load()
        #expect(configuration.databases.map(\.name) == ["b", "a"])
        #expect(configuration.stateDirectory == nil)
        let own = Directory()
        try own.write("litebase.toml", "[databases.default]\nurl = \"sqlite::memory:\"\n")
        #expect(try own.load().databases.map(\.url) == ["sqlite::memory:"])
        #expect(try own.load().stateDirectory == nil)
    }

    @Test func anEmbeddedDatabaseMayBeReadOnly() throws {
        let directory = Directory()
        try directory.write("litebase.toml", "[databases.default]\naccess = \"read_only\"\n")
        let database = try #require(try directory.load().databases.first)
        #expect(database.url == "sqlite:/state/default.db")
        #expect(database.access == .readOnly)
    }

    private static func problems(_ body: () throws -> Configuration) -> [String] {
        do {
            _ = try body()
            return []
        } catch let error as ConfigurationError {
            return error.problems.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func problemsOfAllFilesAreReported() throws {
        let directory = Directory()
        try directory.write(
            "litebase.toml", "default_database = \"prot\"\nlops = 1\n[databases.prod]\nurl = \"sqlite:/p\"\n")
        try directory.write("litebase.toml.d/1.toml", "a = \n")
        try directory.write("litebase.toml.d/2.toml", "loops = -2\n")
        let (main, dropIns) = (directory.path + "/litebase.toml", directory.path + "/litebase.toml.d")
        let found = Self.problems { try directory.load(["--loops", "x"]) }
        #expect(found.count == 5)
        #expect(found[0].hasPrefix("\(main):1:1: default_database names \"prot\""))
        #expect(found[0].hasSuffix("did you mean \"prod\"?"))
        #expect(found[1].hasPrefix("\(main):2:1: unknown key \"lops\""))
        #expect(found[2].hasPrefix("\(dropIns)/1.toml:1:"))
        #expect(found[3].hasPrefix("\(dropIns)/2.toml:1:1: loops is out of range"))
        #expect(found[4] == "--loops must be an integer, 0 to 256, not \"x\"")
    }

    // Passwords

    private static let shop = "[databases.shop]\nurl = \"postgresql://lb@db/shop\"\n"

    @Test func aPasswordComesFromOnePlaceAlone() throws {
        let directory = Directory()
        let url = "url = \"postgresql://lb:Xq7@db/shop\"\n"
        for (text, reason) in [
            (Self.shop + "password_file = \"/f\"\npassword_credential = \"c\"\n", "keep one of them"),
            ("[databases.shop]\n" + url + "password_file = \"/f\"\n", "take it out of the URL"),
            ("[databases.shop]\n" + url + "password_credential = \"c\"\n", "take it out of the URL"),
            ("[databases.shop]\nurl = \"sqlite:/f\"\npassword_file = \"/f\"\n", "for databases on servers"),
            (Self.shop + "read_only_password_file = \"/f\"\n", "of no use without read_only_url"),
            (
                Self.shop + "read_only_url = \"postgresql://r:Xq7@db/shop\"\nread_only_password_file = \"/f\"\n",
                "has a password in its read_only_url"
            ),
            (Self.shop + "password_file = \"f\"\n", "must be an absolute path, not \"f\""),
            (Self.shop + "password_credential = \"../x\"\n", "must be the name of a credential"),
            (Self.shop + "password_file = 1\n", "wrong type (integer); it takes a string"),
        ] {
            try directory.write("litebase.toml", text)
            let found = Self.problems { try directory.load() }
            #expect(found.count == 1 && found.first?.contains(reason) == true, "\(text): \(found)")
            #expect(!found.joined().contains("Xq7"))
        }
    }

    @Test func passwordKeysAreShownAndReadBack() throws {
        let directory = Directory()
        try directory.write("litebase.toml", Self.shop + "password_file = \"/etc/x y\"\n")
        let first = try directory.load()
        #expect(first.toml.contains("password_file = \"/etc/x y\"\n"))
        try directory.write("litebase.toml", first.toml)
        #expect(try directory.load().databases == first.databases)
        try directory.write("litebase.toml", Self.shop + "password_file = \"/etc/y\"\n")
        #expect(try directory.load().databases != first.databases, "another file is another pool")
    }

    @Test func aCredentialOfTheDatabasesNameNeedsNoKey() throws {
        let (directory, credentials) = (Directory(), Directory())
        try directory.write("litebase.toml", Self.shop)
        func taken() throws -> String? {
            try directory.load(credentials: credentials.path).databases.first { $0.name == "shop" }?.passwordCredential
        }
        #expect(try taken() == nil)
        try credentials.write("shop.password", "x")
        #expect(try taken() == "shop.password")
        try directory.write("litebase.toml", Self.shop + "password_file = \"/f\"\n")
        #expect(try taken() == nil)
        try directory.write("litebase.toml", "[databases.shop]\nurl = \"postgresql://lb:p@db/shop\"\n")
        #expect(try taken() == nil)
    }

    @Test func aFileThatWasAskedForMustBeThere() {
        let found = Self.problems { try Directory().load(["--config", "/nonexistent/x.toml"]) }
        #expect(found == ["/nonexistent/x.toml: the configuration cannot be read: No such file or directory"])
    }

    @Test func aDirectoryOrAHugeFileIsNoConfiguration() throws {
        let directory = Directory()
        #expect(
            Self.problems { try directory.load(["--config", directory.path]) }.first?.contains("Is a directory") == true
        )
        try directory.write("litebase.toml", String(repeating: "#\n", count: 200_000))
        #expect(Self.problems { try directory.load() }.first?.contains("longer than 262144 bytes") == true)
    }

    @Test func anotherFileHasDropInsOfItsOwn() throws {
        let directory = Directory()
        try directory.write("litebase.toml", "loops = 5\n")
        try directory.write("litebase.toml.d/1.toml", "idle_exit_seconds = 6\n")
        let configuration = try directory.load(["--config", directory.path + "/litebase.toml"])
        #expect(configuration.settings.loopCount == 5)
        #expect(configuration.settings.idleExitSeconds == 6)
        #expect(configuration.files.count == 2)
    }

    @Test func whatIsPrintedReadsBackAsTheSame() throws {
        let directory = Directory()
        try directory.write(
            "litebase.toml",
            """
            log_level = "debug"
            default_database = "b"
            [socket]
            path = "/tmp/\\"quoted\\\\ name.sock"
            mode = "0660"
            group = "daemon"
            port = 0
            [limits]
            statement_time_ms_max = 2592000000
            [databases."a.b"]
            url = "sqlite:/a?mode=ro"
            access = "read_only"
            [databases.b]
            url = "sqlite::memory:"
            """)
        let first = try directory.load()
        let again = Directory()
        try again.write("litebase.toml", first.toml)
        var second = try again.load()
        second.files = first.files
        // Everything is printed, and so is set.
        second.givenSettings = first.givenSettings
        (second.origins, second.databaseOrigins) = (first.origins, first.databaseOrigins)
        #expect(second == first)
        #expect(first.settings.port == 0)
        #expect(first.settings.limits.statementTimeMillisecondsMax == 2_592_000_000)
    }

    @Test func theServerGetsItAll() throws {
        var configuration = try Directory().load(["--loops", "3"])
        let wanted = configuration.serverConfiguration(version: "1", activation: .socket)
        #expect(wanted.loopCount == 3)
        #expect(wanted.limits == Limits())
        #expect(wanted.databases == configuration.databases)
        configuration.settings.loopCount = 0
        #expect((1...4).contains(configuration.loopCount))
    }
}

@Suite struct SettingOriginTests {
    @Test func whoHasSetAValueLast() throws {
        let directory = Directory()
        try directory.write(
            "litebase.toml",
            """
            [limits]
            busy_time_ms_max = 100
            connect_ms_max = 200
            [databases.a]
            url = "sqlite:/srv/a.db"
            connect_ms_max = 300
            """)
        try directory.write("litebase.toml.d/x.toml", "[databases.a]\nurl = \"sqlite:/srv/b.db\"\n")
        let lines = try directory.load(["--database", "c=/srv/c.db"]).databaseListing.split(separator: "\n")
        let (main, more) = ("\(directory.path)/litebase.toml", "\(directory.path)/litebase.toml.d/x.toml")
        for line in [
            "database\tdefault\tsqlite\tdefault", "key\turl\t\"sqlite:/state/default.db\"\tdefault",
            "database\ta\tsqlite\t\(main):4", "key\turl\t\"sqlite:/srv/b.db\"\t\(more):2",
            "key\tconnect_ms_max\t300\t\(main):6", "key\tbusy_time_ms_max\t100\t\(main):2",
            "database\tc\tsqlite\t--database", "key\turl\t\"sqlite:/srv/c.db\"\t--database",
            "key\tconnect_ms_max\t200\t\(main):3", "key\taccess\t\"read_write\"\tdefault",
        ] {
            #expect(lines.contains(Substring(line)), "\(line)")
        }
    }

    @Test func nearNamesHeedNoCapitals() {
        for (text, near) in [
            ("NOTES", "notes"), ("nots", "notes"), ("Sho", "shop"), ("shp", "shop"), ("x", nil), ("", nil),
            ("elephant", nil), (String(repeating: "n", count: 65), nil),
        ] as [(String, String?)] {
            #expect(Suggestion.nearest(to: text, in: ["notes", "shop"]) == near, "\(text)")
        }
    }
}
