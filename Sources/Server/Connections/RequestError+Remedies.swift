// What drivers advise, in the words of the protocol.

internal import DatabaseContract

extension DriverError.Details {
    /// What to do about it.
    var wordedHint: String? {
        guard let remedy else { return hint }
        return remedy.wording + (hint.map { " \($0)" } ?? "")
    }
}

extension Remedy {
    var wording: String {
        switch self {
        case .openSession: "Open one with db_connect and send its session with each statement."
        case .openSessionOrBatch(let parts): "Open a session with db_connect, or send the \(parts) as one batch."
        case .openAnotherSession: "Close it and open a new one with db_connect."
        case .repeatTransaction: "Open a new one with db_connect, and repeat the transaction from its start."
        case .raiseTimeLimit: "Raise timeout_ms, or make the statement do less."
        case .sendOneStatement: "Send one statement in sql."
        case .listDatabases: "list_databases ('litebase databases') names those that you may open."
        case .subscribeToChannels: "Send subscribe with channels ('litebase watch DATABASE --channel NAME')."
        }
    }
}
