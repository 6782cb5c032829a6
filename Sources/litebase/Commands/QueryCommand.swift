// `litebase query`: SQL from an argument or from stdin.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient
import SQLText

struct QueryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Run SQL and print the rows.",
        usage: "litebase query <sql> [<parameters> ...] [<options>]",
        discussion: """
            Parameters are bound to placeholders: null, integers, reals, x'..' (a
            blob) and '..' (text) as in SQL; anything else is text. :name=value
            binds a named one. Words with a dash in front that are no numbers go
            behind --. Several statements, and all of stdin, run in one session up
            to the first error, unless --on-error says otherwise.

            For Redis, <sql> is a command as in redis-cli, parameters are further
            arguments, taken as text, and each line of stdin is a command.

            EXAMPLES:
              litebase query "SELECT * FROM city WHERE people > ?" 1000
              litebase query "SELECT * FROM city WHERE name = :name" :name=Oslo
              litebase query - < script.sql
              litebase query -d cache SET greeting "hello world"
            """)

    @Argument(help: ArgumentHelp("The statement; - reads statements from stdin.", valueName: "sql"))
    var givenSQL: String

    @Argument(help: "Values for its placeholders.")
    var parameters: [String] = []

    @Flag(name: .customLong("text"), help: "Take every parameter as text, as it is.")
    var isAllText = false

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var pager: PagerOptions
    @OptionGroup var limits: StatementLimits
    @OptionGroup var script: ScriptOptions
    @OptionGroup var connection: ConnectionOptions

    private var sql: String { ParameterParsing.unmarked(givenSQL) }

    func run() throws {
        let parameters = try ParameterParsing.parameters(parameters, allText: isAllText)
        if sql == "-" {
            guard parameters.isEmpty else { throw UsageError("statements from stdin take no parameters") }
            return try runScript()
        }
        // By the rules of each engine; where all find one statement, none has to be asked for its own.
        let counts = StatementSplitter.Language.sql.flatMap { language in
            StatementSplitter.Rules.all.map { Self.split(sql, language, $0).count }
        }
        if counts.allSatisfy({ $0 == 0 }) { throw UsageError("there is no statement to run") }
        let screen = ResultScreen(pager)
        let client = try connect(screen)
        if !database.needSession, counts.allSatisfy({ $0 == 1 }) {
            let runner = StatementRunner(
                target: .client(client), options: limits.queryOptions(database: database.database),
                output: screen.output)
            var formatter = output.makeFormatter()
            let isText = try !parameters.isEmpty && takesCommands(client)
            let values = isText ? try ParameterParsing.parameters(self.parameters, allText: true) : parameters
            return try Self.report(sql) { try screen.show { _ = try runner.run(sql, values, &formatter) } }
        }
        try withSession(client, screen) { script, language in
            if language == .commandLines {
                // Semicolons mean nothing there.
                let values = try ParameterParsing.parameters(self.parameters, allText: true)
                return try screen.show {
                    try script.run(.init(bytes: Array(sql.utf8), line: 1), values, isFromScript: false)
                }
            }
            let statements = Self.split(sql, language, script.rules)
            guard parameters.isEmpty || statements.count == 1 else {
                throw UsageError("parameters need a single statement, but there are \(statements.count)")
            }
            if statements.count == 1 {
                return try screen.show { try script.run(statements[0], parameters, isFromScript: false) }
            }
            var splitter = StatementSplitter(language, script.rules)
            var rest = Array(sql.utf8)[...]
            try run(&rest, &splitter, in: &script, screen, isFromScript: false)
            // The argument ends where its text ends.
            if script.copy != nil { return try script.end(&splitter) }
            if let last = splitter.finish() { try run(last, in: &script, screen, isFromScript: false) }
        }
    }

    private func connect(_ screen: ResultScreen) throws(ClientError) -> BlockingClient {
        let client = try ConnectionOptions.connectForStatements(
            to: try connection.endpoint(), trusting: connection.trusted, as: "litebase query",
            notices: screen.notices)
        // The first Ctrl-C cancels the statement, and its end is waited for; the second one ends the program.
        client.cancellationDescriptor = Interrupts.install(isOnce: true)
        return client
    }

    /// Whether the database takes commands instead of SQL. Their arguments are strings: `1.50` must not become `1.5`.
    private func takesCommands(_ client: BlockingClient) throws -> Bool {
        let known = try client.information(onDatabase: database.database)
        return known.map { StatementSplitter.Language(engine: $0.engine) == .commandLines } ?? false
    }

    private func runScript() throws {
        let screen = ResultScreen(pager)
        try withSession(try connect(screen), screen) { script, language in
            if self.script.errorPolicy == .stop,
                let refusal = ScriptCheck.refusal(in: STDIN_FILENO, language, script.rules, script.session)
            {
                throw InputError(
                    message: "\(ScriptPlace(line: refusal.line)): \(refusal.reason)\n\(ScriptText.nothingRun)",
                    status: refusal.status)
            }
            var splitter = StatementSplitter(language, script.rules)
            var isFirst = true
            while let chunk = try StandardInput.read() {
                var rest = isFirst ? ByteOrderMark.dropped(chunk[...]) : chunk[...]
                isFirst = false
                try run(&rest, &splitter, in: &script, screen, isFromScript: true)
            }
            try script.end(&splitter)
        }
    }

    /// Runs the statements that a piece of a script completes, and takes the data behind them.
    private func run(
        _ rest: inout ArraySlice<UInt8>, _ splitter: inout StatementSplitter, in script: inout Script,
        _ screen: ResultScreen, isFromScript: Bool
    ) throws {
        while true {
            if splitter.isInData {
                let data = splitter.takeData(&rest)
                if let statement = script.copy?.statement {
                    try attempt(statement, in: &script) { script throws in try script.take(data) }
                }
                if !data.isEnd { return }
            }
            guard let statement = splitter.next(&rest) else { return }
            do {
                try run(statement, in: &script, screen, isFromScript: isFromScript)
            } catch let error as OutputError {
                if isFromScript, let next = splitter.next(&rest) { Self.complainOfRest(from: next) }
                throw error
            }
            splitter.rules = script.rules
        }
    }

    /// Runs one of several statements.
    private func run(
        _ statement: StatementSplitter.Statement, in script: inout Script, _ screen: ResultScreen,
        isFromScript: Bool
    ) throws {
        try attempt(statement, in: &script) { script throws in
            try screen.show { try script.run(statement, .none, isFromScript: isFromScript) }
        }
    }

    /// Does something for a statement. If it fails, the script ends, or the error is shown and counted.
    private func attempt(
        _ statement: StatementSplitter.Statement, in script: inout Script, _ body: (inout Script) throws -> Void
    ) throws {
        if Interrupts.isRaised { throw InterruptedError() }
        do {
            try body(&script)
        } catch {
            if Interrupts.isRaised { throw error }
            guard self.script.errorPolicy == .continue, script.mayGoOn(behind: statement, error) else { throw error }
            _ = LiteBaseCommand.report(error)
            script.hasFailed = true
        }
    }

    private func withSession(
        _ client: BlockingClient, _ screen: ResultScreen,
        _ body: (inout Script, StatementSplitter.Language) throws -> Void
    ) throws {
        let session = try client.openSession(database.sessionOptions)
        let runner = StatementRunner(
            target: .session(session), options: limits.queryOptions(database: nil), output: screen.output)
        let language = StatementSplitter.Language(engine: session.information.engine)
        var script = Script(runner: runner, session: session, language: language, formatter: output.makeFormatter())
        script.askRules()
        script.endsAtErrors = self.script.errorPolicy == .stop
        do {
            try body(&script, language)
        } catch {
            if script.hasOpenTransaction { Self.complainOfTransaction() }
            if script.hasLostTransaction { Terminal.complain("litebase: \(ScriptText.lostTransaction)") }
            throw error
        }
        let isLost = script.hasOpenTransaction
        if isLost { Self.complainOfTransaction() }
        try session.close()
        if isLost || script.hasFailed { throw ExitCode(ExitStatus.statementFailed) }
    }

    private static func complainOfRest(from statement: StatementSplitter.Statement) {
        Terminal.complain(
            "litebase: \(ScriptPlace(line: statement.line)): \(ScriptText.nobodyReads)")
    }

    private static func complainOfTransaction() {
        Terminal.complain("litebase: the last transaction was not committed, and is rolled back")
    }

    private static func split(
        _ sql: String, _ language: StatementSplitter.Language, _ rules: StatementSplitter.Rules
    ) -> [StatementSplitter.Statement] {
        var splitter = StatementSplitter(language, rules)
        var statements = splitter.append(sql.utf8)
        if let last = splitter.finish() { statements.append(last) }
        return statements
    }

    /// Adds the statement to its error.
    static func report(_ sql: String, _ place: ScriptPlace? = nil, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as ClientError {
            throw StatementError(error: error, sql: sql, place: place)
        }
    }
}

/// Standard input.
enum StandardInput {
    /// The next bytes; `nil` at the end.
    static func read() throws -> [UInt8]? {
        var failure: Errno?
        let chunk = [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
            count = 0
            while true {
                let got = Glibc.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
                if got >= 0 {
                    count = got
                    return
                }
                if Errno.current != .interrupted || Interrupts.isRaised {
                    failure = Errno.current
                    return
                }
            }
        }
        if Interrupts.isRaised { throw InterruptedError() }
        if let failure { throw InputError(message: "cannot read stdin: \(failure)", status: ExitStatus.noInput) }
        return chunk.isEmpty ? nil : chunk
    }
}
