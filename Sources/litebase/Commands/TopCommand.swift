// `litebase top`: the present activity, refreshed.

import ArgumentParser
internal import ByteBuffers
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show what is going on, refreshed.",
        usage: "litebase top [--once] [--json] [<options>]",
        discussion: """
            Requests in flight and open sessions with their statement, state and
            age, and rates for each second. You see your own; root, the daemon's user
            and administrators (access.admins) see all. Keys: q leaves; a, u, d sort
            by age, user, database; space refreshes; k ends a request, a session or
            a connection, after a question (see "litebase cancel"). Elsewhere than
            on a terminal, one snapshot is printed.
            """)

    @Option(
        name: [.customShort("i", allowingJoined: true), .long],
        help: ArgumentHelp("Time between two pages.", valueName: "seconds"))
    var interval = 1.0

    @Flag(help: "Print one snapshot, with the rates of one interval.")
    var once = false

    @Flag(name: .customLong("json"), help: "Print one snapshot as a JSON object.")
    var isJSON = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if !(interval >= 0.1 && interval <= 3600) { throw ValidationError("The interval must be 0.1 to 3600 seconds.") }
    }

    func run() throws {
        let source = TopSource(endpoint: try connection.endpoint(), trusted: connection.trusted)
        _ = Interrupts.install([SIGINT, SIGTERM, SIGHUP])
        try source.refresh()
        if isJSON || once || !Terminal.outputIsTerminal || !Terminal.inputIsTerminal { return try printOnce(source) }
        let screen = try Screen()
        var order = TopOrder.age
        while !Interrupts.isRaised {
            try Self.show(source, order, on: screen)
            let deadline = MonotonicInstant.now.advanced(byMilliseconds: milliseconds)
            var isRefreshWanted = false
            while !isRefreshWanted, !Interrupts.isRaised {
                let left = deadline.nanoseconds(since: .now) / 1_000_000
                if left <= 0 { break }
                switch screen.key(within: Int32(left)) {
                case UInt8(ascii: "q"): return
                case UInt8(ascii: "a"): order = .age
                case UInt8(ascii: "u"): order = .user
                case UInt8(ascii: "d"): order = .database
                case UInt8(ascii: " "): isRefreshWanted = true
                case UInt8(ascii: "k"): isRefreshWanted = try Self.end(source, order, on: screen)
                default: break
                }
                try Self.show(source, order, on: screen)
            }
            source.refreshQuietly()
        }
    }

    private var milliseconds: Int64 { Int64(interval * 1000) }

    private func printOnce(_ source: TopSource) throws {
        Interrupts.sleep(milliseconds: Int32(milliseconds))
        if Interrupts.isRaised { throw ExitCode(ExitStatus.interrupted) }
        try source.refresh()
        let output = StandardOutput()
        guard let view = source.view(.age) else { return }
        if isJSON {
            view.appendJSON(into: &output.buffer)
            output.buffer.append(UInt8(ascii: "\n"))
        } else {
            let width = Terminal.outputIsTerminal ? Screen.size.width : .max
            for line in view.summary + [""] + view.table(width: width) { try output.print(line) }
        }
        try output.flush()
    }

    /// Asks what is to end, and ends it. The page stands still meanwhile, so that nobody ends what has just moved.
    /// - Returns: whether something was to be ended.
    private static func end(_ source: TopSource, _ order: TopOrder, on screen: borrowing Screen) throws -> Bool {
        var prompt = TopPrompt(source.view(order)?.entries ?? [])
        while !Interrupts.isRaised {
            try show(source, order, prompt, on: screen)
            guard let key = screen.key(within: -1) else { continue }
            switch prompt.press(key) {
            case .asking: continue
            case .abandoned: return false
            case .chosen(let target):
                source.end(target)
                return true
            }
        }
        return false
    }

    private static func show(
        _ source: TopSource, _ order: TopOrder, _ prompt: TopPrompt? = nil, on screen: borrowing Screen
    ) throws {
        let (width, height) = Screen.size
        var lines: [String] = []
        var titleIndex: Int?
        for message in [source.problem, source.outcome] {
            if let message { lines.append(TerminalEscaping.visible(message)) }
        }
        if let view = source.view(order) {
            lines += view.summary.map(TerminalEscaping.visible)
            let keys = "q quit   k end   sorted by \(order.name): a age, u user, d database"
            lines.append(prompt.map { TerminalEscaping.visible($0.line) } ?? keys)
            titleIndex = lines.count
            lines += view.table(width: width)
        }
        if lines.count > height { lines = lines[..<(height - 1)] + ["... \(lines.count - height + 1) more"] }
        let cut = lines.map { String(DisplayWidth.prefix($0, width: width)) }
        try screen.show(cut, highlighted: titleIndex)
    }
}

/// Samples of one daemon, also of its next process.
private final class TopSource {
    private let endpoint: Endpoint
    private let trusted: TrustedUsers
    private var client: BlockingClient?
    private var latest: TopSample?
    private var rates: TopRates?
    /// Why there is no new sample.
    private(set) var problem: String?
    /// What has come of the last attempt to end something.
    private(set) var outcome: String?

    /// A daemon that says nothing for that long counts as gone.
    private static let timeout = Duration.seconds(5)

    init(endpoint: Endpoint, trusted: TrustedUsers) {
        self.endpoint = endpoint
        self.trusted = trusted
    }

    func view(_ order: TopOrder) -> TopView? {
        latest.map { TopView(sample: $0, rates: rates, address: endpoint.description, order: order) }
    }

    func refresh() throws(ClientError) {
        let client = try reachableClient()
        let sample = try TopSample.take(client)
        rates = latest.flatMap { TopRates(from: $0, to: sample) }
        latest = sample
        problem = nil
    }

    /// A daemon that is being restarted is no reason to leave: the connection may survive, and if not, there is a new one.
    func refreshQuietly() {
        do throws(ClientError) {
            try refresh()
        } catch {
            problem = error.description
            if error.serverError == nil { client = nil }
        }
    }

    /// Ends something, and keeps what came of it for the screen.
    func end(_ target: TerminationTarget) {
        do throws(ClientError) {
            outcome = try reachableClient().terminate(target).line(target)
        } catch {
            outcome = error.serverError?.message ?? error.description
            if error.serverError == nil { client = nil }
        }
    }

    private func reachableClient() throws(ClientError) -> BlockingClient {
        if let client { return client }
        let client = try BlockingClient.connect(to: endpoint, timeout: Self.timeout, trusting: trusted)
        client.timeout = Self.timeout
        self.client = client
        return client
    }
}
