// A script in one session: its statements, what they change about its reading, and how it ends.

import LiteBaseClient
import SQLText

/// Statements of one session, run up to the first error.
struct Script {
    let runner: StatementRunner
    let session: BlockingSession
    let language: StatementSplitter.Language
    var formatter: any ResultFormatter
    var transaction: TransactionState?
    /// How the server reads quotes now.
    private(set) var rules = StatementSplitter.Rules()
    private var dump = VirtualTableDump()
    /// Whether a statement has failed, and the script went on.
    var hasFailed = false
    /// The database has rolled back the open transaction because of a statement in it: what follows belongs to that, and would be
    /// committed line by line.
    private(set) var hasLostTransaction = false
    /// Whether a statement that fails ends it.
    var endsAtErrors = true
    private var hasRun = false
    /// A COPY whose data come.
    private(set) var copy: ScriptCopy?

    init(
        runner: StatementRunner, session: BlockingSession, language: StatementSplitter.Language,
        formatter: any ResultFormatter
    ) {
        self.runner = runner
        self.session = session
        self.language = language
        self.formatter = formatter
    }

    var hasOpenTransaction: Bool { transaction == .active || transaction == .failed }

    mutating func askRules() { rules = .ask(session, language) ?? rules }

    mutating func run(
        _ statement: StatementSplitter.Statement, _ parameters: Parameters, isFromScript: Bool
    ) throws {
        let place = isFromScript ? ScriptPlace(line: statement.line) : nil
        do {
            if try ScriptText.fulfil(statement, language, session) { return }
            if let refusal = ScriptText.refusal(of: statement) {
                let hint = isFromScript && endsAtErrors && hasRun ? "\n" + ScriptText.othersRun : ""
                throw InputError(message: refusal + hint, status: ExitStatus.statementFailed)
            }
            let sql = try RawText.sql(of: statement, language, rules)
            if statement.kind == .copyFromInput {
                hasRun = true
                return try QueryCommand.report(sql, place) {
                    copy = try ScriptCopy(statement, sql, place, in: session)
                }
            }
            let steps = try language == .sqlite ? dump.steps(for: sql) : [.send(sql)]
            for step in steps {
                switch step {
                case .send(let sql): try QueryCommand.report(sql, place) { try send(sql, parameters) }
                case .make(let table): try QueryCommand.report(table.sql, place) { try table.make(in: session) }
                }
            }
        } catch let error as InputError {
            throw InputError(message: "\(place.map { "\($0): " } ?? "")\(error.message)", status: error.status)
        }
        hasRun = true
        if StatementSplitter.Rules.mayChange(by: statement.bytes, language) { askRules() }
    }

    private mutating func send(_ sql: String, _ parameters: Parameters) throws {
        do {
            var runner = runner
            runner.isInTransaction = hasOpenTransaction
            transaction = try runner.run(sql, parameters, &formatter).transaction ?? transaction
        } catch let error as ClientError {
            let hadTransaction = hasOpenTransaction
            transaction = error.transaction(after: transaction) ?? transaction
            hasLostTransaction = hadTransaction && !hasOpenTransaction && RowStatement.isMeant(by: sql)
            throw error
        }
    }

    /// Takes data of a COPY; those of one that has failed are passed over.
    mutating func take(_ data: (bytes: [UInt8], isEnd: Bool)) throws {
        guard let copy else { return }
        do {
            guard let summary = try copy.take(data) else { return }
            self.copy = nil
            transaction = summary.transaction ?? transaction
            try runner.show(summary, of: copy.sql, &formatter)
        } catch let error as ClientError {
            self.copy = nil
            transaction = error.transaction(after: transaction) ?? transaction
            throw StatementError(error: error, sql: copy.sql, place: copy.place)
        }
    }

    /// Whether what follows a statement that has failed may be run, if it is to be.
    func mayGoOn(behind statement: StatementSplitter.Statement, _ error: any Error) -> Bool {
        if hasLostTransaction { return false }
        if ScriptText.changesTarget(statement) || ScriptText.leadsElsewhere(statement, language) { return false }
        switch error {
        case let error as StatementError: return error.error.serverError != nil && !error.error.endsSession
        case is InputError: return true
        default: return false
        }
    }

    /// Handles the end of the input. A statement without a final semicolon may be a part of one whose rest was lost:
    /// `DELETE FROM t` of `DELETE FROM t WHERE id = 7;`. It is run only if it changes nothing.
    mutating func end(_ splitter: inout StatementSplitter) throws {
        let isTorn = splitter.isTorn
        if let copy {
            copy.abandon()
            throw InputError(
                message: "\(copy.place.map { "\($0): " } ?? "")\(ScriptCopy.unfinished)", status: ExitStatus.dataError)
        }
        guard let last = splitter.finish() else { return }
        guard language == .commandLines || !isTorn && ScriptText.onlyReads(last, session) else {
            let hint =
                hasRun ? "\nhint: what stands before it was run, but for a transaction that is not committed" : ""
            throw InputError(message: "\(ScriptPlace(line: last.line)): \(ScriptText.unfinished)\(hint)")
        }
        try run(last, .none, isFromScript: true)
    }
}

/// Messages about statements that are not sent.
enum ScriptText {
    static let unfinished =
        "the last statement has no semicolon behind it, and may be a part of one; it was not run. Complete it"

    static let lostState =
        "the database has ended the session, and with it settings, temporary tables and locks; this statement was not run. "
        + "The next one begins a new session"

    static let lostTransaction = "the open transaction is rolled back; what follows was not run"

    static let nobodyReads = "from here on nothing was run: the reader of the output is gone"

    static let nothingRun = "hint: nothing of the script was run; --on-error continue runs the rest of it"

    /// Said where a refusal comes too late for that, as in a pipe.
    static let othersRun =
        "hint: what stands before it was run, but for a transaction that is not committed; in a file (< FILE) it is found "
        + "before anything is run"

    /// Why a statement is for another program, and not sent; `nil` for SQL. At a terminal no data follows it.
    static func refusal(of statement: StatementSplitter.Statement, isTyped: Bool = false) -> String? {
        switch statement.kind {
        case .sql: return nil
        case .copyFromInput where isTyped:
            return "COPY … FROM stdin is for scripts, which have its data; INSERT takes many rows at a time: "
                + "INSERT INTO t VALUES (…), (…)"
        case .copyFromInput: return nil
        case .directive:
            let word = directive(statement)
            if changesTarget(statement) {
                return "\(word) leads to another database, and what follows is for that; give each database a script "
                    + "of its own (pg_dump without --create), or use .use in litebase shell"
            }
            let own =
                ClientWords.equivalents[word].map { "\($0) does that in litebase shell" } ?? ClientWords.advice[word]
                ?? NearName.of(word, among: ClientWords.equivalents.keys.sorted()).flatMap { near in
                    ClientWords.equivalents[near].map { "\(near), which is nearest, is \($0) of litebase shell" }
                }
            return "\(word) is a command of another client, and was not run; "
                + (own ?? ".help of litebase shell lists its own commands")
        }
    }

    /// Does what a line of psql's asks for, if that is so already but for the state of the session: psql connects anew by `\connect`.
    /// - Returns: false if it asks for something else.
    /// - Throws: `StatementError` if the session cannot be made as a new one.
    static func fulfil(
        _ statement: StatementSplitter.Statement, _ language: StatementSplitter.Language, _ session: BlockingSession
    ) throws -> Bool {
        guard isFulfilled(statement, language, session) else { return false }
        guard changesTarget(statement) else { return true }
        do throws(ClientError) {
            try session.execute("DISCARD ALL")
        } catch {
            throw StatementError(error: error, sql: "DISCARD ALL", place: nil)
        }
        return true
    }

    /// Whether it asks for what is so already: the database that is open, or the encoding of every script.
    static func isFulfilled(
        _ statement: StatementSplitter.Statement, _ language: StatementSplitter.Language, _ session: BlockingSession
    ) -> Bool {
        guard language == .postgresql, statement.kind == .directive else { return false }
        // pg_dump writes it in front of a \connect to a name with signs in it.
        if ["\\encoding SQL_ASCII", "\\encoding UTF8"].contains(statement.text) { return true }
        guard let wanted = ConnectLine.database(of: statement.bytes) else { return false }
        return wanted == (try? session.query("SELECT current_database()").rows.first)?[0].text
    }

    /// Why a line with a backslash in front is not sent to an engine whose statements are lines.
    static func refusal(ofLine line: [UInt8]) -> String {
        refusal(of: StatementSplitter.Statement(bytes: line, line: 1, kind: .directive)) ?? ""
    }

    /// Whether what follows is for another place, if this has not led there.
    static func changesTarget(_ statement: StatementSplitter.Statement) -> Bool {
        statement.kind == .directive && ["\\connect", "\\c", "\\u"].contains(directive(statement))
    }

    /// USE of MySQL, and what its own client makes of `connect`.
    static func leadsElsewhere(
        _ statement: StatementSplitter.Statement, _ language: StatementSplitter.Language
    ) -> Bool {
        let word = PlainWords.first(of: statement.bytes)
        return switch language {
        case .mysql: word == "use" || word == "connect"
        case .commandLines: word == "select"
        case .sqlite, .postgresql: false
        }
    }

    /// The word of a line for another client.
    private static func directive(_ statement: StatementSplitter.Statement) -> String {
        let line = (statement.bytes.split(separator: UInt8(ascii: "\n")).last ?? []).drop { $0 != UInt8(ascii: "\\") }
        return TerminalEscaping.visible(String(decoding: line.prefix { $0 > 0x20 }, as: UTF8.self))
    }

    /// Whether the engine says so.
    static func onlyReads(_ statement: StatementSplitter.Statement, _ session: BlockingSession) -> Bool {
        guard statement.kind == .sql, let sql = statement.text else { return false }
        return (try? session.describe(sql).isReadOnly) ?? false
    }
}
