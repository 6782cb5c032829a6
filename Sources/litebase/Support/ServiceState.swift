// Why no answer comes, as far as the service manager knows: a daemon that cannot start keeps its clients waiting.

import ArgumentParser
internal import LinuxSystem
import LiteBaseClient

/// The state of the service behind a socket.
enum ServiceState {
    /// An explanation instead of "no answer".
    ///
    /// - Parameter endpoint: the address that did not answer.
    /// - Returns: `nil` if it is not a service's socket, if the service runs, or if nothing is known.
    static func explanation(_ endpoint: Endpoint) -> InputError? {
        guard let manager = manager(of: endpoint),
            let shown = try? ChildProcess.run(
                "systemctl",
                manager + [
                    "show", "litebase.service",
                    "--property=ActiveState,SubState,Result,NRestarts,StatusText,ExecMainStatus",
                ]),
            shown.status == 0
        else { return nil }
        var values: [String: String] = [:]
        for line in shown.output.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { values[parts[0]] = parts[1] }
        }
        guard let state = values["ActiveState"], state != "active", state != "reloading" else { return nil }
        var details: [String] = []
        if let detail = values["SubState"] { details.append(detail) }
        if let result = values["Result"], result != "success" { details.append(result) }
        // What systemd could not set up (systemd.exec(5), PROCESS EXIT CODES): then the daemon has had no say.
        if let status = values["ExecMainStatus"].flatMap({ Int($0) }), (200...245).contains(status) {
            details.append("status \(status) of systemd.exec(5)")
        }
        if let count = values["NRestarts"] { details.append("\(count) restarts") }
        let reason = values["StatusText"] ?? ""
        return InputError(
            message: "no answer: litebase.service does not run (\(state); \(details.joined(separator: ", ")))"
                + (reason.isEmpty ? "" : ": \(TerminalEscaping.visible(reason))"),
            status: ExitStatus.unavailable)
    }

    /// Does what needs an answer, and explains a missing one if more is known.
    ///
    /// - Parameters:
    ///   - connection: how to connect.
    ///   - body: connects and asks; gets the address.
    /// - Returns: what `body` returns.
    /// - Throws: the error of `body`, or the explanation in its place.
    static func explaining<Answer>(
        _ connection: ConnectionOptions, _ body: (Endpoint) throws -> Answer
    ) throws -> Answer {
        let endpoint = try connection.endpoint()
        do {
            return try body(endpoint)
        } catch ClientError.timedOut {
            throw explanation(endpoint) ?? ClientError.timedOut
        }
    }

    /// Arguments that lead to the manager whose socket it is.
    private static func manager(of endpoint: Endpoint) -> [String]? {
        guard case .unix(let path) = endpoint else { return nil }
        if ["/run/litebase/litebase.sock", "/run/litebase/monitor.sock"].contains(path) { return [] }
        guard let directory = Process.environment("XDG_RUNTIME_DIR") else { return nil }
        return path == "\(directory)/litebase/litebase.sock" ? ["--user"] : nil
    }
}

/// How long an answer may take.
struct PatienceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Give up when no answer comes for that time.", valueName: "seconds"))
    var timeout = 10.0

    var duration: Duration { .milliseconds(Int64((timeout * 1000).rounded(.up))) }

    func validate() throws {
        if !(timeout > 0 && timeout <= 86_400) {
            throw ValidationError("The timeout must be a positive number of seconds, at most 86400.")
        }
    }

    /// Connects, asks, and explains a missing answer if more is known.
    ///
    /// - Parameters:
    ///   - connection: how to connect.
    ///   - body: asks; gets the client and its address.
    /// - Throws: the error of `body`.
    func ask(_ connection: ConnectionOptions, _ body: (BlockingClient, Endpoint) throws -> Void) throws {
        try ServiceState.explaining(connection) { endpoint in
            let client = try BlockingClient.connect(to: endpoint, trusting: connection.trusted)
            client.timeout = duration
            try body(client, endpoint)
        }
    }
}
