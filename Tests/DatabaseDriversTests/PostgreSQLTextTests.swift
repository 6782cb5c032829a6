// What is decided about PostgreSQL without a server: kinds of statements, URLs and their secrets, positions of errors.

import Testing

@testable import DatabaseDrivers

@Suite("PostgreSQL without a server")
struct PostgreSQLTextTests {
    private func withBytes<Result>(of text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        Array(text.utf8).withUnsafeBytes(body)
    }

    @Test(arguments: [
        ("SELECT 1", StatementKind.select), ("  (select 1)", .select), ("-- a\n/* b /* c */ d */values (1)", .select),
        ("BEGIN", .beginTransaction), ("start transaction", .beginTransaction), ("COMMIT", .transaction),
        ("end", .transaction), ("ROLLBACK TO a", .transaction), ("commit prepared 'x'", .preparedTransaction),
        ("PREPARE TRANSACTION 'x'", .transaction), ("PREPARE a AS SELECT 1", .session), ("SET x = 1", .session),
        ("copy t to stdout", .copy), ("settle", .other), ("select_1", .other), ("", .other), ("/* open", .other),
        ("WITH a AS (SELECT 1) SELECT 1", .change), ("insert into t values (1)", .change), (";;commit", .transaction),
    ])
    func kindsOfStatements(_ sql: String, _ kind: StatementKind) {
        #expect(withBytes(of: sql) { StatementKind($0) } == kind)
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
        #expect(RemoteURL.withoutSecrets(url) == shown)
    }

    @Test(arguments: [
        "postgresql:d", "postgresql://u:sec/ret@h/d", "postgresql://u:secret@h/d?secret=1",
        "postgresql://u:sec%ret@h/d",
        "postgresql://h/d\u{1}", "postgresql://u:secret@h/d?replication=database", "postgresql://u:secret@[::1/d",
        "postgresql://u:secret@h/d?connect_timeout=soon",
    ])
    func badURLsAreRefusedWithoutTheirSecrets(_ url: String) throws {
        let error = try #require(throws: DriverError.self) { try DatabaseLocation(url: url) }
        #expect(error.code == .badRequest)
        let text = "\(error.details)"
        #expect(!text.contains("u:sec") && !text.contains("secret@"), "\(text)")
    }

    @Test func aLocationPrintsNoSecret() throws {
        let location = try DatabaseLocation(url: "postgresql://joe:hidden@h1:1,h2:2/d?sslmode=require")
        #expect(!"\(location)".contains("hidden"))
        var dumped = ""
        dump(location, to: &dumped)
        #expect(!dumped.contains("hidden"))
        guard case .remote(.postgresql(let place)) = location else { return #expect(Bool(false)) }
        #expect(place.withoutSecrets("password hidden, hidden") == "password ***, ***")
    }

    /// What a client may make as long as it likes is not looked through on a loop.
    @Test func ofALongTextTheBeginningCounts() {
        let long = String(repeating: " ", count: TextBound.byteCountMax)
        withBytes(of: "SELECT 1" + long) { bytes in
            #expect(StatementKind(bytes) == .select)
            #expect(!PlainStatement.isPlain(bytes, .postgresql))
        }
        withBytes(of: "CREATE TABLE a(b int)" + long) { #expect(!StatementKind.isOneTransaction($0)) }
        for sql in [long + "SELECT 1", "/*" + long + "*/ LISTEN a", "COMMIT" + long + "PREPARED 'a'"] {
            withBytes(of: sql) { bytes in
                var words = SQLWords(bytes)
                _ = StatementKind(&words)
                #expect(words.isCut)
            }
        }
        // What begins a comment may lie across the bound.
        for count in 0..<8 {
            for begin in ["/**/", "--\n"] {
                withBytes(of: String(long.dropLast(count)) + begin + "BEGIN" + long) { bytes in
                    var words = SQLWords(bytes)
                    _ = StatementKind(&words)
                    #expect(words.isCut)
                }
            }
        }
        withBytes(of: long) { bytes in
            var words = SQLWords(bytes)
            let isAtEnd = words.isAtEnd
            #expect(isAtEnd && !words.isCut)
        }
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
}
