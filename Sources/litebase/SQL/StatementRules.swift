// How the server of a session reads quotes, which statements change. The server is asked; it says so in no reply.

import LiteBaseClient
import SQLText

extension StatementSplitter.Rules {
    /// Asks the session's server.
    /// - Returns: `nil` if it cannot be found out, as in a failed transaction.
    static func ask(
        _ session: BlockingSession, _ language: StatementSplitter.Language
    ) -> StatementSplitter.Rules? {
        var rules = StatementSplitter.Rules()
        switch language {
        case .mysql:
            let settings = "SELECT CONCAT(@@SESSION.sql_mode, ',', @@SESSION.character_set_client)"
            guard let modes = text(session, settings)?.split(separator: ",") else { return nil }
            rules.isUTF8 = modes.last?.hasPrefix("utf8") ?? false
            rules.hasBackslashEscapes = !modes.contains("NO_BACKSLASH_ESCAPES")
            rules.hasANSIQuotes = modes.contains("ANSI_QUOTES")
        case .postgresql:
            guard let value = text(session, "SHOW standard_conforming_strings") else { return nil }
            rules.hasStandardStrings = value != "off"
        case .sqlite, .commandLines: break
        }
        return rules
    }

    private static func text(_ session: BlockingSession, _ sql: String) -> String? {
        guard let row = try? session.query(sql).rows.first else { return nil }
        return row[0].text
    }
}
