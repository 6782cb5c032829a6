// What the MySQL driver makes of texts: positions of errors, URLs.

import Testing

@testable import DatabaseContract
@testable import MySQLEngine
@testable import PostgreSQLEngine
@testable import RemoteDatabases
@testable import SQLiteEngine

@Suite("Texts of MySQL")
struct MySQLTextTests {
    private func offset(_ sql: String, near: String, line: Int) -> Int? {
        Array(sql.utf8).withUnsafeBytes { MySQLErrors.offset(in: $0, "… to use near '\(near)' at line \(line)") }
    }

    @Test func positionsInALongText() {
        let lines = String(repeating: "1 +\n", count: 100_000)
        #expect(offset("SELECT " + lines + "FRM", near: "FRM", line: 100_001) == 400_007)
        let long = String(repeating: "1 + ", count: 100_000)
        #expect(offset("SELECT FRM " + long, near: "FRM", line: 1) == 7)
        #expect(offset("SELECT " + long + "FRM", near: "FRM", line: 1) == 400_007)
    }

    @Test func positions() {
        #expect(offset("SELEC 1", near: "SELEC 1", line: 1) == 0)
        #expect(offset("SELECT 'ü' FRM x", near: "FRM x", line: 1) == 12)
        #expect(offset("FRM\nSELECT 1\n FRM", near: "FRM", line: 3) == 14)
        #expect(offset("SELECT 1,", near: "", line: 1) == 9)
        #expect(offset("SELECT 'it''s' x y", near: "x' at line y", line: 1) == 0)
        #expect(offset("a\nb", near: "not there", line: 2) == 2)
        #expect(offset("a", near: "not there", line: 77) == 0)
        #expect([].withUnsafeBytes { MySQLErrors.offset(in: $0, "no position") } == nil)
        #expect([].withUnsafeBytes { MySQLErrors.offset(in: $0, "' at line 1 near '") } == nil)
    }

    @Test(arguments: [
        ("Duplicate entry '7' for key 'PRIMARY'", "Duplicate entry for key 'PRIMARY'"),
        ("Duplicate entry 'it's' for key 'x' for key 'k'", "Duplicate entry for key 'k'"),
        ("Truncated incorrect DOUBLE value: 'it's'", "Truncated incorrect DOUBLE value"),
        (
            "Incorrect integer value: 'a' for column `d`.`t`.`c` at row 1",
            "Incorrect integer value for column `d`.`t`.`c` at row 1"
        ),
        ("no quotes", "no quotes"), ("one ' quote", "one ' quote"), ("", ""), ("''", ""),
    ])
    func valuesAreNotInMessages(_ said: String, _ shown: String) {
        #expect(MySQLErrors.withoutValue(said) == shown)
    }

    /// A node of Galera without its cluster says that of every statement, whatever server was asked for.
    @Test func aNodeThatHasLostItsCluster() {
        let error = DriverError(
            .connectFailed, "WSREP has not yet prepared node for application use.", sqlState: "08S01"
        ).with { $0.vendorCode = 1047 }
        #expect(MySQLErrors.isOfLoneNode(error) && !MySQLErrors.isOfReadOnlyServer(error))
        let told = MySQLErrors.ofLostRole(error, isSession: false, isDivisible: false).details
        #expect(told.code == .connectFailed && told.isRetryable && told.vendorCode == 1047)
        #expect(told.detail == error.details.message)
        #expect(told.message.contains("lost its cluster") && told.message.contains("nothing of this one has happened"))
        #expect(!MySQLErrors.ofLostRole(error, isSession: true, isDivisible: false).details.isRetryable)
        let divisible = MySQLErrors.ofLostRole(error, isSession: false, isDivisible: true).details
        #expect(!divisible.isRetryable && !divisible.message.contains("nothing"))
    }

    @Test func aServerThatTakesNoWrites() {
        let error = DriverError(.readOnly, "It runs with --read-only.", sqlState: "25006").with { $0.vendorCode = 1290 }
        #expect(MySQLErrors.isOfReadOnlyServer(error) && !MySQLErrors.isOfLoneNode(error))
        let told = MySQLErrors.ofLostRole(error, isSession: false, isDivisible: false).details
        #expect(told.code == .connectFailed && told.isRetryable && told.message.contains("takes no writes"))
    }

    @Test func locations() throws {
        let place = try MySQLLocation(url: "mariadb://u%40x:p%3Aw@a,[::1]:3307/d%20b?ssl_mode=REQUIRED")
        #expect(
            place.user == "u@x" && place.password == "p:w" && place.database == "d b" && place.encryption == .required)
        #expect(place.hosts == [.init(name: "a", port: 0), .init(name: "::1", port: 3307)] && place.socket == nil)
        #expect(!place.label.contains("p:w") && !"\(place)".contains("p:w"))
        #expect(place.secrets == ["p:w"])
        #expect(try MySQLLocation(url: "mysql:///d").socket == MySQLLocation.defaultSocket)
        #expect(try MySQLLocation(url: "mysql://localhost/d").encryption == .disabled)
        #expect(try MySQLLocation(url: "mysql://localhost:3306/d").socket == nil)
        #expect(try MySQLLocation(url: "mysql://h/d").encryption == .preferred)
        #expect(try MySQLLocation(url: "mysql://h/d?ssl-ca=/x").encryption == .verifyIdentity)
        #expect(try MySQLLocation(url: "mysql://a,[::1]:3307/d").label == "mysql://a:3306,[::1]:3307/d")
        #expect(try MySQLLocation(url: "mysql://a,b/d").target == .any)
        #expect(try MySQLLocation(url: "mysql://a,b/d?target_session_attrs=read-write").target == .readWrite)
        #expect(try MySQLLocation(url: "mysql://a,b/d?target-session-attrs=prefer-standby").target == .preferStandby)
    }

    private static let galera = ["wsrep_on": "ON", "wsrep_ready": "ON", "wsrep_local_state": "4", "read_only": "OFF"]

    private static func node(_ changed: [String: String]) -> [String: String] {
        galera.merging(changed) { _, new in new }
    }

    @Test(
        arguments: [
            ([:], true, false), (["read_only": "OFF"], true, false), (["read_only": "0"], true, false),
            (["read_only": "ON"], false, true), (["read_only": "NO_LOCK_NO_ADMIN"], false, true),
            (["wsrep_on": "OFF", "read_only": "OFF"], true, false), (galera, true, false),
            (node(["wsrep_local_state": "2"]), false, false), (node(["read_only": "ON"]), false, true),
            (node(["wsrep_reject_queries": "NONE"]), true, false),
        ] as [([String: String], Bool, Bool)])
    func rolesOfServers(_ values: [String: String], _ takesWrites: Bool, _ isReadOnly: Bool) {
        let role = MySQLRole(values)
        #expect(role.takesWrites == takesWrites && role.isReadOnly == isReadOnly)
        #expect(MySQLTarget.any.verdict(role) == .wanted)
        #expect((MySQLTarget.readWrite.verdict(role) == .wanted) == takesWrites)
        #expect((MySQLTarget.readOnly.verdict(role) == .wanted) == isReadOnly)
        #expect(MySQLTarget.preferStandby.verdict(role) == (isReadOnly ? .wanted : .acceptable))
    }

    @Test(arguments: [["wsrep_ready": "OFF"], ["wsrep_reject_queries": "ALL"]], MySQLTarget.allCases)
    func nodesWithoutTheirClusterAreNotWanted(_ changed: [String: String], _ target: MySQLTarget) {
        #expect(target.verdict(MySQLRole(Self.node(changed))) == .unwanted)
    }

    @Test(arguments: [
        "mysql:", "mysql://u:secret@x@h/d", "mysql://u:secret/x@h/d", "mysql://u:secret?x@h/d", "mysql://u:secret%@h/d",
        "mysql://u:secret%+1@h/d", "mysql://u:secret#@h/d", "mysql://u:secret@h:99999/d", "mysql://u:secret@/d?a=b",
        "mysql://u:secret@h\n/d", "mysql://u:secret@a,b/d?target_session_attrs=primary",
    ])
    func locationsThatAreRefused(url: String) {
        let error = #expect(throws: DriverError.self) { try MySQLLocation(url: url) }
        #expect(error?.code == .badRequest)
        #expect(error.map { "\($0.details)".contains("secret") } == false)
    }
}
