// Which colours a line has while it is typed.

import SQLText

/// Finds the colours of a line by what was typed before it.
struct LineColours: Sendable {
    /// What has read the lines before it.
    let splitter: StatementSplitter
    /// The shell's own commands.
    let commands: [String]

    /// A longer line has none: it is shown while somebody waits.
    static let characterCountMax = 64 << 10

    /// How a line is shown.
    /// - Parameters:
    ///   - text: the line. While the history is searched, what is searched for stands in a line behind it, and has no colour.
    ///   - cursor: the character that it is on. A command that ends there may go on.
    ///   - isEntered: whether the line is complete.
    /// - Returns: one style for each character, or for the first ones.
    func styles(_ text: [Unicode.Scalar], cursor: Int, isEntered: Bool) -> [TypedStyle] {
        guard text.count <= Self.characterCountMax else { return [] }
        let line = text[..<Self.searchStart(text)]
        if let styles = styles(ofCommand: line, cursor: cursor, isEntered) { return styles }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(line.count)
        var offsets: [Int] = []
        offsets.reserveCapacity(line.count)
        for scalar in line {
            offsets.append(bytes.count)
            bytes += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
        }
        let kinds = TextKinds(bytes, after: splitter).kinds
        return offsets.map { Self.style(of: kinds[$0]) }
    }

    private static func style(of kind: TextKind) -> TypedStyle {
        switch kind {
        case .plain, .quotedName: .plain
        case .keyword, .command: .keyword
        case .string: .string
        case .number: .number
        case .parameter: .parameter
        case .comment: .comment
        }
    }

    /// Where libedit's own words begin while the history is searched: `bck:` or `fwd:`, with a question mark where nothing was found.
    private static func searchStart(_ text: [Unicode.Scalar]) -> Int {
        guard let lineEnd = text.lastIndex(of: "\n"), text.count > lineEnd + 4 else { return text.count }
        let word = text[(lineEnd + 1)...(lineEnd + 4)]
        let isSearch = ["bck:", "fwd:", "bck?", "fwd?"].contains { word.elementsEqual($0.unicodeScalars) }
        return isSearch ? lineEnd : text.count
    }

    // Commands

    /// - Returns: `nil` for a line that is a part of a statement.
    private func styles(ofCommand line: ArraySlice<Unicode.Scalar>, cursor: Int, _ isEntered: Bool) -> [TypedStyle]? {
        let start = line.firstIndex { $0.value > 0x20 } ?? line.endIndex
        guard start < line.endIndex, line[start] == "." || line[start] == "\\" else { return nil }
        let end = line[start...].firstIndex { $0.value <= 0x20 } ?? line.endIndex
        let isBegun = !isEntered && cursor == end
        guard let isKnown = isCommand(line[start..<end], isBegun: isBegun, of: line) else { return nil }
        var styles = [TypedStyle](repeating: .plain, count: line.count)
        for index in start..<end { styles[index] = isKnown ? .keyword : .error }
        return styles
    }

    /// Whether a word, which may go on where it is only begun, is a command that is run; `nil` if it is no command.
    private func isCommand(
        _ word: ArraySlice<Unicode.Scalar>, isBegun: Bool, of line: ArraySlice<Unicode.Scalar>
    ) -> Bool? {
        let name = Self.text(word)
        if splitter.isBetweenStatements {
            if name.hasPrefix("\\N") { return nil }
            return isKnown(name, isBegun: isBegun)
        }
        // In the middle of a statement the editor can be called, and nothing else.
        guard name.hasPrefix("\\"), TypedLine.text(Array(Self.text(line).utf8), splitter) == nil else { return nil }
        return TypedLine.isEdit(name) || (isBegun && "\\edit".hasPrefix(name))
    }

    private func isKnown(_ name: String, isBegun: Bool) -> Bool {
        let isOfClient = name.hasPrefix("\\")
        let own = isOfClient ? [] : commands
        if isBegun {
            return own.contains { $0.hasPrefix(name) } || ClientWords.equivalents.keys.contains { $0.hasPrefix(name) }
        }
        let bare = name.hasSuffix(";") ? String(name.dropLast()) : name
        return own.contains(bare) || ClientWords.equivalents[bare] != nil
    }

    private static func text(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        return text
    }
}
