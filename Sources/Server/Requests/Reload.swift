// `reload`: a client asks, the control loop does it (`ReloadDesk`), and the answer goes back to the client's loop.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension ReloadRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        connection.reload(request)
    }
}

extension Connection {
    func reload(_ request: ReceivedRequest) -> RequestOutcome {
        let operation = makeOperation(request)
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
        return .pending
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
        var answer = ReloadReply()
        answer.databaseCount = Int64(databaseCount)
        answer.restartNeeded = restartNeeded
        answer.problems = problems.isEmpty ? nil : problems
        reply(answer, to: operation)
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
