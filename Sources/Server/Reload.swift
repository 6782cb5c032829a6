// `reload`: a client asks, the control loop does it (the daemon knows the configuration, the server does not), and the
// answer goes back to the client's loop.

internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

/// What came of a wish for a reload.
public enum ReloadOutcome: Sendable {
    /// Every loop works by the new configuration, but for these settings; databases that the problems speak of are disabled.
    case inForce(databaseCount: Int, restartNeeded: [String], problems: [String])
    /// Nothing was changed; each problem is a line that names file and place.
    case refused(problems: [String])
    /// The daemon is about to leave.
    case stopping
}

extension Server {
    /// Says who reloads when a client asks for it; to be called before the first listener is added.
    ///
    /// - Parameter handler: called on the control loop's thread; calls back once, at any time and on any thread.
    public func onReloadRequest(
        _ handler: @escaping (_ answer: @escaping @Sendable (ReloadOutcome) -> Void) -> Void
    ) {
        shared.reloadDesk.open(controlLoop.mailbox, handler)
    }
}

/// Takes wishes for a reload from the loops of connections to the control loop.
///
/// - Thread: any.
final class ReloadDesk: Sendable {
    typealias Answer = @Sendable (ReloadOutcome) -> Void
    typealias Handler = (@escaping Answer) -> Void

    private let clerk = Mutex<(mailbox: LoopMailbox, handler: LoopBound<Handler>)?>(nil)

    func open(_ mailbox: LoopMailbox, _ handler: @escaping Handler) {
        let bound = LoopBound(handler, mailbox)
        clerk.withLock { $0 = (mailbox, bound) }
    }

    func submit(_ answer: @escaping Answer) {
        guard let (mailbox, handler) = clerk.withLock({ $0 }) else {
            return answer(.refused(problems: ["this daemon has no files to read"]))
        }
        mailbox.submit { handler.wrapped(answer) }
    }
}

extension Connection {
    func reload(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        guard isAdministrator else {
            noteDenial(of: .reload, nil)
            throw RequestError(
                .permissionDenied, "Only an administrator may make the daemon reload.",
                hint: "Ask an administrator: systemctl reload litebase.")
        }
        let operation = makeOperation(head, .reload, encoding)
        operation.progress = .running
        track(operation)
        let mailbox = context.loop.mailbox
        let here = LoopBound((self, operation), mailbox)
        context.shared.reloadDesk.submit { outcome in
            mailbox.submit {
                let (connection, operation) = here.wrapped
                connection.finishReload(operation, outcome)
            }
        }
    }

    private func finishReload(_ operation: Operation, _ outcome: ReloadOutcome) {
        if !isClosed {
            withOutputStorage {
                switch outcome {
                case .inForce(let databaseCount, let names, let problems):
                    replyReload(operation, databaseCount, names, problems)
                case .refused(let problems):
                    reply(.configurationInvalid(problems), id: operation.id, encoding: operation.encoding)
                case .stopping: reply(.shuttingDown, id: operation.id, encoding: operation.encoding)
                }
            }
        }
        operationDidEnd(operation)
    }

    private func replyReload(
        _ operation: Operation, _ databaseCount: Int, _ restartNeeded: [String], _ problems: [String]
    ) {
        reply(RequestType.reload.replyName, id: operation.id, encoding: operation.encoding) { writer, output in
            writer.key("databases", into: &output)
            writer.integer(Int64(databaseCount), into: &output)
            writer.key("restart_needed", into: &output)
            writer.beginArray(into: &output)
            for name in restartNeeded { writer.text(name, into: &output) }
            writer.endArray(into: &output)
            if problems.isEmpty { return }
            writer.key("problems", into: &output)
            writer.beginArray(into: &output)
            for problem in problems { writer.text(problem, into: &output) }
            writer.endArray(into: &output)
        }
    }
}

extension RequestError {
    fileprivate static func configurationInvalid(_ problems: [String]) -> RequestError {
        RequestError(
            .configurationInvalid,
            "The configuration has \(problems.count == 1 ? "an error" : "\(problems.count) errors"); "
                + "the former one stays in force.",
            hint: "Correct it and reload again."
        ).with { $0.detail = problems.joined(separator: "\n") }
    }
}
