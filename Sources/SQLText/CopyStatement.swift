// COPY of PostgreSQL, whose rows are no part of its text.

/// What has to be known of a COPY before it is sent.
public enum CopyStatement {
    /// Whether it is one whose rows the client sends: `COPY … FROM STDIN`.
    public static func takesInput(_ statement: [UInt8]) -> Bool {
        var words = PlainWords(statement)
        guard words.next() == "copy" else { return false }
        var word = words.next()
        while let known = word {
            word = words.next()
            if known == "from", word == "stdin" { return true }
        }
        return false
    }
}
