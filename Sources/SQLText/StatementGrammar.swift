// Which semicolons end a statement, by the tokens before them: those in a body do not.

/// What matters of a word, or of a sign.
enum SQLToken {
    case semicolon, open, close
    case explain, create, temporary, trigger, begin, end, not
    /// PROCEDURE and others with a body.
    case routine
    /// TABLE and others without one.
    case object
    case `case`
    /// IF, LOOP and others that END closes, followed by the same word.
    case block
    case other

    init(word: [UInt8]) {
        guard word.count <= Self.byteCountMax else {
            self = .other
            return
        }
        self = Self.words[String(decoding: word.map { $0 | 0x20 }, as: UTF8.self)] ?? .other
    }

    private static let byteCountMax = 16
    private static let words: [String: SQLToken] = [
        "explain": .explain, "create": .create, "temp": .temporary, "temporary": .temporary, "trigger": .trigger,
        "begin": .begin, "end": .end, "not": .not, "case": .case,
        "procedure": .routine, "function": .routine, "event": .routine,
        "table": .object, "view": .object, "index": .object, "database": .object, "schema": .object, "user": .object,
        "role": .object, "server": .object, "sequence": .object, "type": .object,
        "if": .block, "loop": .block, "while": .block, "repeat": .block,
    ]
}

/// The rule of one engine.
enum StatementGrammar {
    case trigger(TriggerGrammar)
    case routine(RoutineGrammar)

    init(_ language: StatementSplitter.Language) {
        switch language {
        case .sqlite, .commandLines: self = .trigger(TriggerGrammar())
        case .postgresql: self = .routine(RoutineGrammar(isOfPostgreSQL: true))
        case .mysql: self = .routine(RoutineGrammar(isOfPostgreSQL: false))
        }
    }

    /// Whether words matter here; in most statements only the first ones do.
    var heedsWords: Bool {
        switch self {
        case .trigger(let grammar): grammar.heedsWords
        case .routine(let grammar): grammar.heedsWords
        }
    }

    /// Takes one token.
    /// - Returns: whether it ended the statement.
    mutating func take(_ token: SQLToken) -> Bool {
        switch self {
        case .trigger(var grammar):
            defer { self = .trigger(grammar) }
            return grammar.take(token)
        case .routine(var grammar):
            defer { self = .routine(grammar) }
            return grammar.take(token)
        }
    }
}

/// SQLite: `CREATE TRIGGER` ends at `; END ;`.
///
/// - Source: https://www.sqlite.org/c3ref/complete.html
struct TriggerGrammar {
    private enum State {
        case start, ordinary, explain, create
        /// In a trigger's body; after a semicolon in it; after `; END`.
        case trigger, triggerSemicolon, triggerEnd
    }

    private var state = State.start

    var heedsWords: Bool { state != .ordinary }

    mutating func take(_ token: SQLToken) -> Bool {
        switch (state, token) {
        case (.start, .semicolon), (.ordinary, .semicolon), (.explain, .semicolon), (.create, .semicolon),
            (.triggerEnd, .semicolon):
            state = .start
            return true
        case (.start, .explain): state = .explain
        case (.start, .create), (.explain, .create): state = .create
        case (.create, .temporary): state = .create
        case (.create, .trigger): state = .trigger
        case (.trigger, .semicolon), (.triggerSemicolon, .semicolon): state = .triggerSemicolon
        case (.triggerSemicolon, .end): state = .triggerEnd
        case (.trigger, _), (.triggerSemicolon, _), (.triggerEnd, _): state = .trigger
        // QUERY PLAN.
        case (.explain, .other): state = .explain
        case (.start, _), (.ordinary, _), (.explain, _), (.create, _): state = .ordinary
        }
        return false
    }
}

/// PostgreSQL and MySQL: the body of a routine is between `BEGIN` and its `END`, and may contain others. In PostgreSQL
/// most bodies are quoted; those that begin with `BEGIN ATOMIC` are not, and a rule has its statements in parentheses,
/// as psql knows.
///
/// - Source: psqlscan.l of PostgreSQL; https://mariadb.com/kb/en/begin-end/, https://mariadb.com/kb/en/case-statement/
struct RoutineGrammar {
    private enum State {
        case start, ordinary, create, routine
        /// After a BEGIN that begins the statement: a transaction, or `BEGIN NOT ATOMIC` of MariaDB.
        case begin
    }

    private let isOfPostgreSQL: Bool
    private var state = State.start
    private var parenthesisDepth = 0
    /// BEGIN and CASE without their END.
    private var depth = 0
    /// The last token was an END; the next word shows what it closes.
    private var isAfterEnd = false

    init(isOfPostgreSQL: Bool) { self.isOfPostgreSQL = isOfPostgreSQL }

    var heedsWords: Bool { state != .ordinary }

    mutating func take(_ token: SQLToken) -> Bool {
        defer { isAfterEnd = token == .end }
        switch token {
        case .semicolon:
            guard depth == 0, parenthesisDepth == 0 else { return false }
            state = .start
            return true
        case .open where isOfPostgreSQL: parenthesisDepth += 1
        case .close where isOfPostgreSQL: parenthesisDepth = max(0, parenthesisDepth - 1)
        default: state == .routine ? takeInRoutine(token) : takeOutside(token)
        }
        return false
    }

    private mutating func takeOutside(_ token: SQLToken) {
        switch (state, token) {
        case (.start, .create): state = .create
        case (.start, .begin): state = .begin
        case (.begin, .not) where !isOfPostgreSQL:
            state = .routine
            depth = 1
        case (.create, .routine), (.create, .trigger): state = .routine
        case (.create, .object), (.create, .temporary), (.start, _), (.begin, _): state = .ordinary
        default: break
        }
    }

    private mutating func takeInRoutine(_ token: SQLToken) {
        switch token {
        case .begin: depth += 1
        // `END CASE`.
        case .case: if !isAfterEnd { depth += 1 }
        case .end: depth = max(0, depth - 1)
        // `END IF`: its beginning was not counted, since IF is a function, too.
        case .block: if isAfterEnd { depth += 1 }
        default: break
        }
    }
}
