// Joins by foreign keys.

extension Completer {
    /// The most foreign keys of one relation that are looked at.
    private static let keyCountMax = 500

    /// Pairs of columns that belong together.
    private struct Link {
        var near: [String]
        var far: [String]
        var other: CompletionRelation
    }

    /// Foreign keys between `relation` and others, in both directions.
    private func links(of relation: CompletionRelation) -> [Link] {
        var found: [Link] = []
        for key in schema.foreignKeys(of: relation).prefix(Self.keyCountMax)
        where key.sourceColumns.count == key.targetColumns.count && !key.sourceColumns.isEmpty {
            if key.source == relation {
                found.append(Link(near: key.sourceColumns, far: key.targetColumns, other: key.target))
            }
            if key.target == relation {
                found.append(Link(near: key.targetColumns, far: key.sourceColumns, other: key.source))
            }
        }
        return found
    }

    /// What stands in FROM before the cursor, the last first.
    private func earlier(_ frame: Frame) -> [Source] {
        scanner.queries[frame.query].sources.reversed().filter { $0.token < statement.cursorIndex && !$0.label.isEmpty }
    }

    private func condition(_ new: String, _ newColumns: [String], _ old: String, _ oldColumns: [String]) -> String {
        zip(newColumns, oldColumns).map { left, right in
            let (one, other) = (identifiers.written(new), identifiers.written(old))
            return "\(one).\(identifiers.written(left)) = \(other).\(identifiers.written(right))"
        }.joined(separator: " AND ")
    }

    // MARK: JOIN

    /// Behind JOIN: whole joins, with the condition.
    mutating func addJoinProposals(_ frame: Frame) {
        let next = statement.keyword(statement.cursorIndex)
        let kind = statement.keyword(before - 1)
        guard quote == nil, next != .on, next != .using, kind != .cross, kind != .natural else { return }
        let sources = earlier(frame)
        let hasAliases = sources.contains { $0.alias != nil }
        var labels = Set(sources.map { identifiers.key($0.label) })
        labels.formUnion(
            resolver.tableExpressions(in: frame.query, before: statement.cursorIndex).map { identifiers.key($0.name) })
        for source in sources.prefix(20) {
            guard let relation = resolver.relation(of: source, in: frame.query) else { continue }
            for link in links(of: relation) {
                addJoin(link, to: source, labels: labels, hasAliases: hasAliases)
            }
        }
    }

    private mutating func addJoin(_ link: Link, to source: Source, labels: Set<String>, hasAliases: Bool) {
        let name = link.other.name
        let written = identifiers.written(name)
        var text = link.other.isVisible ? written : "\(identifiers.written(link.other.namespace)).\(written)"
        var label = name
        if hasAliases || labels.contains(identifiers.key(name)) {
            guard let alias = newAlias(name, labels) else { return }
            label = alias
            text += " \(label)"
        }
        text += " ON " + condition(label, link.far, source.label, link.near)
        candidates.add(
            name, tier: Tier.best, CompletionItem(text, kind: .join, detail: link.other.kind, relation: name))
    }

    /// Numbers that are tried: a statement may have thousands of aliases, and a relation hundreds of foreign keys.
    private static let aliasNumberMax = 100

    /// The first letters of its words, with a number if need be; `nil` if too many of these are taken.
    private func newAlias(_ name: String, _ labels: Set<String>) -> String? {
        var letters = ""
        var previous: UInt8 = UInt8(ascii: "_")
        for byte in name.utf8 {
            let isCapital = (0x41...0x5a).contains(byte)
            let small = NamePattern.lowered(byte)
            let isWord = !(0x61...0x7a).contains(previous | 0x20) || isCapital && (0x61...0x7a).contains(previous)
            if (0x61...0x7a).contains(small), isWord { letters.unicodeScalars.append(Unicode.Scalar(small)) }
            previous = byte
        }
        if letters.isEmpty { letters = "t" }
        var alias = letters
        var number = 2
        while labels.contains(identifiers.key(alias)) || !identifiers.isPlain(alias) {
            guard number <= Self.aliasNumberMax else { return nil }
            alias = "\(letters)\(number)"
            number += 1
        }
        return alias
    }

    // MARK: ON and USING

    /// Behind ON: what joins the last relation to one before it.
    mutating func addJoinConditions(_ frame: Frame) {
        let sources = earlier(queryFrame)
        guard quote == nil, let new = sources.first else { return }
        let others = sources.dropFirst().prefix(20)
        var isKnown = false
        if let relation = resolver.relation(of: new, in: frame.query) {
            let links = links(of: relation)
            for other in others {
                guard let old = resolver.relation(of: other, in: frame.query) else { continue }
                for link in links where link.other == old {
                    isKnown = true
                    add(condition(new.label, link.near, other.label, link.far), between: new, other)
                }
            }
        }
        guard !isKnown else { return }
        let columns = resolver.columns(of: new, in: frame.query)
        for other in others {
            let names = Set(resolver.columns(of: other, in: frame.query).map { identifiers.key($0.name) })
            for column in columns where names.contains(identifiers.key(column.name)) {
                add(condition(new.label, [column.name], other.label, [column.name]), between: new, other)
            }
        }
    }

    private mutating func add(_ condition: String, between new: Source, _ other: Source) {
        candidates.add(condition, tier: Tier.best, CompletionItem(condition, kind: .joinCondition, relation: new.name))
    }

    /// In USING (…): columns that both sides have.
    mutating func proposeCommonColumns(_ frame: Frame) {
        guard statement.token(before)?.kind == .open || statement.token(before)?.kind == .comma else { return }
        let sources = earlier(frame)
        guard let new = sources.first else { return }
        var names: Set<String> = []
        for other in sources.dropFirst().prefix(100) {
            names.formUnion(resolver.columns(of: other, in: frame.query).map { identifiers.key($0.name) })
        }
        for index in frame.opener + 1..<max(statement.cursorIndex, frame.opener + 1)
        where statement.tokens[index].isName {
            names.remove(identifiers.key(statement.name(statement.tokens[index])))
        }
        for column in resolver.columns(of: new, in: frame.query) where names.contains(identifiers.key(column.name)) {
            candidates.add(
                column.name, tier: Tier.column,
                CompletionItem(
                    written(column.name), label: column.name, kind: .column, detail: column.type, relation: new.name))
        }
    }
}
