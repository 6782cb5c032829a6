// Errors as people read them: one line, and where a statement is wrong, that place.

internal import LinuxSystem
import LiteBaseClient

/// A statement that failed, with what is needed to show the place.
struct StatementError: Error {
    let error: ClientError
    let sql: String
    /// Where the statement begins; `nil` when there is no script.
    var place: ScriptPlace?
}

extension ClientError {
    /// Whether the session that was meant is gone, and the statement was not begun: by a new daemon (`session_not_found`), or
    /// because the server has ended its connection (08003).
    var isLostSession: Bool {
        guard let server = serverError else { return false }
        return server.code == .sessionNotFound || (server.code == .connectFailed && server.sqlState == "08003")
    }

    /// The state of the session's transaction, if the error says it.
    ///
    /// A statement that was stopped may still be ending on its server, which looks like an open transaction; it has begun none.
    func transaction(after former: TransactionState?) -> TransactionState? {
        guard let error = serverError else { return nil }
        let isStopped = error.code == .cancelled || error.code == .timeout
        if isStopped, former != .active, former != .failed { return former }
        return error.transaction
    }

    /// Whether the session has no transaction any more, and can run no further statement: it is lost, its server was
    /// lost while the statement ran (`connect_failed`), or the outcome is unknown (`outcome_unknown`).
    var endsSession: Bool {
        isLostSession || serverError?.code == .connectFailed || serverError?.code == .outcomeUnknown
    }

    /// Whether a server does not take what it was given. What was stopped, or had no room, may be taken the next time: classes 40
    /// (rolled back), 53 (no room) and 57 (an operator) of SQLSTATEs.
    var isRefusal: Bool {
        guard let error = serverError, let state = error.sqlState, !endsSession else { return false }
        return ![.cancelled, .timeout, .busy].contains(error.code) && !["40", "53", "57"].contains(state.prefix(2))
    }
}

enum ErrorReport {
    /// The lines to show.
    static func lines(_ error: ClientError, sql: String? = nil, place: ScriptPlace? = nil) -> [String] {
        guard let server = error.serverError else {
            var lines = ["litebase: \(place.map { "\($0): " } ?? "")\(error.description)"]
            if hasUnknownOutcome(error), let sql, RowStatement.mayChange(sql) {
                lines.append("hint: \(unknownOutcome)")
            }
            if case .unreadableInput(_, let detail?) = error { lines += details(detail) }
            return lines
        }
        let source = sql.flatMap { SourcePlace(server.position, in: $0) }
        var message = server.message
        if var place {
            place.line += source?.lineIndex ?? 0
            message = "\(place): \(message)"
        }
        var lines = ["litebase: \(message)"]
        if let source { lines += source.excerpt }
        lines += details(server.detail ?? "")
        if let hint = hint(server) ?? outcome(server, sql) { lines.append("hint: \(hint)") }
        return lines
    }

    /// Several problems come as several lines.
    private static func details(_ text: String) -> [String] { text.split(separator: "\n").map { "detail: \($0)" } }

    private static func hasUnknownOutcome(_ error: ClientError) -> Bool {
        switch error {
        case .disconnected, .timedOut: true
        default: false
        }
    }

    private static let unknownOutcome =
        "it is not known whether the statement was carried out; look before you repeat it"

    /// What is known of a statement that might have changed something and was stopped.
    /// - Source: protocol.md, "Requests"
    private static func outcome(_ error: ServerError, _ sql: String?) -> String? {
        // Of an import, the detail counts the rows that are there.
        guard error.code == .cancelled, error.detail == nil, let sql, RowStatement.mayChange(sql) else { return nil }
        return "it has changed nothing, but in tables of MySQL without transactions (MyISAM, Aria)"
    }

    /// The server's hint, where it does not speak of messages that only a program sends.
    private static func hint(_ error: ServerError) -> String? {
        switch error.code {
        case .needsSession: "Give all statements of the transaction in one call, or use 'litebase shell'."
        case .timeout where error.hint?.contains("timeout_ms") ?? false:
            "Raise --timeout, or make the statement do less."
        default: error.hint
        }
    }

    static func print(_ error: ClientError, sql: String? = nil, place: ScriptPlace? = nil) {
        for line in lines(error, sql: sql, place: place) { Terminal.complain(line) }
        if let line = error.serverError.flatMap(ReloadAdvice.line) { Terminal.complain("hint: \(line)") }
    }
}

/// A place in a statement, shown as its line with a caret below.
struct SourcePlace {
    /// From 0.
    let lineIndex: Int
    private let line: String
    /// Text of the line before the place.
    private let before: String

    /// `nil` if the server named no place, or one that the statement does not have.
    init?(_ position: ServerError.Position?, in sql: String) {
        guard let offset = Self.byteOffset(position, in: sql) else { return nil }
        let bytes = Array(sql.utf8)
        let start = (bytes[..<offset].lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        let end = bytes[offset...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        lineIndex = bytes[..<offset].count { $0 == UInt8(ascii: "\n") }
        line = String(decoding: bytes[start..<end], as: UTF8.self)
        before = String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private static func byteOffset(_ position: ServerError.Position?, in sql: String) -> Int? {
        guard let position else { return nil }
        let count = sql.utf8.count
        if let offset = position.offset { return offset >= 0 && offset <= count ? Int(offset) : nil }
        guard let line = position.line, let column = position.column, line >= 1, column >= 1 else { return nil }
        var lineStart = 0
        let lines = sql.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard line <= lines.count else { return nil }
        for text in lines[..<Int(line - 1)] { lineStart += text.count + 1 }
        guard column - 1 <= lines[Int(line - 1)].count else { return nil }
        return lineStart + Int(column - 1)
    }

    /// The line, cut to what a terminal shows, and the caret.
    var excerpt: [String] {
        let widthMax = 76
        let shownBefore = Self.flat(before)
        var shown = Self.flat(line)
        var column = DisplayWidth.of(shownBefore)
        if column > widthMax * 3 / 4 {
            // Far to the right: start near the place.
            let tail = String(shownBefore.suffix(widthMax / 2))
            shown = "…" + tail + String(shown.dropFirst(shownBefore.count))
            column = DisplayWidth.of(tail) + 1
        }
        return ["  " + DisplayWidth.prefix(shown, width: widthMax), "  " + String(repeating: " ", count: column) + "^"]
    }

    private static func flat(_ text: String) -> String {
        TerminalEscaping.visible(String(text.map { $0 == "\t" ? " " : $0 }))
    }
}
