import LinuxSystem
import Testing

@testable import LiteBaseClient
@testable import litebase

@Suite struct ErrorReportTests {
    private static func error(offset: Int64? = nil, line: Int64? = nil, column: Int64? = nil) -> ClientError {
        var error = ServerError(code: .syntaxError, message: "Near \"x\": syntax error.")
        error.position = ServerError.Position(offset: offset, line: line, column: column)
        error.hint = "Look at it."
        return .server(error)
    }

    @Test func theCaretStandsUnderThePlace() {
        #expect(
            ErrorReport.lines(Self.error(offset: 7), sql: "SELECT x y")
                == ["litebase: Near \"x\": syntax error.", "  SELECT x y", "         ^", "hint: Look at it."])
    }

    @Test func widthsAndLinesCount() {
        let lines = ErrorReport.lines(
            Self.error(offset: 19), sql: "SELECT\n\t'東京' , x\nFROM", place: ScriptPlace(file: "a.sql", line: 10))
        #expect(lines[0] == "litebase: a.sql, line 11: Near \"x\": syntax error.")
        #expect(lines[1] == "   '東京' , x")
        #expect(lines[2] == "            ^")
    }

    @Test func linesAndColumnsWorkToo() {
        #expect(ErrorReport.lines(Self.error(line: 2, column: 3), sql: "a\nb x")[2] == "    ^")
    }

    @Test(arguments: [-1, 100] as [Int64])
    func placesOutsideAreIgnored(offset: Int64) {
        #expect(ErrorReport.lines(Self.error(offset: offset), sql: "SELECT").count == 2)
    }

    @Test func longLinesShowTheSurroundings() {
        let sql = String(repeating: "a, ", count: 100) + "x, " + String(repeating: "b, ", count: 100)
        let lines = ErrorReport.lines(Self.error(offset: 300), sql: sql)
        let caret = lines[2].count - 1
        #expect(lines[1].count <= 78)
        #expect(Array(lines[1])[caret] == "x")
    }

    @Test(arguments: [
        (ClientError.noSocket(lookedAt: []), Int32(69)), (.cannotConnect(.unix(path: "/x"), .permissionDenied), 77),
        (.cannotConnect(.unix(path: "/x"), .connectionRefused), 69), (.timedOut, 75), (.protocolViolation("x"), 70),
        (.disconnected(nil), 69), (.server(ServerError(code: .syntaxError, message: "")), 1),
        (.server(ServerError(code: .busy, message: "")), 75),
        (.server(ServerError(code: .permissionDenied, message: "")), 77),
    ])
    func statuses(error: ClientError, status: Int32) {
        #expect(ExitStatus.of(error) == status)
    }
}

@Suite struct PingTests {
    @Test func statistics() {
        #expect(PingCommand.statistics([]) == nil)
        #expect(PingCommand.statistics([1_500_000]) == "1 answers, min/avg/max/p99 = 1.500/1.500/1.500/1.500 ms")
        let times = (1...200).map { Int64($0) * 1_000_000 }
        #expect(
            PingCommand.statistics(times.shuffled())
                == "200 answers, min/avg/max/p99 = 1.000/100.500/200.000/198.000 ms")
    }

    @Test(arguments: [
        (0, "0.000"), (499, "0.000"), (500, "0.001"), (1_234_567, "1.235"), (12_000_000_000, "12000.000"),
    ])
    func milliseconds(nanoseconds: Int64, text: String) {
        #expect(PingCommand.milliseconds(nanoseconds) == text)
    }

    @Test(arguments: [
        (0, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90_000, "1 d 1 h"), (86_401, "1 d"),
    ])
    func durations(seconds: Int64, text: String) {
        #expect(DurationText.human(.seconds(seconds)) == text)
    }
}

@Suite struct PromptTests {
    @Test(arguments: [
        ("sqlite:/srv/app.db?mode=ro", "app.db"), ("sqlite::memory:", ":memory:"), ("sqlite:app.db", "app.db"),
        ("postgresql://host:5432/name", "name"), ("sqlite:", "sqlite:"), ("x", "x"),
    ])
    func urlsAreShortened(url: String, name: String) {
        #expect(ShellConnection.shortName(url) == name)
    }
}

@Suite struct HistoryTests {
    @Test func entriesAreAppendedAndLoaded() throws {
        let directory = "/tmp/litebase-history-\(Process.pid)-\(UInt32.random(in: 0...(.max)))"
        let file = HistoryFile(path: directory + "/state/history")
        #expect(file.load(countMax: 10) == [])
        for entry in ["SELECT 1;", "SELECT 'ä';", "x"] { file.append(entry) }
        #expect(file.load(countMax: 10) == ["SELECT 1;", "SELECT 'ä';", "x"])
        #expect(file.load(countMax: 2) == ["SELECT 'ä';", "x"])
        #expect(try Files.status(directory + "/state/history")?.mode == 0o600)
        try Files.unlink(directory + "/state/history")
    }
}
