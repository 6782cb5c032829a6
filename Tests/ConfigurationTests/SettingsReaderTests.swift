// What is said about files that are wrong, with line and remedy.

import DatabaseContract
import DatabaseEngines
import LiteBaseTesting
import Server
import Testing

@testable import Configuration

@Suite struct SettingsReaderTests {
    private static func problems(_ text: String) -> [String] {
        var reader = SettingsReader(engines: .all)
        reader.read(Array(text.utf8), file: "f.toml")
        _ = reader.orderedDatabases()
        return reader.problems(orderedBy: ["f.toml"]).map(\.description).filter { !$0.contains("names \"default\"") }
    }

    @Test(arguments: [
        ("log_levl = \"debug\"", "f.toml:1:1: unknown key \"log_levl\"; did you mean \"log_level\"?"),
        ("\n\nfoo = 1", "f.toml:3:1: unknown key \"foo\"; see litebase.toml(5)"),
        ("[sockets]\npath = \"/x\"", "f.toml:1:2: unknown table \"sockets\"; did you mean \"socket\"?"),
        ("port = 1", "f.toml:1:1: unknown key \"port\"; did you mean \"socket.port\"?"),
        (
            "[limits]\nframe_byte_max = 2",
            "f.toml:2:1: unknown key \"limits.frame_byte_max\"; did you mean \"limits.frame_bytes_max\"?"
        ),
        ("loops = \"4\"", "f.toml:1:1: loops has the wrong type (string); it takes an integer, 0 to 256"),
        ("loops = 4.0", "f.toml:1:1: loops has the wrong type (float); it takes an integer, 0 to 256"),
        ("loops = true", "f.toml:1:1: loops has the wrong type (boolean); it takes an integer, 0 to 256"),
        ("loops = [\"a\"]", "f.toml:1:1: loops has the wrong type (array); it takes an integer, 0 to 256"),
        (
            "loops = 2020-01-01",
            "f.toml:1:1: loops has the wrong type (date, time or mixed array); it takes an integer, 0 to 256"
        ),
        ("loops = -1", "f.toml:1:1: loops is out of range; it takes an integer, 0 to 256"),
        (
            "[limits]\nbusy_time_ms_max = 9223372036854775807",
            "f.toml:2:1: limits.busy_time_ms_max is out of range; it takes an integer, 0 to 3600000"
        ),
        (
            "[=]",
            "f.toml:1:2: Error while parsing key: expected bare key starting character or string delimiter, saw '='"
        ),
        ("socket = 1", "f.toml:1:1: socket is a table; write [socket]"),
        ("[socket]\nport = 65536", "f.toml:2:1: socket.port is out of range; it takes an integer, 0 to 65535"),
        (
            "[socket]\nmode = 600",
            "f.toml:2:1: socket.mode must be a string of octal digits; write for example \"0660\""
        ),
        ("[socket]\nmode = \"0888\"", "f.toml:2:1: socket.mode must be octal digits from 0 to 0777, not \"0888\""),
        ("[socket]\nmode = \"1777\"", "f.toml:2:1: socket.mode must be octal digits from 0 to 0777, not \"1777\""),
        ("[socket]\npath = \"x.sock\"", "f.toml:2:1: socket.path must be an absolute path, not \"x.sock\""),
        ("[socket]\npath = \"/x\\u0000y\"", "f.toml:2:1: socket.path must be an absolute path, not \"/x\0y\""),
        (
            "log_level = \"warn\"",
            "f.toml:1:1: log_level must be one of error, warning, notice, info, debug, not \"warn\"; "
                + "did you mean \"warning\"?"
        ),
        ("databases = 1", "f.toml:1:1: databases is a table; write [databases.NAME]"),
        (
            "[databases]\nx = \"/y\"",
            "f.toml:2:1: databases.x is a table; write [databases.x] with url = \"…\" in it"
        ),
        ("[databases.x]", "f.toml:1:12: databases.x has no url; write url = \"sqlite:/absolute/path\""),
        (
            "[databases.x]\nurl = \"sqlite:/a\"\nurls = 1",
            "f.toml:3:1: unknown key \"databases.x.urls\"; did you mean \"url\"?"
        ),
        (
            "[databases.x]\nurl = \"sqlite:/a\"\naccess = \"ro\"",
            "f.toml:3:1: databases.x.access must be \"read_write\" or \"read_only\", not \"ro\""
        ),
        (
            "[databases.x]\nurl = 1",
            "f.toml:2:1: databases.x.url has the wrong type (integer); it takes a string"
        ),
        (
            "[databases.\"a b\"]\nurl = \"sqlite:/a\"",
            "f.toml:1:12: \"a b\" is no name for a database; use 1 to 64 of A-Z a-z 0-9 _ - ."
        ),
    ])
    func namesPlaceCauseAndRemedy(_ text: String, _ expected: String) {
        let found = Self.problems(text).filter { !$0.contains("has no url") || expected.contains("has no url") }
        #expect(found == [expected])
    }

    @Test(arguments: ["a = ", "[x", "a = 1\na = 2", "\u{1}", "x = \"\\q\"", "= 1", "a = 1_", "b = 'x"])
    func syntaxErrorsHaveALine(_ text: String) {
        let found = Self.problems("\n" + text)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("f.toml:2:") == true || found.first?.hasPrefix("f.toml:3:") == true, "\(found)")
    }

    @Test func allProblemsAreReportedInTheOrderOfTheText() {
        let text = "[databases.x]\naccess = \"ro\"\n[socket]\nport = -1\npth = 1\n[limits]\nloops = 1\n"
        let lines = Self.problems(text).map { $0.split(separator: ":")[1] }
        #expect(lines == ["1", "2", "4", "5", "7"])
    }

    @Test(arguments: [
        "oracle://x", "postgresql:x", "x.db", "sqlite:x.db", "sqlite:", "sqlite:/dir/", "sqlite:/a?mode=rx",
        "sqlite:/a?cache=shared",
        "", "sqlite:/a%zz", "sqlite:/a%00", "sqlite:/a\u{1}b",
    ])
    func badURLsAreRefusedWithOneLine(_ url: String) {
        let problem = DatabaseAddress.problem(url: url, .all)
        #expect(problem != nil)
        #expect(problem?.hasSuffix("\n") == false)
    }

    @Test(arguments: [
        "sqlite:/a.db", "sqlite:///a.db", "sqlite:/a b.db?mode=ro", "sqlite:/a?mode=rw", "sqlite::memory:",
        "sqlite:/%3f",
    ])
    func goodURLsAreTaken(_ url: String) { #expect(DatabaseAddress.problem(url: url, .all) == nil) }

    @Test func mutatedFilesNeverTrap() throws {
        var random = SeededGenerator.fresh
        let example = Array(try Repository.text("docs/litebase.toml.example").utf8)
        for _ in 0..<300 {
            var text = example.map { $0 == UInt8(ascii: "#") && Bool.random(using: &random) ? 0x20 : $0 }
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let place = Int.random(in: 0..<text.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: text[place] = .random(in: 0...255, using: &random)
                case 1: text.removeSubrange(place..<min(text.count, place + 20))
                default: text.insert(contentsOf: text.suffix(30), at: place)
                }
            }
            var reader = SettingsReader(engines: .all)
            reader.read(text, file: "f")
            _ = reader.orderedDatabases()
            #expect(reader.problems.allSatisfy { !$0.message.isEmpty }, "seed \(random.seed)")
        }
    }
}
