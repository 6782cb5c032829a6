// What must hold for what is read of any statement that is to be completed. CompletionTests replays the corpus with this, too.

@testable import Completion

/// Traps when something does not hold that must.
enum ScannerChecks {
    private static let dialects = CompletionDialect.allCases.filter { $0 != .redis }

    /// The first byte chooses the dialect, the next two the cursor; the text follows, as for `CompletionChecks`.
    static func check(_ input: UnsafeRawBufferPointer) {
        guard input.count > 3 else { return }
        let dialect = dialects[Int(input[0]) % dialects.count]
        let text = UnsafeRawBufferPointer(rebasing: input[3...])
        let cursor = (Int(input[1]) << 8 | Int(input[2])) % (text.count + 2)
        let window = TextWindow(text, cursor: cursor)
        precondition(window.start >= 0 && window.start + window.bytes.count <= text.count, "a part is one of the text")
        precondition((0...window.bytes.count).contains(window.cursor), "the cursor is in the part")
        let statement = StatementTokens(window.bytes, cursor: window.cursor, dialect: dialect)
        check(statement)
        checkStatementBefore(statement)
        check(QueryScanner(statement))
    }

    // MARK: Tokens

    private static func check(_ statement: StatementTokens) {
        let (tokens, count) = (statement.tokens, statement.bytes.count)
        precondition((0...tokens.count).contains(statement.cursorIndex), "the cursor is between two tokens")
        for tokens in [statement.header, tokens] {
            var end = 0
            for token in tokens {
                precondition(token.start >= end && token.end > token.start, "tokens follow each other")
                precondition(token.kind == .word || token.keyword == .none, "a keyword is a word")
                end = token.end
            }
            precondition(end <= count, "tokens are in the text")
        }
        for (index, token) in tokens.enumerated() {
            precondition(
                index < statement.cursorIndex ? token.start < statement.cursor : token.start >= statement.cursor,
                "tokens are on their side of the cursor")
            if token.isName {
                let byteCount = token.end - token.start
                precondition(statement.name(token).utf8.count <= 3 * byteCount, "a name is in its token")
            }
        }
        check(statement.place, in: statement)
    }

    private static func check(_ place: CursorPlace, in statement: StatementTokens) {
        let (bytes, cursor) = (statement.bytes, statement.cursor)
        switch place {
        case .nothing, .between: break
        case .word(let range, let quote):
            precondition(range.lowerBound < cursor && cursor <= range.upperBound, "the cursor is in its word")
            precondition(range.upperBound <= bytes.count, "the word is in the text")
            precondition(quote == nil || quote == bytes[range.lowerBound], "the word begins with its quote")
        case .star(let range):
            precondition(range.count == 1 && range.upperBound == cursor, "the cursor is behind the star")
        case .variable(let range):
            precondition(range.lowerBound <= cursor && cursor <= range.upperBound, "the cursor is in the variable")
            precondition(bytes[..<range.lowerBound].suffix(2).elementsEqual("@@".utf8), "a variable has its sign")
            precondition(range.upperBound <= bytes.count, "the variable is in the text")
        }
    }

    /// A statement that has ended changes nothing of the next one.
    private static func checkStatementBefore(_ statement: StatementTokens) {
        let before = Array("x;".utf8)
        let other = StatementTokens(
            before + statement.bytes, cursor: statement.cursor + before.count, dialect: statement.dialect)
        precondition(other.cursorIndex == statement.cursorIndex, "the cursor is behind as many tokens")
        precondition(other.place == statement.place.moved(by: before.count), "the cursor is at the same place")
        for (tokens, others) in [(statement.header, other.header), (statement.tokens, other.tokens)] {
            let areSame =
                tokens.count == others.count
                && zip(tokens, others).allSatisfy { token, other in
                    token.kind == other.kind && token.keyword == other.keyword
                        && token.start + before.count == other.start && token.end + before.count == other.end
                }
            precondition(areSame, "the statement before changes the tokens")
        }
    }

    // MARK: Queries

    private static func check(_ scanner: QueryScanner) {
        let (queries, count) = (scanner.queries, scanner.statement.tokens.count)
        precondition(!queries.isEmpty && queries.count <= count + 1, "each query has a token")
        var (sourceCount, outputCount, nameCount) = (0, 0, 0)
        for (number, query) in queries.enumerated() {
            check(query, number, of: queries, tokenCount: count)
            sourceCount += query.sources.count + query.tableExpressions.count
            outputCount += query.outputs.count
            nameCount += query.listed.count
            nameCount += query.sources.reduce(0) { $0 + $1.columnNames.count }
            nameCount += query.tableExpressions.reduce(0) { $0 + $1.columnNames.count + $1.addedNames.count }
        }
        // Else a short statement would be much work.
        precondition(sourceCount <= count && nameCount <= 2 * count, "what has a name has a token")
        precondition(outputCount <= count, "each entry of a list has a token")
        checkFrames(scanner)
    }

    private static func check(_ query: Query, _ number: Int, of queries: [Query], tokenCount: Int) {
        precondition(query.outer.map { $0 < number } ?? true, "a query is within one that began before")
        precondition(query.firstArm.map { $0 < number } ?? true, "an arm comes behind the first one")
        precondition(query.rowWidth <= tokenCount + 1, "each value has a token")
        for source in query.sources + (query.rowAlias.map { [$0] } ?? []) {
            precondition((0..<tokenCount).contains(source.token), "a source has a token")
            precondition((0..<tokenCount).contains(source.nameToken), "a source has its name's token")
            precondition(source.argumentsToken.map { (0..<tokenCount).contains($0) } ?? true, "arguments have a token")
            precondition(source.query.map { queries.indices.contains($0) } ?? true, "a source is a query that there is")
        }
        for expression in query.tableExpressions {
            precondition((0..<tokenCount).contains(expression.token), "a common table expression has a token")
            precondition(
                expression.end.map { $0 > expression.token && $0 < tokenCount } ?? true, "it ends behind its name")
            precondition(expression.query.map { queries.indices.contains($0) } ?? true, "it is a query that there is")
        }
        for output in query.outputs {
            precondition(output.first >= 0 && output.first <= output.last, "an entry has a token")
            precondition(output.last < tokenCount, "an entry is in the statement")
        }
    }

    private static func checkFrames(_ scanner: QueryScanner) {
        let (frames, statement) = (scanner.framesAtCursor, scanner.statement)
        let openers = statement.tokens.prefix(statement.cursorIndex).count(where: { $0.kind == .open })
        precondition(!frames.isEmpty && frames.count <= openers + 1, "what is open was opened")
        var opener = -1
        for (depth, frame) in frames.enumerated() {
            precondition(depth == 0 ? frame.opener == -1 : frame.opener > opener, "what is open is within another one")
            precondition(frame.opener < statement.cursorIndex, "it was opened before the cursor")
            precondition(scanner.queries.indices.contains(frame.query), "it is of a query that there is")
            precondition(scanner.queries.indices.contains(frame.statement), "it is of a statement that there is")
            precondition(frame.last.map { $0 < statement.cursorIndex } ?? true, "its last token is before the cursor")
            precondition(frame.bracketDepth >= 0, "brackets are not closed before they are opened")
            opener = frame.opener
        }
    }
}

extension CursorPlace {
    fileprivate func moved(by count: Int) -> CursorPlace {
        func moved(_ range: Range<Int>) -> Range<Int> { range.lowerBound + count..<range.upperBound + count }
        return switch self {
        case .nothing, .between: self
        case .word(let range, let quote): .word(moved(range), quote: quote)
        case .star(let range): .star(moved(range))
        case .variable(let range): .variable(moved(range))
        }
    }
}
