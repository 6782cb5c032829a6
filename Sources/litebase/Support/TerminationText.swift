// What may be ended, as people write it, and what came of it.

import LiteBaseClient

extension TerminationTarget {
    /// `12` is a connection, `12.3` the third request of it, `s12-1` a session: as `litebase top` shows them.
    init?(text: String) {
        if let number = Self.number(text[...]) {
            self = .connection(number)
            return
        }
        if text.first == "s" {
            let parts = text.dropFirst().split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, parts.allSatisfy({ Self.number($0) != nil }) else { return nil }
            self = .session(text)
            return
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(Self.number)
        guard parts.count == 2, let connection = parts[0], let number = parts[1] else { return nil }
        self = .request(number, connection: connection)
    }

    /// Digits alone; 0 is none.
    private static func number(_ text: Substring) -> Int64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int64(text).flatMap { $0 > 0 ? $0 : nil }
    }

    /// The text that leads to it.
    var text: String {
        switch self {
        case .connection(let number): "\(number)"
        case .request(let number, let connection): "\(connection).\(number)"
        case .session(let name): name
        }
    }

    /// "request 3 of connection 12".
    var name: String {
        switch self {
        case .connection(let number): "connection \(number)"
        case .request(let number, let connection): "request \(number) of connection \(connection)"
        case .session(let name): "session \(name)"
        }
    }

    /// The smallest thing that one line of the activity is about.
    init(_ entry: Activity.Entry) {
        if let number = entry.number {
            self = .request(number, connection: entry.connection)
        } else if let session = entry.session {
            self = .session(session)
        } else {
            self = .connection(entry.connection)
        }
    }
}

extension TerminationResult {
    /// "Ended: connection 12 (user alice, pid 4711), 2 requests, 1 session".
    func line(_ target: TerminationTarget) -> String {
        var whose: [String] = []
        if let user = user ?? uid.map({ "\($0)" }) { whose.append("user \(user)") }
        if let pid { whose.append("pid \(pid)") }
        var parts = [target.name + (whose.isEmpty ? "" : " (\(whose.joined(separator: ", ")))")]
        if case .request = target {} else { parts.append(counted(requestCount, "request")) }
        if isClosed { parts.append(counted(sessionCount, "session")) }
        return TerminalEscaping.visible("Ended: " + parts.joined(separator: ", "))
    }
}
