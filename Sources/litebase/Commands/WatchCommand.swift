// `litebase watch`: tells what changes in a database, while it changes.

import ArgumentParser
internal import ByteBuffers
internal import Glibc
internal import LinuxSystem
import LiteBaseClient
internal import WireProtocol

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Tell what changes in a database.",
        usage: "litebase watch <database> [<relation>...] [<options>]",
        discussion: """
            A line for each commit, or for some together, with the tables that were
            changed, until Ctrl-C. "resync" is where that is not known, such as when
            another program has written the file: read again what you have read. Of MySQL
            and MariaDB, what is committed through the daemon is told.

            A command of --exec is run by sh(1) after each change, one at a time; what
            changes meanwhile is one change for the next run. It has
            LITEBASE_RELATIONS (names, a line for each), LITEBASE_SCHEMA and
            LITEBASE_RESYNC (1 or nothing), LITEBASE_POSITION.

            When the daemon ends it is waited for, and connected to again.

            PostgreSQL and Redis do not tell what changes, but have channels, to which
            NOTIFY and PUBLISH send messages: --channel and --pattern tell each of these.
            A command has LITEBASE_CHANNEL and LITEBASE_PAYLOAD then, and runs once for
            each message; "resync" is where some were missed.

            EXAMPLES:
              litebase watch shop
              litebase watch shop orders --exec 'make report'
              litebase watch shop --json --once
              litebase watch erp --channel changes
              litebase watch cache --pattern 'jobs.*' --json
            """)

    @Argument(help: ArgumentHelp("The database, by name.", valueName: "database"))
    var database: String

    @Argument(help: ArgumentHelp("Only these tables, whatever their case.", valueName: "relation"))
    var relations: [String] = []

    @Option(help: ArgumentHelp("Messages of a channel; may be repeated.", valueName: "name"))
    var channel: [String] = []

    @Option(help: ArgumentHelp("Of all channels that match, in Redis; may be repeated.", valueName: "pattern"))
    var pattern: [String] = []

    @Option(
        name: .customLong("exec"),
        help: ArgumentHelp("Run a command after each change, instead of a line.", valueName: "command"))
    var command: String?

    @Option(help: ArgumentHelp("Gather changes for that time.", valueName: "ms"))
    var delay: Int64?

    @Option(help: ArgumentHelp("Go on where an earlier one has come to.", valueName: "position"))
    var from: String?

    @Flag(help: "Write JSON lines.")
    var json = false

    @Flag(help: "End after the first change.")
    var once = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if command != nil, json { throw ValidationError("Give either --exec or --json, not both.") }
        if let delay, !(0...3_600_000).contains(delay) {
            throw ValidationError("The delay must be 0 to 3600000 milliseconds.")
        }
        guard !channel.isEmpty || !pattern.isEmpty else { return }
        if !relations.isEmpty { throw ValidationError("Give either tables or channels, not both.") }
        if delay != nil { throw ValidationError("Messages are told one by one: leave out --delay.") }
    }

    func run() throws {
        let interrupts = Interrupts.install()
        var position = from
        var isFirst = true
        while true {
            do {
                let client = try connection.connect()
                try client.introduce(as: "litebase watch")
                client.cancellationDescriptor = interrupts
                let changes = try listen(client, from: position)
                if !isFirst { Terminal.complain("litebase: connected again") }
                isFirst = false
                position = changes.position
                while true {
                    // A command may take its time.
                    let change = command == nil ? try changes.next() : try changes.nextTogether()
                    try tell(change)
                    if once { return }
                    position = change.position
                }
            } catch let error as ClientError {
                if Interrupts.isRaised { throw InterruptedError() }
                guard !isFirst, Self.isOfAnEnd(error) else { throw error }
                // Once for each loss: until there is a daemon again, nothing else is said.
                if let reason = Self.loss(error) { Terminal.complain("litebase: \(reason); it is waited for") }
                Interrupts.sleep(milliseconds: Self.attemptMilliseconds)
                if Interrupts.isRaised { throw InterruptedError() }
            }
        }
    }

    /// Between two attempts to connect.
    private static let attemptMilliseconds: Int32 = 1_000

    private func listen(_ client: BlockingClient, from position: String?) throws(ClientError) -> BlockingChanges {
        var options = SubscriptionOptions(database: database)
        options.relations = relations
        options.channels = channel
        options.patterns = pattern
        options.from = position
        options.delay = delay.map { .milliseconds($0) }
        return try client.changes(options)
    }

    // MARK: The end of a daemon

    /// Whether another daemon may go on.
    private static func isOfAnEnd(_ error: ClientError) -> Bool {
        switch error {
        case .disconnected, .noSocket, .cannotConnect: true
        // The latter of a daemon that was killed, whose connections outlive it.
        case .server(let error): error.code == .shuttingDown || error.code == .outcomeUnknown
        default: false
        }
    }

    /// What has become of the connection; `nil` for an attempt to make another one.
    private static func loss(_ error: ClientError) -> String? {
        switch error {
        case .disconnected: "the daemon has closed the connection"
        case .server(let error): error.code == .shuttingDown ? "the daemon is stopping" : "the daemon has ended"
        default: nil
        }
    }

    // MARK: What is told

    private func tell(_ change: Change) throws {
        if let command { return run(command, change) }
        let output = StandardOutput()
        if json {
            Self.appendJSON(change, to: &output.buffer)
        } else {
            try output.print(TerminalEscaping.visible(Self.line(change)))
        }
        try output.flush()
    }

    private func run(_ command: String, _ change: Change) {
        for (name, value) in [
            ("LITEBASE_RELATIONS", change.relations.joined(separator: "\n")),
            ("LITEBASE_SCHEMA", change.changesSchema ? "1" : ""),
            ("LITEBASE_RESYNC", change.resyncReason == nil ? "" : "1"), ("LITEBASE_POSITION", change.position),
            ("LITEBASE_CHANNEL", change.message.map { Self.variable($0.channel) } ?? ""),
            ("LITEBASE_PAYLOAD", change.message.map { Self.variable($0.payload) } ?? ""),
        ] { setenv(name, value, 1) }
        let status = system(command)
        if status != 0 {
            let signal = status & 0x7f
            let end = signal == 0 ? "status \((status >> 8) & 0xff)" : "signal \(signal)"
            Terminal.complain("litebase: the command ended with \(end)")
        }
    }

    /// No variable can have a NUL.
    private static func variable(_ value: Value) -> String {
        if case .text(let text) = value, text.utf8.contains(0) { return ValueText.hex(text.utf8) }
        return ValueText.plain(value)
    }

    private static func line(_ change: Change) -> String {
        var parts: [String] = []
        if let reason = change.resyncReason { parts.append("resync (\(reason))") }
        if change.changesSchema { parts.append("schema") }
        parts += change.relations
        if let message = change.message {
            parts.append("\(ValueText.plain(message.channel)): \(ValueText.plain(message.payload))")
        }
        return "\(clockTime())  \(parts.joined(separator: ", "))"
    }

    private static func clockTime() -> String {
        var (seconds, parts) = (time(nil), tm())
        localtime_r(&seconds, &parts)
        return [parts.tm_hour, parts.tm_min, parts.tm_sec]
            .map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
    }

    private static func appendJSON(_ change: Change, to output: inout ByteBuffer) {
        output.append("{\"position\":")
        output.appendJSONText(change.position)
        if let message = change.message {
            append(message, to: &output)
            return output.append("}\n")
        }
        output.append(",\"relations\":[")
        for (index, relation) in change.relations.enumerated() {
            if index > 0 { output.append(",") }
            JSONText.append(relation, isTerminal: Terminal.outputIsTerminal, into: &output)
        }
        output.append("],\"schema\":\(change.changesSchema),\"resync\":")
        if let reason = change.resyncReason { output.appendJSONText(reason) } else { output.appendJSONNull() }
        output.append("}\n")
    }

    private static func append(_ message: ChannelMessage, to output: inout ByteBuffer) {
        var fields: [(String, Value)] = [("channel", message.channel), ("payload", message.payload)]
        if let pattern = message.pattern { fields.append(("pattern", pattern)) }
        if let pid = message.pid { fields.append(("pid", .integer(pid))) }
        for (name, value) in fields {
            output.append(",\"\(name)\":" as String)
            JSONText.append(value, isTerminal: Terminal.outputIsTerminal, into: &output)
        }
    }
}
