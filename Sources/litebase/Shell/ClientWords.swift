// What other clients call the shell's commands, and what they have that the shell has not.

/// Words with a backslash, of psql and of MySQL's own client, and words with a dot, of sqlite3.
enum ClientWords {
    /// The shell's command for a word; the arguments are the same.
    static let equivalents: [String: String] = [
        "\\?": ".help", "\\h": ".help", "\\help": ".help", "\\q": ".quit", "\\quit": ".quit",
        "\\d": ".describe", "\\d+": ".describe", "\\dt": ".tables", "\\dt+": ".tables", "\\dv": ".views",
        "\\dv+": ".views", "\\di": ".indexes", "\\di+": ".indexes", "\\l": ".databases", "\\l+": ".databases",
        "\\list": ".databases", "\\c": ".use", "\\connect": ".use", "\\u": ".use", "\\conninfo": ".use",
        "\\i": ".read", "\\include": ".read", "\\ir": ".read", "\\.": ".read", "\\source": ".read",
        "\\x": ".expanded", "\\timing": ".timing", "\\t": ".headers", "\\o": ".output", "\\out": ".output",
        "\\e": ".edit", "\\edit": ".edit", "\\g": ".again", "\\G": ".again", "\\gx": ".again", "\\watch": ".watch",
        "\\set": ".parameter set", "\\unset": ".parameter unset", "\\echo": ".print", "\\qecho": ".print",
        "\\P": ".pager", "\\n": ".pager off", "\\pset": ".mode", "\\bind": ".parameter",
        ".timer": ".timing", ".exit": ".quit", ".param": ".parameter", ".indices": ".indexes", ".index": ".indexes",
        ".once": ".once", ".x": ".expanded", ".echo": ".print",
    ]

    /// What else there is to say about a word for which there is no command.
    static let advice: [String: String] = [
        "\\copy":
            "litebase export --table NAME -o FILE writes a table as CSV, .once FILE a result; .import FILE "
            + "TABLE reads one",
        "\\!": "Ctrl-Z leads to the shell of the system, and fg back",
        "\\s": "Ctrl-R searches what was typed before; .use says which database it is",
        "\\p": "Up shows the statement before", "\\r": "Ctrl-C drops what is typed",
        "\\dn": "SELECT schema_name FROM information_schema.schemata",
        "\\df": "SELECT routine_name FROM information_schema.routines",
        "\\du": "SELECT rolname FROM pg_roles", "\\dp": "SELECT * FROM information_schema.table_privileges",
        "\\ds": "SELECT sequence_name FROM information_schema.sequences", "\\dT": "SELECT typname FROM pg_type",
        "\\sf": "SELECT pg_get_functiondef('NAME'::regproc)", "\\gset": ".parameter set NAME VALUE sets a parameter",
        ".open": ".use leads to another database, by its name, URL or path",
        ".export": "litebase export writes a table or a result into a file; .once FILE the next result",
        ".backup": "litebase backup copies a SQLite database", ".clone": "litebase backup copies a SQLite database",
        ".restore": "litebase restore DATABASE FILE puts a backup back",
        ".width": "columns fit the screen by themselves; .mode record shows all of a row",
        ".bail": "litebase shell --on-error stop|continue", ".separator": ".mode csv, .mode tsv",
        ".shell": "Ctrl-Z leads to the shell of the system, and fg back",
        ".system": "Ctrl-Z leads to the shell of the system, and fg back",
        ".connection": ".use leads to another database",
    ]

    /// The command line of the shell for that of another client; `nil` if there is none.
    static func translated(_ line: String) -> String? {
        let word = String(line.prefix { !$0.isWhitespace })
        let arguments = String(line.dropFirst(word.count))
        if word == "\\pset" { return setting(arguments) }
        // psql has \d without a space, \c with a list of which the first is the database, and a semicolon as a habit.
        let bare = word.hasSuffix(";") ? String(word.dropLast()) : word
        guard let command = equivalents[bare] else { return nil }
        if bare == "\\gx" || bare == "\\G" { return ".again expanded" }
        return command + arguments
    }

    /// psql's \pset.
    private static func setting(_ arguments: String) -> String? {
        let words = arguments.split(whereSeparator: \.isWhitespace).map(String.init)
        let value = words.dropFirst().joined(separator: " ")
        switch words.first {
        case "null": return ".nullvalue \(value)"
        case "pager": return ".pager \(value)"
        case "format": return ".mode \(value)"
        case "expanded", "x": return ".expanded \(value)"
        case "tuples_only", "t": return ".headers"
        default: return nil
        }
    }

    /// Why a command of another client is not run, and what is there instead.
    static func refusal(of word: String, among own: [String]) -> String {
        if let advice = advice[word] { return "there is no command \(word): \(advice)" }
        let names = word.hasPrefix("\\") ? equivalents.keys.filter { $0.hasPrefix("\\") }.sorted() + own : own
        guard let near = NearName.of(word, among: names) else {
            return "there is no command \(word); .help lists all"
        }
        return "there is no command \(word); \(near) may be meant, .help lists all"
    }
}
