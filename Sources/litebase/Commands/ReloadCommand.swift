// `litebase reload`: ExecReload= of the service, and for people.

import ArgumentParser
internal import ByteBuffers
import LiteBaseClient

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Make the daemon read its configuration again.",
        usage: "litebase reload [--json] [<options>]",
        discussion: """
            Returns when the new configuration is in force. If it has errors, they
            are listed, and the former one stays. For root, the daemon's user and
            administrators (access.admins).
            """)

    @Flag(name: .customLong("json"), help: "Print one JSON object.")
    var isJSON = false

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let result = try Self.reload(connection)
        let output = StandardOutput()
        if isJSON {
            Self.appendJSON(result, into: &output.buffer)
            output.buffer.append(UInt8(ascii: "\n"))
        } else {
            for line in Self.lines(result) { try output.print(line) }
        }
        try output.flush()
    }

    /// Makes the daemon read its configuration.
    static func reload(_ connection: ConnectionOptions) throws -> ReloadResult {
        try ServiceState.explaining(connection) { endpoint in
            let client = try BlockingClient.connect(to: endpoint, trusting: connection.trusted)
            client.timeout = .seconds(30)
            return try client.reload()
        }
    }

    /// What happened, for people.
    static func lines(_ result: ReloadResult) -> [String] {
        let first = "Configuration reloaded: \(counted(result.databaseCount, "database"))"
        let problems = result.problems.map(TerminalEscaping.visible)
        if result.restartNeeded.isEmpty { return [first] + problems }
        let names = result.restartNeeded.map(TerminalEscaping.visible).joined(separator: ", ")
        return [first, "Waiting for a restart: \(names)"] + problems
    }

    static func appendJSON(_ result: ReloadResult, into output: inout ByteBuffer) {
        var members: [(key: String, value: StructuredValue)] = [
            ("databases", .value(.integer(result.databaseCount))),
            ("restart_needed", .array(result.restartNeeded.map { .value(.text($0)) })),
        ]
        if !result.problems.isEmpty {
            members.append(("problems", .array(result.problems.map { .value(.text($0)) })))
        }
        JSONText.append(.map(members), into: &output)
    }
}
