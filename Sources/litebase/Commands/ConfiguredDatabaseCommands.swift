// `litebase config list`, `show` and `test`: the databases of the configuration files.

import ArgumentParser
internal import ByteBuffers
internal import LinuxSystem
import LiteBaseClient

struct ListConfigurationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the databases of the configuration files.",
        usage: "litebase config list [<options>]",
        discussion: """
            Each with its engine, its URL without a password, the file and line
            where it is, and whether the running daemon has it, if that reads these
            files: "loaded" or "waits for a reload".
            """)

    @OptionGroup var files: ConfigurationOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let databases = try DatabaseListing.load(files.config)
        let loaded = LoadedDatabases(files, connection)
        let rows = databases.enumerated().map { index, database -> [Value] in
            [
                .text(database.name), .text(database.engine), .text(TOMLLiteral.plain(database.value("url") ?? "")),
                .text(TOMLLiteral.plain(database.value("access") ?? "")), .bool(index == 0), .text(database.origin),
                loaded.map { .text($0.state(of: database.name)) } ?? .null,
            ]
        }
        try StandardOutput().write(["name", "engine", "url", "access", "default", "source", "daemon"], rows, output)
    }
}

struct ShowConfigurationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the settings of a database and where each is set.",
        usage: "litebase config show <name> [<options>]",
        discussion: """
            Every setting that is in force, as TOML writes it and without passwords,
            with the file and line that has set it: the database's own, or that of
            [limits] for all databases; "default" where nobody has.
            """)

    @Argument(help: "The database's name.")
    var name: String

    @OptionGroup var files: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let database = try DatabaseListing.find(name, in: try DatabaseListing.load(files.config))
        let rows: [[Value]] = database.keys.map { [.text($0.name), .text($0.value), .text($0.origin)] }
        try StandardOutput().write(["setting", "value", "source"], rows, output)
    }
}

struct TestConfigurationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Open a database of the configuration files, and say what was found.",
        usage: "litebase config test <name> [--json] [<options>]",
        discussion: """
            Connects as a daemon would, with the same settings and passwords, for
            root as the user of the service; so before a reload, too. Nothing is
            changed: a file that is not there is not made. The service's sandbox and
            credentials are not there: "litebase ping -d <name>" asks the running
            daemon. The exit status is 0 if the database has answered, else 69; 78
            if it is disabled.
            """)

    @Argument(help: "The database's name.")
    var name: String

    @Flag(name: .customLong("json"), help: "Print one JSON object.")
    var isJSON = false

    @OptionGroup var files: ConfigurationOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        // A name that is none is told with a near one.
        _ = try DatabaseListing.find(name, in: try DatabaseListing.load(files.config))
        let result = try DaemonProgram.run(["--test-database", name] + DaemonProgram.flags(files.config))
        guard !result.output.isEmpty else {
            throw InputError(message: DaemonProgram.messages(result.errors), status: result.status)
        }
        var findings = Self.parse(result.output)
        if let loaded = LoadedDatabases(files, connection) { findings.append(("daemon", loaded.state(of: name))) }
        let output = StandardOutput()
        if isJSON {
            let members = findings.map { finding -> (key: String, value: StructuredValue) in
                (String(finding.name.map { $0 == " " ? "_" : $0 }), .value(.text(finding.value)))
            }
            JSONText.append(.map(members), into: &output.buffer)
            output.buffer.append(UInt8(ascii: "\n"))
        } else {
            for line in Self.aligned(findings) { try output.print(line) }
        }
        try output.flush()
        DaemonProgram.passOn(result.errors)
        if result.status != 0 { throw ExitCode(result.status) }
    }

    /// Lines of a name, a tab and a value.
    static func parse(_ text: String) -> [(name: String, value: String)] {
        text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return parts.count == 2 ? (parts[0], parts[1]) : nil
        }
    }

    private static func aligned(_ findings: [(name: String, value: String)]) -> [String] {
        let width = findings.map { DisplayWidth.of($0.name) }.max() ?? 0
        return findings.map { name, value in
            let padding = String(repeating: " ", count: width - DisplayWidth.of(name) + 2)
            return TerminalEscaping.visible(name) + padding + TerminalEscaping.visible(value)
        }
    }
}

/// Strings as TOML writes them.
enum TOMLLiteral {
    /// The text of a basic string; anything else stays as it is written.
    static func plain(_ literal: String) -> String {
        guard literal.utf8.count >= 2, literal.hasPrefix("\""), literal.hasSuffix("\"") else { return literal }
        var text = ""
        var rest = literal.dropFirst().dropLast()
        while let character = rest.popFirst() {
            guard character == "\\", let escaped = rest.popFirst() else {
                text.append(character)
                continue
            }
            // Control characters stay escaped: nobody wants them on a screen.
            text += escaped == "\"" || escaped == "\\" ? String(escaped) : "\\\(escaped)"
        }
        return text
    }
}
