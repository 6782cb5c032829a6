// Commands of Redis: each line is one.

import SQLText

/// One completion of a command line.
struct CommandCompleter {
    private let bytes: [UInt8]
    private let cursor: Int
    private let schema: any CompletionSchema
    private let recent: [String]
    /// The words of the line before the cursor, and what stands behind it.
    private var words: [String] = []
    private var typed: Range<Int>
    private var isInQuotes = false

    init(_ bytes: [UInt8], cursor: Int, schema: any CompletionSchema, recent: some Sequence<String>) {
        (self.bytes, self.cursor, self.schema) = (bytes, cursor, schema)
        self.recent = Array(recent.prefix(Candidates.recentCountMax))
        typed = cursor..<cursor
        readLine()
    }

    /// Words as redis-cli cuts them, up to the one at the cursor.
    private mutating func readLine() {
        var index = bytes[..<cursor].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        while index < cursor {
            if bytes[index].isBlank {
                index += 1
                continue
            }
            let start = index
            if bytes[index] == UInt8(ascii: "#"), words.isEmpty {
                isInQuotes = true
                return
            }
            while index < cursor, !bytes[index].isBlank {
                let byte = bytes[index]
                index += 1
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { index = endOfQuotes(byte, from: index) }
                if isInQuotes { return }
            }
            guard index < cursor || bytes[cursor - 1].isBlank else {
                var end = cursor
                while end < bytes.count, !bytes[end].isBlank { end += 1 }
                typed = start..<end
                return
            }
            words.append(String(decoding: bytes[start..<index], as: UTF8.self))
        }
    }

    private mutating func endOfQuotes(_ quote: UInt8, from start: Int) -> Int {
        var index = start
        while index < cursor {
            if bytes[index] == UInt8(ascii: "\\") {
                index += 2
                continue
            }
            if bytes[index] == quote { return index + 1 }
            index += 1
        }
        isInQuotes = true
        return cursor
    }

    mutating func complete(_ limit: Int) -> CompletionList {
        guard !isInQuotes else { return CompletionList(replace: cursor..<cursor) }
        var candidates = Candidates(NamePattern(bytes[typed.lowerBound..<cursor]), recent: recent)
        if words.isEmpty {
            addCommands(&candidates, limit)
        } else {
            addArguments(&candidates, limit)
        }
        return CompletionList(replace: typed, items: candidates.best(limit))
    }

    private var usesSmallLetters: Bool {
        let sample = words.first.map { Array($0.utf8)[...] } ?? bytes[typed.lowerBound..<cursor]
        return !sample.isEmpty && !sample.contains { (0x41...0x5a).contains($0) }
    }

    private func cased(_ word: String) -> String { usesSmallLetters ? word.lowercased() : word }

    /// Those that every server knows, the ones that are used most first, then those that only this one has.
    private func commands(_ limit: Int, _ pattern: NamePattern) -> [RedisCommand] {
        let own = schema.routines(matching: pattern, in: nil, limit: limit).map {
            RedisCommand(name: $0.name.uppercased(), syntax: $0.signature)
        }
        if own.isEmpty { return RedisCommand.all }
        let ownByName = Dictionary(own.map { ($0.name, $0) }) { first, _ in first }
        let known = Set(RedisCommand.all.map(\.name))
        return RedisCommand.all.map { $0.completed(by: ownByName[$0.name]) } + own.filter { !known.contains($0.name) }
    }

    private mutating func addCommands(_ candidates: inout Candidates, _ limit: Int) {
        var containers: Set<String> = []
        for command in commands(limit, candidates.pattern) {
            let first = command.name.split(separator: " ").first.map(String.init) ?? command.name
            // `CONFIG` before `CONFIG GET`, `CONFIG SET`.
            if first != command.name {
                guard containers.insert(first).inserted else { continue }
                candidates.add(
                    first, tier: Tier.keyword,
                    CompletionItem(cased(first), label: first, kind: .command, detail: "\(first) …"))
            } else {
                candidates.add(
                    first, tier: Tier.keyword,
                    CompletionItem(cased(first), label: first, kind: .command, detail: "\(first) \(command.syntax)"))
            }
        }
    }

    private mutating func addArguments(_ candidates: inout Candidates, _ limit: Int) {
        let first = words[0].uppercased()
        let all = commands(1_000, NamePattern(first))
        if words.count == 1 {
            for command in all where command.name.hasPrefix(first + " ") {
                let word = String(command.name.dropFirst(first.count + 1))
                candidates.add(
                    word, tier: Tier.keyword,
                    CompletionItem(
                        cased(word), label: word, kind: .command, detail: "\(command.name) \(command.syntax)"))
            }
        }
        let whole = words.count > 1 ? "\(first) \(words[1].uppercased())" : first
        if words.count > 1, let command = all.first(where: { $0.name == whole }) {
            add(command, Array(words.dropFirst(2)), &candidates, limit)
        } else if let command = all.first(where: { $0.name == first }) {
            add(command, Array(words.dropFirst()), &candidates, limit)
        }
    }

    /// What the command may have next.
    private func add(_ command: RedisCommand, _ given: [String], _ candidates: inout Candidates, _ limit: Int) {
        let shape = RedisSyntax(command.syntax)
        let next = shape.next(behind: given)
        for option in next.options {
            candidates.add(
                option, tier: Tier.keyword,
                CompletionItem(cased(option), label: option, kind: .keyword, detail: shape.detail(of: option)))
        }
        if next.takesKey { addKeys(&candidates, limit) }
    }

    private func addKeys(_ candidates: inout Candidates, _ limit: Int) {
        for relation in schema.relations(matching: candidates.pattern, in: nil, limit: limit) {
            candidates.add(
                relation.name, tier: Tier.best,
                CompletionItem(
                    RedisSyntax.quoted(relation.name), label: relation.name, kind: .relation, detail: relation.kind,
                    relation: relation.name))
        }
        for name in recent where schema.relation(named: name, in: nil) != nil {
            candidates.add(
                name, tier: Tier.best,
                CompletionItem(
                    RedisSyntax.quoted(name), label: name, kind: .relation, detail: "key_prefix", relation: name))
        }
    }
}
