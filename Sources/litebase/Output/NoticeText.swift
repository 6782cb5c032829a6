// Notices as people read them.

import LiteBaseClient

extension Notice {
    /// The lines to show, in the manner of psql.
    var lines: [String] {
        var lines = Self.lines("\(severity ?? "NOTICE"):  ", message)
        if let detail { lines += Self.lines("DETAIL:  ", detail) }
        if let hint { lines += Self.lines("HINT:  ", hint) }
        return lines
    }

    private static func lines(_ label: String, _ text: String) -> [String] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        // The further ones are indented, so that none passes for a line of our own.
        return lines.enumerated().map { ($0 == 0 ? label : "  ") + $1 }
    }

    /// Writes it to standard error, out of the way of results.
    func complain() {
        for line in lines { Terminal.complain(line) }
    }
}
