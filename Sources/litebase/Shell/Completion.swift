// What Tab proposes: commands, files, and names and words of SQL.

internal import Glibc
import LiteBaseClient

/// What may stand in the place of the word before the cursor.
struct Completion {
    /// The beginning that was typed.
    var word: String
    /// In order, without repetition.
    var candidates: [String]
    /// Behind the only one.
    var suffix = " "

    /// - Parameters:
    ///   - line: up to the cursor.
    ///   - names: of the database.
    ///   - commands: the shell's own.
    init(_ line: String, _ names: CompletionNames, commands: [String]) {
        let trimmed = line.drop { $0 == " " || $0 == "\t" }
        if trimmed.first == "." || trimmed.first == "\\" {
            self = Self.ofCommand(trimmed, names, commands)
        } else {
            self = Self.ofStatement(line, names)
        }
    }

    private init(word: some StringProtocol, _ all: [String], suffix: String = " ") {
        let start = word.lowercased()
        self.word = String(word)
        var seen: Set<String> = []
        candidates = all.filter { $0.lowercased().hasPrefix(start) && seen.insert($0).inserted }
        self.suffix = suffix
    }

    /// What all candidates begin with.
    var common: String {
        guard let first = candidates.first else { return word }
        var length = first.count
        for other in candidates.dropFirst() {
            length = min(length, zip(first.lowercased(), other.lowercased()).prefix { $0 == $1 }.count)
        }
        return String(first.prefix(length))
    }

    private static func ofCommand(_ line: Substring, _ names: CompletionNames, _ commands: [String]) -> Completion {
        guard let space = line.firstIndex(where: { $0 == " " || $0 == "\t" }) else {
            let own = line.first == "." ? commands : ClientWords.equivalents.keys.filter { $0.hasPrefix("\\") }.sorted()
            return Completion(word: line, own)
        }
        let name = String(line[..<space])
        let argument = line[space...].drop { $0 == " " || $0 == "\t" }
        switch name.hasPrefix("\\") ? ClientWords.equivalents[name] ?? name : name {
        case ".read", ".output", ".once", ".again": return ofFile(String(argument))
        case ".mode": return Completion(word: argument, OutputFormat.allCases.map(\.rawValue))
        case ".use": return Completion(word: argument, names.databases.sorted())
        case ".headers", ".timing", ".pager": return Completion(word: argument, ["on", "off"])
        case ".expanded": return Completion(word: argument, Expansion.allCases.map(\.rawValue))
        case ".describe", ".schema", ".tables", ".indexes", ".views":
            return Completion(word: argument, names.columns.keys.sorted())
        case ".parameter": return Completion(word: argument, ["set", "unset", "clear", "list"])
        default: return Completion(word: argument, [])
        }
    }

    private static func ofFile(_ typed: String) -> Completion {
        let slash = typed.lastIndex(of: "/")
        let directory = slash.map { String(typed[...$0]) } ?? ""
        let start = slash.map { typed[typed.index(after: $0)...] } ?? typed[...]
        var entries: [String] = []
        if let stream = opendir(directory.isEmpty ? "." : directory) {
            defer { closedir(stream) }
            while let entry = readdir(stream), entries.count < CompletionNames.countMax {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                guard name != ".", name != "..", !name.hasPrefix(".") || start.hasPrefix(".") else { continue }
                entries.append(directory + name + (entry.pointee.d_type == UInt8(DT_DIR) ? "/" : ""))
            }
        }
        var found = Completion(word: typed, entries.sorted())
        if found.candidates.first?.hasSuffix("/") ?? false { found.suffix = "" }
        return found
    }

    private static func ofStatement(_ line: String, _ names: CompletionNames) -> Completion {
        let word = String(line.reversed().prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "$" }.reversed())
        let before = line.dropLast(word.count)
        let columns = names.columns
        if before.last == "." {
            let relation = String(
                before.dropLast().reversed().prefix { $0.isLetter || $0.isNumber || $0 == "_" }.reversed())
            let own = of(relation, line, columns).sorted()
            return Completion(word: word, own.map(names.quoted), suffix: "")
        }
        if word.isEmpty { return Completion(word: word, []) }
        let used = words(of: line).flatMap { columns[$0] ?? [] }
        let isUpper = word.contains { $0.isUppercase }
        let keywords = Self.keywords.map { isUpper ? $0.uppercased() : $0 }
        let tables = columns.keys.sorted()
        // Names after FROM and the like; elsewhere columns of the tables that are named come first.
        let previous = words(of: String(before)).last?.lowercased() ?? ""
        if ["from", "join", "into", "update", "table"].contains(previous) {
            return Completion(word: word, tables.map(names.quoted))
        }
        return Completion(word: word, used.map(names.quoted) + keywords + tables.map(names.quoted))
    }

    /// Columns of a table, or of the one that is called so in this line.
    private static func of(_ relation: String, _ line: String, _ columns: [String: [String]]) -> [String] {
        if let own = columns[relation] ?? columns[relation.lowercased()] { return own }
        let all = words(of: line)
        for (index, word) in all.enumerated() where word == relation && index > 0 {
            let before = all[index - 1].lowercased() == "as" && index > 1 ? all[index - 2] : all[index - 1]
            if let own = columns[before] { return own }
        }
        return []
    }

    private static func words(of line: String) -> [String] {
        line.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
    }

    private static let keywords = [
        "add", "all", "alter", "analyze", "and", "as", "asc", "begin", "between", "by", "cascade", "case", "check",
        "column",
        "commit", "constraint", "create", "cross", "default", "delete", "desc", "distinct", "drop", "else", "end",
        "except", "exists", "explain", "foreign", "from", "full", "group", "having", "if", "in", "index", "inner",
        "insert",
        "intersect", "into", "is", "join", "key", "left", "like", "limit", "natural", "not", "null", "offset", "on",
        "or", "order", "outer", "primary", "references", "returning", "right", "rollback", "savepoint", "select", "set",
        "table", "temporary", "then", "trigger", "union", "unique", "update", "using", "vacuum", "values", "view",
        "when", "where", "with",
    ]
}
