import Testing

@testable import DatabaseContract
@testable import SQLiteEngine

@Suite("sqlite: URLs")
struct SQLiteLocationTests {
    @Test(arguments: [
        ("sqlite:/a/b.db", "/a/b.db", SQLiteLocation.Mode.readWriteCreate),
        ("sqlite:///a/b.db", "/a/b.db", .readWriteCreate),
        ("sqlite:/a%20b.db?mode=ro", "/a b.db", .readOnly),
        ("sqlite:/a.db?mode=rw", "/a.db", .readWrite),
        ("sqlite:/%C3%A4.db", "/ä.db", .readWriteCreate),
    ])
    func parses(_ url: String, _ path: String, _ mode: SQLiteLocation.Mode) throws {
        let location = try SQLiteLocation(url: url)
        #expect(location == SQLiteLocation(place: .file(path), mode: mode))
    }

    @Test func memory() throws {
        #expect(try SQLiteLocation(url: "sqlite::memory:").place == .memory)
    }

    @Test(arguments: [
        "postgres://localhost/x", "/a/b.db", "sqlite:relative.db", "sqlite:", "sqlite:/dir/", "sqlite:/a?mode=x",
        "sqlite:/a?cache=shared", "sqlite:/a%2", "sqlite:/a%zz", "sqlite:/%ff", "sqlite:/a%00b", "sqlite://host/a.db",
        "sqlite://\u{301}a.db",
    ])
    func refuses(_ url: String) {
        #expect(throws: DriverError.self) { try SQLiteLocation(url: url) }
    }
}
