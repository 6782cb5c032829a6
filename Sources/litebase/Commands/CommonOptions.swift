// Options that several commands share.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

/// How the daemon is reached.
struct ConnectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The daemon's socket.", valueName: "path"), completion: .file())
    var socket: String?

    @Option(help: ArgumentHelp("Connect to TCP port <port> of this machine instead.", valueName: "port"))
    var port: UInt16?

    @Option(
        name: .customLong("trust-user"),
        help: ArgumentHelp(
            "Talk to a daemon of that user too, not only of root, litebase and you.", valueName: "user"))
    var trustedUsers: [String] = []

    var trusted: TrustedUsers { TrustedUsers(adding: trustedUsers) }

    func validate() throws {
        if socket != nil, port != nil { throw ValidationError("Give either --socket or --port, not both.") }
        for user in trustedUsers where Process.userID(user) == nil {
            throw ValidationError("There is no user \"\(user)\".")
        }
        if port == 0 { throw ValidationError("The port must be between 1 and 65535.") }
    }

    func endpoint() throws(ClientError) -> Endpoint {
        if let port { return .loopback(port: port) }
        return try Endpoint.discover(path: socket)
    }

    func connect() throws(ClientError) -> BlockingClient {
        try BlockingClient.connect(to: try endpoint(), trusting: trusted)
    }

    /// Connects for statements, whose notices are shown.
    /// - Parameters:
    ///   - endpoint: where.
    ///   - trusted: whose daemon it may be.
    ///   - name: how administrators see the program.
    ///   - notices: takes those of the database.
    /// - Returns: the connected client.
    /// - Throws: `ClientError.noSocket`, `.cannotConnect`, `.untrusted`.
    static func connectForStatements(
        to endpoint: Endpoint, trusting trusted: TrustedUsers, as name: String,
        notices: @escaping (Notice) -> Void = { $0.complain() }
    ) throws(ClientError) -> BlockingClient {
        // A reader of the output that goes away must not end the program before its statement has ended.
        signal(SIGPIPE, SIG_IGN)
        let client = try BlockingClient.connect(to: endpoint, trusting: trusted)
        try client.introduce(as: name)
        try client.receiveNotices(notices)
        return client
    }
}

/// How results are written.
struct OutputOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Output format. Default: table on a terminal, else jsonl.", valueName: "format"))
    var format: OutputFormat?

    @Flag(name: .customLong("no-header"), help: "Leave out the names of columns (table, csv, tsv).")
    var hasNoHeader = false

    @Option(
        help: ArgumentHelp(
            "When to use colours. Default: auto, on a terminal without NO_COLOR.", valueName: "when"))
    var color: ColorWish?

    func validate() throws {
        if let color { Terminal.setColor(color) }
    }

    var effectiveFormat: OutputFormat { format ?? .standard(isTerminal: Terminal.outputIsTerminal) }

    var style: OutputStyle {
        OutputStyle(
            isTerminal: Terminal.outputIsTerminal, hasColor: Terminal.hasColor,
            hasUnicode: Terminal.hasUnicode, hasHeader: !hasNoHeader)
    }

    func makeFormatter() -> any ResultFormatter { effectiveFormat.formatter(style) }
}

extension ColorWish: ExpressibleByArgument {}

/// Which database statements go to.
struct DatabaseOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("The database, by name. Default: the daemon's.", valueName: "name"))
    var database: String?

    @Option(help: ArgumentHelp("The database, by URL or path, such as sqlite:/srv/app.db?mode=ro.", valueName: "url"))
    var url: String?

    @Flag(name: .customLong("read-only"), help: "Refuse every write.")
    var isReadOnly = false

    func validate() throws {
        if database != nil, url != nil { throw ValidationError("Give either --database or --url, not both.") }
    }

    var sessionOptions: SessionOptions {
        if let url { return SessionOptions(url: Self.url(url), isReadOnly: isReadOnly) }
        return SessionOptions(database: database, isReadOnly: isReadOnly)
    }

    /// A URL as given, where a path is also allowed.
    static func url(_ argument: String) -> String {
        if argument == ":memory:" { return "sqlite:" + argument }
        // A scheme and a colon before any slash; "./a:b" is a path.
        if argument.prefix(while: { $0 != "/" && $0 != "?" }).contains(":") { return argument }
        if argument.hasPrefix("/") { return "sqlite:" + argument }
        let directory = Process.workingDirectory
        return "sqlite:" + (directory == "/" ? "/" : directory + "/") + argument
    }

    /// Whether a request cannot say it without a session.
    var needSession: Bool { url != nil || isReadOnly }
}

/// Limits of a statement.
struct StatementLimits: ParsableArguments {
    @Option(help: ArgumentHelp("Give up after that time.", valueName: "seconds"))
    var timeout: Double?

    @Option(name: .customLong("max-rows"), help: ArgumentHelp("Stop after that many rows.", valueName: "n"))
    var maxRows: Int64?

    func validate() throws {
        if let timeout, !(timeout > 0 && timeout <= 86_400_000) {
            throw ValidationError("The timeout must be a positive number of seconds.")
        }
        if let maxRows, maxRows < 1 { throw ValidationError("The number of rows must be at least 1.") }
    }

    /// One statement at a time needs no pages: the socket itself keeps the server from running ahead.
    func queryOptions(database: String?) -> QueryOptions {
        QueryOptions(
            database: database, timeout: timeout.map { .milliseconds(Int64(($0 * 1000).rounded(.up))) },
            maxRows: maxRows, pageRows: nil)
    }
}
