// One setting: its name in a file, its flag, its type, how it is read from a value and written as one.

internal import DatabaseContract
internal import LinuxSystem
internal import Server

/// A row of the table of settings (SettingTable.swift).
public struct Setting: Sendable {
    typealias Place<Value> = any WritableKeyPath<Settings, Value> & Sendable

    /// Where the value lives, its type and its range.
    enum Slot: Sendable {
        case integer(Place<Int>, ClosedRange<Int>)
        case milliseconds(Place<Int64>, ClosedRange<Int>)
        case port(Place<UInt16?>)
        case mode(Place<UInt32>)
        case path(Place<String?>)
        case group(Place<String?>)
        case databaseName(Place<String>)
        case level(Place<LogLevel>)
        case principals(Place<Principals?>, PrincipalKind)
    }

    /// Dotted path of its key, such as `limits.frame_bytes_max`.
    public let name: String
    /// One line for people.
    public let help: String
    let slot: Slot

    init(_ name: String, _ slot: Slot, _ help: String) {
        self.name = name
        self.slot = slot
        self.help = help
    }

    /// Keys of the path.
    public var path: [String] { name.split(separator: ".").map(String.init) }

    /// The range of a number.
    var range: ClosedRange<Int>? {
        switch slot {
        case .integer(_, let range), .milliseconds(_, let range): range
        case .port, .mode, .path, .group, .databaseName, .level, .principals: nil
        }
    }

    /// Unit and range as people read them, such as `integer, 0 to 65535`.
    public var type: String {
        switch slot {
        case .integer(_, let range), .milliseconds(_, let range):
            "integer, \(range.lowerBound) to \(range.upperBound)"
        case .port: "integer, 0 to 65535"
        case .mode: "string of octal digits"
        case .path: "string, absolute path"
        case .group: "string, name or number of a group"
        case .databaseName: "string, name of a database"
        case .level: "string: " + LogLevel.allCases.map(\.name).joined(separator: ", ")
        case .principals(_, let kind): kind.type
        }
    }

    /// The value in `settings` as TOML writes it; `nil` when it is not set.
    public func literal(in settings: Settings) -> String? {
        switch slot {
        case .integer(let place, _): "\(settings[keyPath: place])"
        case .milliseconds(let place, _): "\(settings[keyPath: place])"
        case .port(let place): settings[keyPath: place].map { "\($0)" }
        case .mode(let place): TOMLDocument.quote(octal(settings[keyPath: place]))
        case .path(let place), .group(let place): settings[keyPath: place].map(TOMLDocument.quote)
        case .databaseName(let place): TOMLDocument.quote(settings[keyPath: place])
        case .level(let place): TOMLDocument.quote(settings[keyPath: place].name)
        case .principals(let place, _): settings[keyPath: place].map(PrincipalKind.literal)
        }
    }

    /// Sets it from a value of a file.
    /// - Returns: what is wrong with the value and what would be right; `nil` when it was taken.
    func assign(_ value: TOMLValue, to settings: inout Settings, _ engines: EngineRegistry) -> String? {
        switch (slot, value) {
        case (.integer(let place, let range), .integer(let number)):
            guard let number = Int(exactly: number), range.contains(number) else { return outOfRange }
            settings[keyPath: place] = number
        case (.milliseconds(let place, let range), .integer(let number)):
            guard range.contains(Int(clamping: number)) else { return outOfRange }
            settings[keyPath: place] = number
        case (.port(let place), .integer(let number)):
            guard let port = UInt16(exactly: number) else { return outOfRange }
            settings[keyPath: place] = port
        case (.mode, .string(let text)), (.path, .string(let text)), (.group, .string(let text)),
            (.databaseName, .string(let text)), (.level, .string(let text)):
            return assign(text: text, to: &settings, engines)
        case (.principals(let place, let kind), .strings(let names)):
            settings[keyPath: place] = kind.list(names)
        case (.mode, .integer):
            return "must be a string of octal digits; write for example \"0660\""
        default:
            return "has the wrong type (\(value.typeName)); it takes \(article) \(type)"
        }
        return nil
    }

    /// Sets it from the text behind a flag.
    /// - Returns: as `assign(_:to:_:)`.
    func assign(text: String, to settings: inout Settings, _ engines: EngineRegistry) -> String? {
        switch slot {
        case .integer, .milliseconds, .port:
            guard let number = Int64(text) else { return "must be an \(type), not \"\(text)\"" }
            return assign(.integer(number), to: &settings, engines)
        case .mode(let place):
            guard let mode = UInt32(text, radix: 8), mode <= 0o777, !text.hasPrefix("+") else {
                return "must be octal digits from 0 to 0777, not \"\(text)\""
            }
            settings[keyPath: place] = mode
        case .path(let place):
            guard text.hasPrefix("/"), !text.containsControlCharacter else {
                return "must be an absolute path, not \"\(text)\""
            }
            settings[keyPath: place] = text
        case .group(let place):
            guard !text.isEmpty, !text.containsControlCharacter else { return "must name a group" }
            settings[keyPath: place] = text
        case .databaseName(let place):
            if let problem = DatabaseAddress.problem(name: text, engines) { return problem }
            settings[keyPath: place] = text
        case .level(let place):
            guard let level = LogLevel(name: text) else { return unknownLevel(text) }
            settings[keyPath: place] = level
        case .principals: return "is \(article) \(type)"
        }
        return nil
    }

    /// The list of users or groups, where it is one and was given.
    func principals(in settings: Settings) -> (names: Principals, kind: PrincipalKind)? {
        guard case .principals(let place, let kind) = slot else { return nil }
        return settings[keyPath: place].map { ($0, kind) }
    }

    /// Looks those names of a list up again that nobody had.
    func lookUpAgain(in settings: inout Settings) {
        guard case .principals(let place, let kind) = slot, let list = settings[keyPath: place] else { return }
        if list.unknownNames.isEmpty { return }
        settings[keyPath: place] = kind.list(list.names)
    }

    private var outOfRange: String { "is out of range; it takes \(article) \(type)" }

    private var article: String { type.hasPrefix("string") ? "a" : "an" }

    private func unknownLevel(_ text: String) -> String {
        let names = LogLevel.allCases.map(\.name)
        return "must be one of \(names.joined(separator: ", ")), not \"\(text)\""
            + (Suggestion.nearest(to: text, in: names).map { "; did you mean \"\($0)\"?" } ?? "")
    }

    private func octal(_ mode: UInt32) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
    }
}

extension String {
    /// True when a C call or a log line would cut or garble it.
    var containsControlCharacter: Bool { utf8.contains { $0 < 0x20 || $0 == 0x7f } }
}
