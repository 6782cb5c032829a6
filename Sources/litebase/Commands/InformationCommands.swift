// `litebase databases`, `litebase status`, `litebase completions`.

import ArgumentParser
internal import ByteBuffers
import LiteBaseClient

struct DatabasesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "databases", abstract: "List the databases that you may open.",
        usage: "litebase databases [<options>]")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        try Self.write(try connection.connect().listDatabases(), output)
    }

    /// The state of servers has columns of its own, if there are servers.
    static func write(_ databases: [DatabaseInformation], _ options: OutputOptions) throws {
        let hasServers = databases.contains { $0.server != nil }
        let rows = databases.map { database -> [Value] in
            let access =
                database.isDisabled
                ? "disabled" : !database.mayBeOpened ? "none" : database.isReadOnly ? "read_only" : "read_write"
            let row: [Value] = [
                .text(database.name), .text(database.engine), .text(access), .bool(database.isDefault),
            ]
            return hasServers ? row + cells(of: database.server) : row
        }
        let columns = ["name", "engine", "access", "default"] + (hasServers ? serverColumns : [])
        try StandardOutput().write(columns, rows, options)
    }

    private static let serverColumns = ["reachable", "since_ms", "host", "pool", "last_error", "last_error_ms"]

    private static func cells(of server: DatabaseInformation.ServerState?) -> [Value] {
        [
            server?.isReachable.map { .bool($0) } ?? .null, ServerText.milliseconds(server?.age),
            server?.host.map { .text($0) } ?? .null,
            server.map { .text("\($0.connectionsUsed)/\($0.connectionsMax)") } ?? .null,
            server?.lastError.map { .text($0) } ?? .null, ServerText.milliseconds(server?.lastErrorAge),
        ]
    }
}

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show how the daemon is and what it has done.",
        usage: "litebase status [--json] [<options>]")

    @Flag(name: .customLong("json"), help: "Print one JSON object.")
    var isJSON = false

    @OptionGroup var patience: PatienceOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        try patience.ask(connection) { client, endpoint in try write(client, endpoint) }
    }

    private func write(_ client: BlockingClient, _ endpoint: Endpoint) throws {
        let health = try client.ping()
        let stats = try client.stats()
        let databases = try client.listDatabases()
        let output = StandardOutput()
        if isJSON {
            StatusText.appendJSON(health, stats, databases, into: &output.buffer)
            output.buffer.append(UInt8(ascii: "\n"))
        } else {
            for line in StatusText.lines(health, stats, databases, endpoint) { try output.print(line) }
        }
        try output.flush()
        // For monitoring: a state that an administrator has to correct is not a success.
        if stats["disabled_databases"] != nil { throw ExitCode(ExitStatus.configuration) }
    }
}

struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print a completion script for your shell.",
        discussion: """
            EXAMPLES:
              mkdir -p ~/.local/share/bash-completion/completions && cd $_
              litebase completions bash > litebase
              litebase completions zsh > "${fpath[1]}/_litebase"
              litebase completions fish > ~/.config/fish/completions/litebase.fish
            """)

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish
    }

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell

    func run() throws {
        let kind: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        let output = StandardOutput()
        try output.print(LiteBaseCommand.completionScript(for: kind))
        try output.flush()
    }
}

/// The daemon's state as text and as JSON.
enum StatusText {
    static func lines(
        _ health: Health, _ stats: StructuredValue, _ databases: [DatabaseInformation], _ endpoint: Endpoint
    ) -> [String] {
        var pairs: [(String, String)] = [
            ("daemon", "litebased \(health.version), protocol \(health.protocolVersion), pid \(health.pid)"),
            ("address", endpoint.description),
            ("state", "\(health.status), up \(DurationText.human(health.uptime)), \(started(health))"),
        ]
        pairs += databases.compactMap { database in
            database.server.map { ("server of \(database.name)", ServerText.line($0)) }
        }
        let limits = LimitsText(stats)
        for (key, member) in stats.members ?? [] where limits == nil || !LimitsText.keys.contains(key) {
            flatten(member, name: key, into: &pairs)
        }
        return aligned(pairs) + (limits?.lines ?? [])
    }

    private static func started(_ health: Health) -> String {
        health.activation == "standalone" ? "standalone" : "started by \(health.activation)"
    }

    private static func aligned(_ pairs: [(String, String)]) -> [String] {
        let width = pairs.map { DisplayWidth.of($0.0) }.max() ?? 0
        return pairs.map { name, value in
            let shown = TerminalEscaping.visible(name)
            let padding = String(repeating: " ", count: max(0, width - DisplayWidth.of(shown)) + 2)
            return shown + padding + TerminalEscaping.visible(value)
        }
    }

    /// A line for each leaf: `requests query  17`.
    private static func flatten(_ value: StructuredValue, name: String, into pairs: inout [(String, String)]) {
        switch value {
        case .value(let value): pairs.append((name, value.isNull ? "-" : ValueText.plain(value)))
        case .map(let members):
            for (key, member) in members { flatten(member, name: name.isEmpty ? key : "\(name) \(key)", into: &pairs) }
        case .array(let elements):
            for (index, element) in elements.enumerated() { flatten(element, name: "\(name) \(index)", into: &pairs) }
        }
    }

    static func appendJSON(
        _ health: Health, _ stats: StructuredValue, _ databases: [DatabaseInformation], into output: inout ByteBuffer
    ) {
        let members: [(key: String, value: StructuredValue)] = [
            ("status", .value(.text(health.status))), ("version", .value(.text(health.version))),
            ("protocol", .value(.integer(health.protocolVersion))), ("pid", .value(.integer(health.pid))),
            ("uptime_ms", .value(.integer(health.uptime.components.seconds * 1000))),
            ("activation", .value(.text(health.activation))),
            ("servers", .map(databases.compactMap { one in one.server.map { (one.name, ServerText.members($0)) } })),
            ("stats", stats),
        ]
        JSONText.append(.map(members), into: &output)
    }
}
