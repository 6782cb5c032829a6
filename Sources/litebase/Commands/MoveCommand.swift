// `litebase move`: a SQLite database that outgrows its machine, into PostgreSQL.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient
internal import SchemaTranslation

struct MoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move",
        abstract: "Move a SQLite database into PostgreSQL, with its name.",
        usage: """
            litebase move <name> <target> [--plan] [--accept <kinds>]
                [--switch | --retire] [<options>]
            """,
        discussion: """
            <target> is a database of the configuration, or a URL (postgresql://…).
            What does not translate is listed before anything is written, and has to
            be accepted; what would lose data is refused. Tables, rows, sequences,
            keys, indexes and views come in one transaction, and are compared before
            it is committed: PostgreSQL has all of it or nothing.

            Meanwhile others read the SQLite database; who writes waits, and gets the
            error "busy" after a time. With --switch, the name is PostgreSQL's from
            then on, and the file takes no more writes.

            EXAMPLES:
              sudo litebase config add-database shop_new \\
                  "postgresql://litebase@db.example.org/shop" --ask-password --reload
              litebase move shop shop_new --plan
              sudo litebase move shop shop_new --accept trigger --switch
            """)

    @Argument(help: "The SQLite database, by name.")
    var name: String

    @Argument(help: "The database of PostgreSQL, by name or URL.")
    var target: String

    @Flag(name: .customLong("plan"), help: "Only say what would be made, and what would not.")
    var isPlan = false

    @Option(
        help: ArgumentHelp(
            "Go on without these: check, collation, conflict, default, foreign-key, generated, index, key, trigger, type, "
                + "view, virtual-table, all; or without one object (KIND:OBJECT). Repeatable.", valueName: "kinds"))
    var accept: [AcceptedKinds] = []

    @Flag(name: .customLong("switch"), help: "Give the name to the new database, and reload.")
    var mustSwitch = false

    @Flag(help: "Let the SQLite database take no more writes.")
    var retire = false

    @Flag(name: .customLong("keep-case"), help: "Keep capital letters in names.")
    var keepsCase = false

    @OptionGroup var files: ConfigurationOptions
    @OptionGroup var connection: ConnectionOptions

    /// Kinds with commas between them, or one kind with an object behind a colon, such as `key:song (title)`.
    struct AcceptedKinds: ExpressibleByArgument {
        let kinds: [Finding.Kind]
        let object: String?

        init?(argument: String) {
            if let colon = argument.firstIndex(of: ":") {
                guard Finding.acceptable.contains(where: { $0.rawValue == argument[..<colon] }) else { return nil }
                kinds = []
                object = argument
                return
            }
            object = nil
            if argument == "all" {
                kinds = Finding.acceptable
                return
            }
            let names = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            kinds = names.compactMap { name in Finding.acceptable.first { $0.rawValue == name } }
            if kinds.count < names.count { return nil }
        }
    }

    private var accepted: Set<Finding.Kind> { Set(accept.flatMap(\.kinds)) }
    private var acceptedObjects: Set<String> { Set(accept.compactMap(\.object)) }

    func validate() throws {
        if mustSwitch, retire {
            throw ValidationError("--switch does what --retire does: give only one of them.")
        }
        if isPlan, mustSwitch || retire {
            throw ValidationError("With --plan nothing is changed: leave out the other.")
        }
        if name.isEmpty || target.isEmpty { throw ValidationError("The name of a database is empty.") }
    }

    func run() throws {
        do {
            try move()
        } catch let error as ClientError {
            LiveLine.clear()
            throw StatementError(error: error, sql: "", place: nil)
        } catch {
            LiveLine.clear()
            throw error
        }
    }

    private func move() throws {
        let place = MoveTarget(target)
        var nameSwitch: NameSwitch?
        if mustSwitch {
            try ReloadOptions.check(files.place, connection)
            nameSwitch = try NameSwitch(name, to: place, files, pid: try connect().ping().pid)
        }
        let (source, target) = try sessions(place)
        let file =
            try source.query("SELECT file FROM pragma_database_list WHERE name = 'main'").rows.first?[0].text ?? ""
        try nameSwitch?.check(file)
        let start = MonotonicInstant.now
        try source.execute(isPlan ? "BEGIN" : "BEGIN IMMEDIATE")
        LiveLine.show("looking at \(name)")
        let schema = try SchemaReader(session: source).read()
        if let error = Self.movedBefore(name, schema) { throw error }
        try target.execute("BEGIN")
        var move = DatabaseMove(source, target, schema, keepsCase: keepsCase)
        try move.tryOut()
        LiveLine.clear()
        let output = StandardOutput()
        let (kinds, objects) = (accepted, acceptedObjects)
        let lines = MoveText.lines(move.plan) { kinds.contains($0.kind) || objects.contains(MoveText.argument($0)) }
        for line in lines { try output.print(line) }
        try output.flush()
        try refuse(move.plan)
        if isPlan { return }
        let rowCount = try move.copy()
        for line in MoveText.leftOut(try move.finish(accepting: objects)) { try output.print(line) }
        try output.flush()
        try compare(move, accepting: objects)
        if mustSwitch || retire { try move.close(schema) }
        // The lock has been held all the time if this is answered; after the next line it does not matter any more.
        try source.execute("SELECT 1 FROM sqlite_schema LIMIT 1")
        try DatabaseMove.heedInterrupt()
        try commit(move)
        try end(source)
        let heldMilliseconds = MonotonicInstant.now.nanoseconds(since: start) / 1_000_000
        try output.print(
            "\n\(counted(schema.tables.count, "table")) and \(counted(rowCount, "row")) moved and compared; "
                + "who wrote to \(name) has waited for \(heldMilliseconds / 1000).\(heldMilliseconds % 1000 / 100) s at most"
        )
        try output.flush()
        try tellEnd(nameSwitch, file, output)
    }

    private func sessions(_ place: MoveTarget) throws -> (
        source: BlockingSession, target: BlockingSession
    ) {
        let (reader, writer) = (try connect(), try connect())
        let source = try reader.openSession(SessionOptions(database: name, isReadOnly: isPlan))
        guard source.information.engine == "sqlite" else {
            throw UsageError(
                "\(name) is a database of the engine \(source.information.engine); one of sqlite is moved")
        }
        let target = try writer.openSession(place.session)
        guard target.information.engine == "postgresql" else {
            throw UsageError(
                "the target is a database of the engine \(target.information.engine), and has to be postgresql"
            )
        }
        guard isPlan || !source.information.isReadOnly else {
            throw InputError(
                message:
                    "you may only read \(name), and a move keeps others from writing meanwhile; --plan only reads",
                status: ExitStatus.noPermission)
        }
        return (source, target)
    }

    private func connect() throws -> BlockingClient {
        let client = try connection.connect()
        try client.introduce(as: "litebase move")
        client.cancellationDescriptor = Interrupts.install()
        return client
    }

    private func refuse(_ plan: MovePlan) throws(InputError) {
        let objects = acceptedObjects
        let refusals = plan.refusals(accepting: accepted).filter { !objects.contains(MoveText.argument($0)) }
        guard !refusals.isEmpty else { return }
        let losses = refusals.count { $0.weight == .loss }
        var parts: [String] = []
        if losses > 0 {
            parts.append("\(losses) of the above would lose data, and have to be corrected in \(name)")
        }
        let kinds = Set(refusals.filter { $0.weight == .change }.map(\.kind.rawValue)).sorted()
        if !kinds.isEmpty {
            parts.append("to go on without the others: --accept \(kinds.joined(separator: ","))")
        }
        throw InputError(message: "nothing was changed: \(parts.joined(separator: "; "))")
    }

    private func compare(_ move: DatabaseMove, accepting accepted: Set<String>) throws {
        let differences = try move.differences()
        guard differences.isEmpty else {
            let list = differences.map { TerminalEscaping.visible($0) }.joined(separator: "\n")
            throw InputError(
                message: "nothing was changed: what was copied is not the same\n\(list)",
                status: ExitStatus.statementFailed)
        }
        let views = try move.viewDifferences(accepting: accepted)
        guard views.isEmpty else {
            let list = views.map(MoveText.line).joined(separator: "\n")
            let acceptance = views.map { "--accept \(MoveText.shellArgument($0))" }.joined(separator: " ")
            throw InputError(
                message:
                    "nothing was changed: views show something else\n\(list)\nto take them as they are: \(acceptance)",
                status: ExitStatus.statementFailed)
        }
    }

    private func commit(_ move: DatabaseMove) throws {
        do throws(ClientError) {
            try move.commit()
        } catch {
            guard error.endsSession || error.serverError == nil else { throw error }
            throw InputError(
                message: "the connection was lost while PostgreSQL committed: \(error.description)\n"
                    + "\(name) is as it was, and in use. If the tables are in PostgreSQL, drop them, and move again",
                status: ExitStatus.unavailable)
        }
    }

    /// With the triggers, or as if nothing had been.
    private func end(_ source: BlockingSession) throws {
        let isClosed = mustSwitch || retire
        do throws(ClientError) {
            try source.execute(isClosed ? "COMMIT" : "ROLLBACK")
        } catch {
            guard isClosed else { return }
            throw Self.notClosed(name, error)
        }
    }

    private static let look = "SELECT name FROM sqlite_schema WHERE name LIKE 'litebase_moved_%'"

    /// What is known of SQLite's commit, when PostgreSQL has done its own.
    static func notClosed(_ name: String, _ error: ClientError) -> InputError {
        guard error.serverError.map({ $0.code == .outcomeUnknown }) ?? true else {
            return InputError(
                message:
                    "PostgreSQL has all rows, and \(name) could not be closed to writers: \(error.description)\n"
                    + "It is in use as before. Drop the tables in PostgreSQL, and move again",
                status: ExitStatus.unavailable)
        }
        return InputError(
            message:
                "PostgreSQL has all rows, and it is not known whether \(name) is closed to writers: \(error.description)\n"
                + "Look with litebase query -d \(name) \"\(look)\". If there are such triggers, it is: give \(name) the URL of the "
                + "new database in its configuration, and reload. If there are none, it is in use as before: drop the tables in "
                + "PostgreSQL, and move again",
            status: ExitStatus.unavailable)
    }

    /// That another move has closed the database; `nil` if none has.
    static func movedBefore(_ name: String, _ schema: SourceSchema) -> InputError? {
        guard schema.triggers.contains(where: { $0.name.hasPrefix("litebase_moved_") }) else { return nil }
        return InputError(
            message:
                "nothing was changed: \(name) was moved before, and its triggers litebase_moved_… keep everybody from writing. "
                + "If PostgreSQL has its rows, give \(name) the URL of that database in its configuration, and reload. To move "
                + "it again, drop the tables there, and these triggers: \(look)",
            status: ExitStatus.dataError)
    }

    /// Writes the entry and puts it in force. All rows are in PostgreSQL by now: whatever fails, it is said what remains to be done.
    private func give(_ nameSwitch: NameSwitch, _ file: String, _ output: StandardOutput) throws {
        do {
            for line in try nameSwitch.write() { try output.print(line) }
        } catch {
            try? output.print(
                "\(name) takes no more writes, and its entry was not written. Next: give it the URL of the new database in its "
                    + "configuration, and reload")
            try? output.flush()
            throw error
        }
        let before = try? connect().activity()
        let reloaded: MonotonicInstant
        do {
            try output.print("Stays, for reading: \(TerminalEscaping.visible(file))")
            let result = try ReloadCommand.reload(connection)
            reloaded = .now
            for line in ReloadCommand.lines(result) { try output.print(line) }
            try output.flush()
        } catch {
            try? output.print(
                "The entry of \(name) is written. Next: litebase reload, then end the sessions of before: litebase top")
            try? output.flush()
            throw error
        }
        let names = before.map { sessions(of: $0) { _ in true } } ?? []
        let (endedCount, isSure) = endSessions(before: names, reloaded)
        if endedCount > 0 { try output.print("\(counted(endedCount, "session")) of before ended") }
        if !isSure || before?.isTruncated ?? true {
            try output.print(
                "Sessions of before may still be open, and read the file. Next: look for them with litebase top, and end them"
            )
        }
    }

    private func sessions(of activity: Activity, where isMeant: (Activity.Entry) -> Bool) -> Set<String> {
        Set(
            activity.entries.filter { $0.database == name && $0.pid != Int64(getpid()) && isMeant($0) }
                .compactMap(\.session))
    }

    private static let endingRoundCountMax = 10

    /// A session stays with the database that it was opened for: the file, of which nothing new could be read.
    /// - Parameters:
    ///   - before: sessions that were there before the reload; others may have been opened until it was in force.
    ///   - reloaded: when it was.
    /// - Returns: how many were ended, and whether none is left.
    private func endSessions(before: Set<String>, _ reloaded: MonotonicInstant) -> (count: Int, isSure: Bool) {
        var ended: Set<String> = []
        guard let client = try? connect() else { return (0, false) }
        for _ in 0..<Self.endingRoundCountMax {
            let passed = Duration.nanoseconds(MonotonicInstant.now.nanoseconds(since: reloaded))
            guard let activity = try? client.activity() else { return (ended.count, false) }
            let left = sessions(of: activity) { entry in
                entry.age > passed || entry.session.map { before.contains($0) } ?? false
            }.subtracting(ended)
            if left.isEmpty { return (ended.count, !activity.isTruncated) }
            for session in left where (try? client.terminate(.session(session))) != nil { ended.insert(session) }
        }
        return (ended.count, false)
    }

    private func tellEnd(_ nameSwitch: NameSwitch?, _ file: String, _ output: StandardOutput) throws {
        if let nameSwitch {
            try give(nameSwitch, file, output)
        } else if retire {
            try output.print("\(name) takes no more writes: \(TerminalEscaping.visible(file))")
            try output.print(
                "Next: give \(name) the URL of the new database in its configuration, and reload")
        } else {
            try output.print(
                "\(name) is in use as before: what is written from now on is not in PostgreSQL.")
            try output.print(
                "Next: when its programs are ready, drop these tables, and move again with --switch")
        }
        try output.flush()
    }
}
