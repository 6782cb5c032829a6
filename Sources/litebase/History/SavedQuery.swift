// Statements that a user has saved: files of SQL in his configuration.

internal import Glibc
internal import LinuxSystem

/// `$XDG_CONFIG_HOME/litebase/queries/NAME.sql`. Lines of comment at its beginning describe it, and its parameters:
///
///     -- Orders of a customer.
///     -- :customer  the customer's number
///     -- :since     from this day on (2020-01-01)
struct SavedQuery {
    struct Parameter: Equatable {
        /// Without the sign.
        let name: String
        /// With the default, as it was written.
        let description: String
        /// What stands in parentheses at the end.
        let standard: String?
    }

    let name: String
    let sql: String
    private(set) var description = ""
    private(set) var parameters: [Parameter] = []

    private static let byteCountMax = 1 << 20

    init(name: String, text: String) {
        (self.name, sql) = (name, text)
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let trimmed = line.drop { $0.isWhitespace }
            if trimmed.isEmpty { continue }
            guard trimmed.hasPrefix("--") else { break }
            let words = trimmed.dropFirst(2).drop { $0.isWhitespace }
            if words.first == ":" {
                parameters.append(Self.parameter(words.dropFirst()))
            } else if description.isEmpty {
                description = String(words)
            }
        }
    }

    private static func parameter(_ line: Substring) -> Parameter {
        let name = line.prefix { !$0.isWhitespace }
        let description = line.dropFirst(name.count).drop { $0.isWhitespace }
        var standard: String?
        if description.last == ")", let start = description.lastIndex(of: "(") {
            standard = String(description[description.index(after: start)...].dropLast())
        }
        return Parameter(name: String(name), description: String(description), standard: standard)
    }

    static var directory: String? {
        let place = Process.environment("XDG_CONFIG_HOME") ?? Process.homeDirectory.map { $0 + "/.config" }
        return place.map { $0 + "/litebase/queries" }
    }

    /// All, by name.
    static func all() -> [SavedQuery] {
        guard let directory, let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let file = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if file.hasSuffix(".sql"), !file.hasPrefix(".") { names.append(String(file.dropLast(4))) }
        }
        return names.sorted().compactMap { try? read($0) }
    }

    /// - Throws: `UsageError` if there is none of this name.
    static func read(_ name: String) throws -> SavedQuery {
        guard let directory, !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else {
            throw UsageError("\(name) is no name of a saved query")
        }
        do throws(Errno) {
            let bytes = try Files.read("\(directory)/\(name).sql", byteCountMax: byteCountMax)
            return SavedQuery(name: name, text: String(decoding: bytes, as: UTF8.self))
        } catch .noSuchFile {
            let near = NearName.of(name, among: all().map(\.name)).map { "; \($0) may be meant" } ?? ""
            throw UsageError("there is no saved query \(name) in \(directory)\(near)")
        } catch {
            throw UsageError("cannot read \(directory)/\(name).sql: \(error)")
        }
    }

    /// The values of a command line: `name=value`, or one after the other as the parameters are described.
    /// - Throws: `UsageError` for one that is not known or has no value.
    func values(_ words: [String]) throws(UsageError) -> [String: String] {
        var values: [String: String] = [:]
        for word in words {
            let name = word.drop { ":@$".contains($0) }.prefix { $0 != "=" }
            if word.contains("="), parameters.contains(where: { $0.name == name }) || ":@$".contains(word.first ?? " ")
            {
                values[String(name)] = String(word[word.index(after: word.firstIndex(of: "=") ?? word.startIndex)...])
            } else if let next = parameters.first(where: { values[$0.name] == nil }) {
                values[next.name] = word
            } else {
                throw UsageError("\(self.name) takes \(parameters.count) parameters: \(usage)")
            }
        }
        for parameter in parameters where values[parameter.name] == nil {
            guard let standard = parameter.standard else {
                throw UsageError("\(parameter.name) has no value; litebase run \(self.name) \(usage)")
            }
            values[parameter.name] = standard
        }
        return values
    }

    /// As on a command line.
    var usage: String {
        parameters.map { $0.standard == nil ? "<\($0.name)>" : "[<\($0.name)>]" }.joined(separator: " ")
    }
}
