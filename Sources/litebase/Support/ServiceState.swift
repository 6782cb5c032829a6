// Why no answer comes, as far as the service manager knows: a daemon that cannot start keeps its clients waiting.

import ArgumentParser
internal import LinuxSystem
import LiteBaseClient

/// The state of the service behind a socket.
enum ServiceState {
    /// What to say instead of "no answer".
    ///
    /// - Parameter endpoint: who did not answer.
    /// - Returns: `nil` when it is no service's socket, when the service runs, or when nobody knows.
    static func explanation(_ endpoint: Endpoint) -> InputError? {
        guard let manager = manager(of: endpoint),
            let shown = try? ChildProcess.run(
                "systemctl",
                manager + ["show", "litebase.service", "--property=ActiveState,SubState,Result,NRestarts,StatusText"]),
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
        if let count = values["NRestarts"] { details.append("\(count) restarts") }
        let reason = values["StatusText"] ?? ""
        return InputError(
            message: "no answer: litebase.service does not run (\(state); \(details.joined(separator: ", ")))"
                + (reason.isEmpty ? "" : ": \(TerminalEscaping.visible(reason))"),
            status: ExitStatus.unavailable)
    }

    /// Arguments that lead to the manager whose socket it is.
    private static func manager(of endpoint: Endpoint) -> [String]? {
        guard case .unix(let path) = endpoint else { return nil }
        if path == "/run/litebase/litebase.sock" { return [] }
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

    /// Connects, asks, and says more than that no answer came, where more is known.
    ///
    /// - Parameters:
    ///   - connection: whom.
    ///   - body: asks; gets the client and its address.
    /// - Throws: what `body` throws.
    func ask(_ connection: ConnectionOptions, _ body: (BlockingClient, Endpoint) throws -> Void) throws {
        let endpoint = try connection.endpoint()
        do {
            let client = try BlockingClient.connect(to: endpoint, trusting: connection.trusted)
            client.timeout = duration
            try body(client, endpoint)
        } catch ClientError.timedOut {
            throw ServiceState.explanation(endpoint) ?? ClientError.timedOut
        }
    }
}
