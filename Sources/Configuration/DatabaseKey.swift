// One key of a `[databases.NAME]` table: its name, its type, how it is read from a value and written as one.

internal import DatabaseContract
internal import Server

/// A row of the table of keys of databases (DatabaseKeyTable.swift).
public struct DatabaseKey: Sendable {
    typealias Place<Value> = any WritableKeyPath<DatabaseConfiguration, Value> & Sendable

    /// Where the value lives, and what it may be. `nil` there: the key was not given.
    enum Slot: Sendable {
        case string(Place<String?>, TextRule)
        /// An empty array is not the same as none: it names nobody.
        case principals(Place<Principals?>, PrincipalKind)
        case integer(Place<Int?>, ClosedRange<Int>)
        case milliseconds(Place<Int64?>, ClosedRange<Int>)
        case access(Place<DatabaseAccess>)
        case boolean(Place<Bool>)
    }

    public let name: String
    /// One line for people.
    public let help: String
    let slot: Slot

    init(_ name: String, _ slot: Slot, _ help: String) {
        self.name = name
        self.slot = slot
        self.help = help
    }

    /// Its type and range as people read them, such as `integer, 0 to 65535`.
    public var type: String {
        switch slot {
        case .string, .access: "string"
        case .boolean: "boolean"
        case .principals(_, let kind): kind.type
        case .integer(_, let range), .milliseconds(_, let range):
            "integer, \(range.lowerBound) to \(range.upperBound)"
        }
    }

    /// The value as TOML writes it, without secrets; `nil` when it is not set.
    func literal(in database: DatabaseConfiguration, _ engines: EngineRegistry) -> String? {
        switch slot {
        case .string(let place, let rule):
            database[keyPath: place].map { TOMLDocument.quote(rule.shown($0, engines)) }
        case .principals(let place, _): database[keyPath: place].map(PrincipalKind.literal)
        case .integer(let place, _): database[keyPath: place].map { "\($0)" }
        case .milliseconds(let place, _): database[keyPath: place].map { "\($0)" }
        case .access(let place): TOMLDocument.quote(database[keyPath: place].rawValue)
        case .boolean(let place): "\(database[keyPath: place])"
        }
    }

    /// Sets it from a value of a file.
    /// - Returns: what is wrong with the value and what would be right, to be put behind the key's name; `nil` when it
    ///   was taken.
    func assign(
        _ value: TOMLValue, to database: inout DatabaseConfiguration, _ engines: EngineRegistry
    ) -> String? {
        switch (slot, value) {
        case (.string(let place, let rule), .string(let text)):
            database[keyPath: place] = text
            return rule.problem(text, engines)
        case (.principals(let place, let kind), .strings(let names)):
            database[keyPath: place] = kind.list(names)
        case (.integer(let place, let range), .integer(let number)):
            guard let number = Int(exactly: number), range.contains(number) else { return outOfRange }
            database[keyPath: place] = number
        case (.milliseconds(let place, let range), .integer(let number)):
            guard range.contains(Int(clamping: number)) else { return outOfRange }
            database[keyPath: place] = number
        case (.access(let place), .string(let text)):
            guard let access = DatabaseAccess(rawValue: text) else {
                return " must be \"read_write\" or \"read_only\", not \"\(text)\""
            }
            database[keyPath: place] = access
        case (.boolean(let place), .boolean(let value)): database[keyPath: place] = value
        default:
            return " has the wrong type (\(value.typeName)); it takes \(article) \(type)"
        }
        return nil
    }

    /// The list of users or groups, where it is one and was given.
    func principals(in database: DatabaseConfiguration) -> (names: Principals, kind: PrincipalKind)? {
        guard case .principals(let place, let kind) = slot else { return nil }
        return database[keyPath: place].map { ($0, kind) }
    }

    /// Looks those names of a list up again that nobody had.
    func lookUpAgain(in database: inout DatabaseConfiguration) {
        guard case .principals(let place, let kind) = slot, let list = database[keyPath: place] else { return }
        if list.unknownNames.isEmpty { return }
        database[keyPath: place] = kind.list(list.names)
    }

    private var outOfRange: String { " is out of range; it takes \(article) \(type)" }

    private var article: String { type.hasPrefix("integer") || type.hasPrefix("array") ? "an" : "a" }
}

/// What a text of the configuration may be, and how much of it may be shown.
struct TextRule: Sendable {
    /// What is wrong with a text, to be put behind the key's name; `nil` for a good one.
    var problem: @Sendable (String, EngineRegistry) -> String?
    /// The text without secrets.
    var shown: @Sendable (String, EngineRegistry) -> String = { text, _ in text }
}

extension TextRule {
    /// The URL of a database.
    static let url = TextRule(
        problem: { url, engines in DatabaseAddress.problem(url: url, engines).map { ": \($0)" } },
        shown: { url, engines in engines.withoutSecrets(url) })

    /// A file.
    static let absolutePath = TextRule(problem: { text, _ in
        text.hasPrefix("/") && !text.containsControlCharacter ? nil : " must be an absolute path, not \"\(text)\""
    })

    /// A credential of the service (systemd.exec(5)): a file's name, without a colon.
    static let credentialName = TextRule(problem: { text, _ in
        let isGood =
            !text.isEmpty && text != "." && text != ".." && text.utf8.count <= 255
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
        return isGood ? nil : " must be the name of a credential as LoadCredential= has it, not \"\(text)\""
    })
}
