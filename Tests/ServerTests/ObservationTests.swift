// What a line of the log says about a request, and in which fields.

import LinuxSystem
import Testing

@testable import Server

@Suite struct ObservationTests {
    private static func facts(_ change: (inout RequestFacts) -> Void = { _ in }) -> RequestFacts {
        let peer = PeerCredentials(pid: 4711, uid: 1000, gid: 1000)
        var facts = RequestFacts(connection: 3, peer: peer, request: "q-17", type: "query")
        facts.database = "music"
        facts.microseconds = 1_234_056
        change(&facts)
        return facts
    }

    @Test func aRequestHasAllFieldsThatAreKnown() {
        let record = Observation.requestFailed(
            Self.facts {
                $0.code = "busy"
                $0.sqlState = "55P03"
                $0.rowCount = 5
                $0.rowsAffected = 0
            }
        ).record
        #expect(record.level == .debug && record.messageID == nil)
        #expect(
            record.message
                == "Connection 3 (uid 1000, pid 4711): query q-17 on music failed with busy (55P03) in 1234.056 ms")
        #expect(
            record.fields.map { "\($0.name)=\($0.value)" } == [
                "LITEBASE_CONNECTION=3", "LITEBASE_REQUEST=q-17", "LITEBASE_PEER_UID=1000", "LITEBASE_PEER_PID=4711",
                "LITEBASE_DATABASE=music", "LITEBASE_CODE=busy", "LITEBASE_SQLSTATE=55P03",
                "LITEBASE_DURATION_US=1234056", "LITEBASE_ROWS=5", "LITEBASE_ROWS_AFFECTED=0",
            ])
    }

    @Test func whatIsUnknownIsLeftOut() {
        let record = Observation.requestStarted(
            RequestFacts(connection: 3, peer: nil, request: "1", type: "stats")
        ).record
        #expect(record.message == "Connection 3: stats 1")
        #expect(record.fields.map(\.name) == ["LITEBASE_CONNECTION", "LITEBASE_REQUEST"])
    }

    @Test func aSlowStatementShowsItsTextOnlyWhereWanted() {
        let shown = Observation.slowStatement(Self.facts { $0.rowCount = 5 }, sql: "SELECT 1").record
        #expect(shown.level == .notice && shown.messageID == MessageID.slowStatement.rawValue)
        #expect(
            shown.message
                == "Slow statement: Connection 3 (uid 1000, pid 4711): query q-17 on music done in 1234.056 ms, "
                + "5 rows: SELECT 1")
        #expect(shown.fields.last?.name == "LITEBASE_SQL" && shown.fields.last?.value == "SELECT 1")
        let hidden = Observation.slowStatement(Self.facts { $0.rowCount = 5 }, sql: nil).record
        #expect(!hidden.message.contains("SELECT") && !hidden.fields.contains { $0.name == "LITEBASE_SQL" })
    }

    @Test(arguments: [(0, " in 0.000 ms"), (7, " in 0.007 ms"), (1_000, " in 1.000 ms"), (999_999, " in 999.999 ms")])
    func durations(_ microseconds: Int64, _ text: String) {
        #expect(Self.facts { $0.microseconds = microseconds }.duration == text)
    }

    @Test(arguments: [(1_000, 999_999, false), (1_000, 1_000_000, true), (0, Int64.max - 1, false), (1, 1_000, true)])
    func theThresholdIsInMilliseconds(_ threshold: Int64, _ microseconds: Int64, _ isSlow: Bool) {
        var statementLog = StatementLog()
        statementLog.slowMilliseconds = threshold
        let observer = Observer(level: .info, statementLog: statementLog) { _ in }
        #expect(observer.isSlow(microseconds: microseconds) == isSlow)
    }
}
