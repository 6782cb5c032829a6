// Which statements for a server leave its catalog as it is.

/// Whether a statement may change what is in a database, by its first word.
public enum ServerCatalogWords {
    /// False only where it is certain that not. COMMIT may: it makes a change of its transaction seen.
    public static func mayChange(_ sql: UnsafeRawBufferPointer, _ dialect: ServerDialect) -> Bool {
        var words = LeadingWords(sql, dialect)
        switch words.next() {
        case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "SHOW", "EXPLAIN", "DESCRIBE", "SET", "BEGIN",
            "START",
            "ROLLBACK", "SAVEPOINT", "FETCH", "DECLARE", "CLOSE", "REPLACE", "LOCK", "UNLOCK", "USE", "PREPARE",
            "DEALLOCATE":
            return words.hasExecutableComment
        default: return true
        }
    }
}
