// What Tab proposes: commands, files, and names and words of SQL.

internal import Glibc
import LiteBaseClient

/// What may stand in the place of the word before the cursor.
struct Completion {
    /// The beginning that was typed.
    var word = ""
    /// What of the word is behind the cursor.
    var behind = ""
    /// In order, without repetition.
    var candidates: [String] = []
    /// As they are shown.
    var labels: [String] = []
    /// Behind the only one.
    var suffix = " "

    init() {}

    /// What the daemon proposes: of names that begin with the word, only these.
    init(word: String, behind: String, _ proposals: [CompletionProposal]) {
        (self.word, self.behind) = (word, behind)
        let start = word.lowercased()
        let prefixed = proposals.filter { $0.text.lowercased().hasPrefix(start) }
        var seen: Set<String> = []
        let shown = (prefixed.isEmpty ? proposals : prefixed).filter { seen.insert($0.text).inserted }
        candidates = shown.map(\.text)
        labels = shown.map(\.label)
        if let only = shown.first, shown.count == 1, !["relation", "keyword", "command", "join"].contains(only.kind) {
            suffix = ""
        }
        if candidates.first?.hasSuffix("(") ?? false { suffix = "" }
    }

    /// - Parameters:
    ///   - line: what is edited.
    ///   - cursor: in bytes.
    ///   - completer: asks the daemon.
    ///   - commands: the shell's own.
    init(_ line: [UInt8], cursor: Int, _ completer: StatementCompleter, commands: [String]) {
        let typed = String(decoding: line[..<cursor], as: UTF8.self)
        let trimmed = typed.drop { $0 == " " || $0 == "\t" }
        if completer.before.isEmpty, trimmed.first == "." || trimmed.first == "\\" {
            self = Self.ofCommand(trimmed, completer, commands)
        } else {
            self = completer.completion(line, cursor: cursor)
        }
    }

    private init(word: some StringProtocol, _ all: [String], suffix: String = " ") {
        let start = word.lowercased()
        self.word = String(word)
        var seen: Set<String> = []
        candidates = all.filter { $0.lowercased().hasPrefix(start) && seen.insert($0).inserted }
        labels = candidates
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

    private static func ofCommand(
        _ line: Substring, _ completer: StatementCompleter, _ commands: [String]
    ) -> Completion {
        guard let space = line.firstIndex(where: { $0 == " " || $0 == "\t" }) else {
            let own = line.first == "." ? commands : ClientWords.equivalents.keys.filter { $0.hasPrefix("\\") }.sorted()
            return Completion(word: line, own)
        }
        let name = String(line[..<space])
        let argument = line[space...].drop { $0 == " " || $0 == "\t" }
        switch name.hasPrefix("\\") ? ClientWords.equivalents[name] ?? name : name {
        case ".read", ".output", ".once", ".again": return ofFile(String(argument))
        case ".mode": return Completion(word: argument, OutputFormat.allCases.map(\.rawValue))
        case ".use": return Completion(word: argument, completer.databases())
        case ".headers", ".timing", ".pager": return Completion(word: argument, ["on", "off"])
        case ".expanded": return Completion(word: argument, Expansion.allCases.map(\.rawValue))
        case ".describe", ".schema", ".tables", ".indexes", ".views":
            return Completion(word: argument, completer.relations(String(argument)))
        case ".parameter": return Completion(word: argument, ["set", "unset", "clear", "list"])
        default: return Completion(word: argument, [])
        }
    }

    private static let fileCountMax = 20_000

    private static func ofFile(_ typed: String) -> Completion {
        let slash = typed.lastIndex(of: "/")
        let directory = slash.map { String(typed[...$0]) } ?? ""
        let start = slash.map { typed[typed.index(after: $0)...] } ?? typed[...]
        var entries: [String] = []
        if let stream = opendir(directory.isEmpty ? "." : directory) {
            defer { closedir(stream) }
            while let entry = readdir(stream), entries.count < fileCountMax {
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
}
