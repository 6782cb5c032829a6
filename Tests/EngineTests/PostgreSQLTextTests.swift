// What is decided about PostgreSQL without a server: URLs and their secrets, positions of errors.

import Testing

@testable import DatabaseContract
@testable import DatabaseEngines
@testable import PostgreSQLEngine
@testable import RemoteDatabases
@testable import SQLiteEngine

@Suite("PostgreSQL without a server")
struct PostgreSQLTextTests {
    private func withBytes<Result>(of text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        Array(text.utf8).withUnsafeBytes(body)
    }

    @Test(arguments: [
        ("postgresql://u:pw@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p/w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p?w=1@h/d", "postgresql://u:***@h/d"),
        (
            "postgresql:///d?host=/run&password=pw&sslpassword=pw",
            "postgresql:///d?host=/run&password=***&sslpassword=***"
        ),
        ("postgresql://h/d", "postgresql://h/d"), ("postgresql://u@h/d", "postgresql://u@h/d"),
    ])
    func passwordsAreHidden(_ url: String, _ shown: String) {
        #expect(RemoteURL.withoutSecrets(url, hasScheme: true) == shown)
    }

    @Test(arguments: [
        "postgresql:d", "postgresql://u:sec/ret@h/d", "postgresql://u:secret@h/d?secret=1",
        "postgresql://u:sec%ret@h/d",
        "postgresql://h/d\u{1}", "postgresql://u:secret@h/d?replication=database", "postgresql://u:secret@[::1/d",
        "postgresql://u:secret@h/d?connect_timeout=soon",
    ])
    func badURLsAreRefusedWithoutTheirSecrets(_ url: String) throws {
        let error = try #require(throws: DriverError.self) { try EngineRegistry.all.location(url: url) }
        #expect(error.code == .badRequest)
        let text = "\(error.details)"
        #expect(!text.contains("u:sec") && !text.contains("secret@"), "\(text)")
    }

    @Test func aLocationPrintsNoSecret() throws {
        let location = try EngineRegistry.all.location(url: "postgresql://joe:hidden@h1:1,h2:2/d?sslmode=require")
        #expect(!"\(location)".contains("hidden"))
        var dumped = ""
        dump(location, to: &dumped)
        #expect(!dumped.contains("hidden"))
        guard let place = location as? PostgreSQLLocation else { return #expect(Bool(false)) }
        #expect(place.withoutSecrets("password hidden, hidden") == "password ***, ***")
    }

    @Test func positionsAreCountedInCharacters() {
        let sql = "SELECT 'üß', x"
        withBytes(of: sql) { bytes in
            #expect(PostgreSQLErrors.byteOffset(ofCharacter: 1, in: bytes) == 0)
            #expect(PostgreSQLErrors.byteOffset(ofCharacter: 14, in: bytes) == 15)
            #expect(PostgreSQLErrors.byteOffset(ofCharacter: 15, in: bytes) == bytes.count)
            #expect(PostgreSQLErrors.byteOffset(ofCharacter: 16, in: bytes) == nil)
        }
    }

    @Test(arguments: [
        ("a,b", nil, "1,2", "a 10.0.0.1", "1", "b//2"), ("a,b,c", nil, "1", "b 10.0.0.1", "1", "a,c//1"),
        ("a,a", nil, "1,2", "a 10.0.0.1", "2", "a//1"),
        ("a,b", "::1,::2", nil, "a ::1", "5432", "b/::2/"), (",b", "::1,::2", nil, "::1 ::1", "5432", "b/::2/"),
        ("a,a", "::1,::2", "1", "a ::2", "1", "a/::1/1"), ("a,b", "::01,::2", nil, "a ::1", "5432", "b/::2/"),
        ("a", nil, "1", "a 10.0.0.1", "1", nil), ("a,a", nil, nil, "a 10.0.0.1", "5432", nil),
        (nil, nil, nil, "/run ", "5432", nil), ("a,b", nil, nil, "c 10.0.0.1", "5432", nil),
    ])
    func serversThatSayNothingAreLeftOut(
        _ names: String?, _ addresses: String?, _ ports: String?, _ place: String, _ port: String, _ left: String?
    ) {
        var options: [String: String] = [:]
        options["host"] = names
        options["hostaddr"] = addresses
        options["port"] = ports
        let words = place.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        let settings = PostgreSQLHosts(options).without(words[0], words[1], port).map { others in
            ["host", "hostaddr", "port"].map { key in others.settings.first { "\($0.0)" == key }?.1 ?? "" }
        }
        #expect(settings?.joined(separator: "/") == left)
    }

    @Test(arguments: [
        ("INSERT 0 5", 5), ("UPDATE 9223372036854775807", Int64.max), ("UPDATE 9223372036854775808", .max),
        ("DELETE 99999999999999999999999999", .max), ("DELETE", 0), ("", 0),
    ])
    func countsOfTagsDoNotOverflow(_ tag: String, _ count: Int64) {
        #expect(tag.withCString { CommandTag($0).count } == count)
    }

    @Test func textsAreCut() {
        #expect("abc".withCString { PostgreSQLText.clipped($0, byteCountMax: 3) } == "abc")
        #expect("abcd".withCString { PostgreSQLText.clipped($0, byteCountMax: 3) } == "abc…")
    }

    @Test(arguments: [
        (
            "connection to server on socket \"/s\" failed: FATAL:  57P03: the database system is shutting down\n"
                + "LOCATION:  ProcessStartupPacket, postmaster.c:2337\n",
            "starting or stopping", "57P03",
            "connection to server on socket \"/s\" failed: FATAL:  the database system is shutting down"
        ),
        (
            "h: ВАЖНО:  57P03: система баз данных запускается", "starting or stopping", "57P03",
            "h: ВАЖНО:  система баз данных запускается"
        ),
        (
            "FATAL:  53300: too many connections for role \"r\"\nDETAIL:  x", "no connection to spare", "53300",
            "FATAL:  too many connections for role \"r\"; DETAIL:  x"
        ),
        // Of several servers, the last that has said something.
        (
            "a: FATAL:  57P03: b\nc: FATAL:  28P01: d", "did not let the daemon in", "08001",
            "a: FATAL:  b; c: FATAL:  d"
        ),
        (
            "FATAL:  no more connections allowed", "did not let the daemon in", "08001",
            "FATAL:  no more connections allowed"
        ),
        (
            "fe_sendauth: no password supplied", "did not let the daemon in", "08001",
            "fe_sendauth: no password supplied"
        ),
        (
            "a failed: no such file;\tis it there?", "cannot be reached", "08001",
            "a failed: no such file;; is it there?"
        ),
        ("a:  57p03: b", "cannot be reached", "08001", "a:  57p03: b"),
        (":  57P03:", "cannot be reached", "08001", ":  57P03:"),
        ("", "cannot be reached", "08001", ""),
    ])
    func whatAServerSaysWhileItLetsIn(_ text: String, _ told: String, _ sqlState: String, _ detail: String) {
        let refusal = PostgreSQLRefusal(text)
        #expect(refusal.detail == detail)
        let details = refusal.error(detail: refusal.detail).details
        #expect(details.message.contains(told) && details.sqlState == sqlState && details.code == .connectFailed)
    }
}
