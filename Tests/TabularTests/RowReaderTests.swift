// Rows are found as they were written, however the file is cut into blocks.

import LiteBaseTesting
import Tabular
import Testing

/// What a file has, a text for each row: values by their kinds.
func rows(
    _ text: [UInt8], _ options: TabularOptions, columns: [String]? = nil, blockByteCount: Int = 1 << 20
) throws -> (rows: [String], rejections: [Rejection], names: RowReader.Names) {
    var reader = RowReader(options)
    var (rest, isLast) = (text[...], false)
    func fill(_ block: RowBlock) {
        let count = min(block.room.count, rest.count)
        block.room.copyBytes(from: rest.prefix(count))
        block.didFill(count)
        rest = rest.dropFirst(count)
        isLast = rest.isEmpty
    }
    var block = RowBlock(byteCount: blockByteCount)
    fill(block)
    var names = try reader.readNames(block, isLast: isLast)
    while names == .incomplete, !isLast {
        block.grow(to: 2 * block.capacity)
        fill(block)
        names = try reader.readNames(block, isLast: isLast)
    }
    var found: [[UInt8]] = []
    switch names {
    case .names(let all): found = all
    case .count(let count): found = (0..<count).map { Array("\($0)".utf8) }
    case .incomplete, .none: break
    }
    reader.begin(columns.map { $0.map { Array($0.utf8) } } ?? found, ignoringOtherKeys: columns != nil)
    var (texts, rejections): ([String], [Rejection]) = ([], [])
    while true {
        try reader.read(block, isLast: isLast)
        for row in 0..<block.rowCount {
            texts.append((0..<block.columnCount).map { shown(block.view.cell(row, $0), block) }.joined(separator: "|"))
        }
        rejections += block.rejections
        if isLast, block.parsedCount == block.count { return (texts, rejections, names) }
        let next = RowBlock(byteCount: blockByteCount)
        next.begin(with: block, byteCountMax: 1 << 30)
        if next.room.isEmpty { next.grow(to: 2 * next.capacity) }
        fill(next)
        block = next
    }
}

private func shown(_ cell: Cell, _ block: RowBlock) -> String {
    switch cell.kind {
    case .null: "NULL"
    case .bool: "\(cell.bool)"
    case .integer: "\(cell.integer)"
    case .unsigned: "\(cell.unsigned)"
    case .real: "\(cell.real)"
    case .text: "'" + String(decoding: block.view.bytes(of: cell), as: UTF8.self) + "'"
    case .blob: "x" + block.view.bytes(of: cell).map { "\($0)" }.joined(separator: ".")
    }
}

private func plain(_ format: TabularFormat, _ change: (inout TabularOptions) -> Void = { _ in }) -> TabularOptions {
    var options = TabularOptions(format)
    options.hasHeader = false
    change(&options)
    return options
}

@Suite struct RowReaderTests {
    @Test(arguments: [1, 2, 3, 7, 64, 4096])
    func csvIsThatOfRFC4180(_ blockByteCount: Int) throws {
        let text = "a,b,c\r\n1,,\"\"\r\n\"x \"\"y\"\"\",\"1\n2\",\\x00ff\n\"\\x00\",é😀,\r\n"
        let (found, rejections, names) = try rows(
            Array(text.utf8), TabularOptions(.csv), blockByteCount: blockByteCount)
        #expect(names == .names([Array("a".utf8), Array("b".utf8), Array("c".utf8)]))
        #expect(found == ["'1'|NULL|''", "'x \"y\"'|'1\n2'|x0.255", "'\\x00'|'é😀'|NULL"])
        #expect(rejections.isEmpty)
    }

    @Test(arguments: [1, 5, 4096])
    func linesThatAreNoRowsAreTold(_ blockByteCount: Int) throws {
        let text =
            Array("1,2\n3\n4,5,6\n\"7\" ,8\n".utf8) + [0x39, 0xff, 0x2c, 0x31, 0x0a] + Array("10,11\n12,\"13".utf8)
        let (found, rejections, _) = try rows(text, plain(.csv), blockByteCount: blockByteCount)
        #expect(found == ["'1'|'2'", "'10'|'11'"])
        #expect(rejections.map(\.line) == [2, 3, 4, 5, 7])
        #expect(rejections[0].reason == "It has 1 field instead of 2.")
        #expect(rejections[2].reason.contains("closing quote"))
        #expect(rejections[3].reason.contains("UTF-8"))
        #expect(rejections[4].reason.contains("never closed"))
    }

    @Test func aLineWithinQuotesCounts() throws {
        let (_, rejections, _) = try rows(Array("a,\"\n\n\"\nb\n".utf8), plain(.csv))
        #expect(rejections.map(\.line) == [4])
    }

    @Test func emptyLinesAreRowsOfOneColumnOnly() throws {
        #expect(try rows(Array("1\n\n2\r\n\r\n".utf8), plain(.csv)).rows == ["'1'", "NULL", "'2'", "NULL"])
        #expect(try rows(Array("1,2\n\n3,4\r\n\r\n".utf8), plain(.csv)).rows == ["'1'|'2'", "'3'|'4'"])
    }

    @Test func nullIsWhatTheSenderSays() throws {
        let options = plain(.csv) {
            $0.null = Array("NA".utf8)
            $0.delimiter = UInt8(ascii: ";")
        }
        #expect(try rows(Array("NA;;\"NA\";a,b\n".utf8), options).rows == ["NULL|''|'NA'|'a,b'"])
    }

    @Test(arguments: [1, 5, 4096])
    func tabSeparatedTextIsThatOfCopy(_ blockByteCount: Int) throws {
        let text = "a\\tb\\n\\\\\t\\N\t\n\\\\x41\tc\\\td\t\\r\n"
        let (found, rejections, _) = try rows(Array(text.utf8), plain(.tsv), blockByteCount: blockByteCount)
        #expect(found == ["'a\tb\n\\'|NULL|''", "'\\x41'|'c\td'|'\r'"])
        #expect(rejections.isEmpty)
    }

    @Test(arguments: [1, 9, 4096])
    func objectsAreRows(_ blockByteCount: Int) throws {
        let lines = """
            {"a":1,"b":"\\u00e9\\ud83d\\ude00\\n","c":null,"d":1.5}
            {"d":true,"a":{"$int":"9223372036854775807"},"c":{"$blob":"AAE="}}

            {"a":18446744073709551615,"b":{"x":[1,"\\""]},"c":[],"d":{"$real":"-Infinity"}}
            """
        let expected = [
            "1|'é😀\n'|NULL|1.5", "9223372036854775807|NULL|x0.1|true",
            "'18446744073709551615'|'{\"x\":[1,\"\\\"\"]}'|'[]'|-inf",
        ]
        #expect(try rows(Array(lines.utf8), plain(.jsonLines), blockByteCount: blockByteCount).rows == expected)
        let array = "[" + lines.split(separator: "\n").joined(separator: ",\n ") + "]\n"
        #expect(try rows(Array(array.utf8), plain(.jsonArray), blockByteCount: blockByteCount).rows == expected)
    }

    @Test func objectsThatAreNoRowsAreTold() throws {
        let lines = "{\"a\":1}\n{\"b\":2}\n[1]\n{\"a\":01}\n{\"a\":\"\\ud800\"}\n{\"a\":2}{}\n{\"a\":3}"
        let (found, rejections, _) = try rows(Array(lines.utf8), plain(.jsonLines))
        #expect(found == ["1", "3"])
        #expect(rejections.map(\.line) == [2, 3, 4, 5, 6])
        #expect(rejections[0].reason == "It has \"b\", which is no column.")
        #expect(
            try rows(Array("{\"a\":1}\n{\"b\":2}\n".utf8), plain(.jsonLines), columns: ["a"]).rows == ["1", "NULL"])
    }

    @Test(arguments: ["[{\"a\":1}", "[{\"a\":1},", "{\"a\":1}", "[1]", "[{\"a\":1}] x", "[{\"a\":1"])
    func aBrokenArrayEndsIt(_ text: String) throws {
        #expect(throws: TabularError.self) { try rows(Array(text.utf8), plain(.jsonArray)) }
    }

    /// Whatever the bytes are, nothing traps, and the rows do not depend on where blocks end.
    @Test(arguments: TabularFormat.allCases)
    func blocksMakeNoDifference(_ format: TabularFormat) throws {
        let alphabet = Array("a,\"\n\r\\xN\t{}[]:1-.e\u{e9}\"\\u00".utf8)
        for seed in 0..<300 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            let text = (0..<Int.random(in: 0..<80, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0
            }
            let results = [1, 6, 4096].map { size in
                (try? rows(text, plain(format), blockByteCount: size)).map { "\($0)" } ?? "error"
            }
            #expect(Set(results).count == 1, "\(format), seed \(seed): \(text)")
        }
    }
}

@Suite struct RowCorpusTests {
    @Test func theCorpusHolds() throws {
        #expect(try FuzzCorpus.replay("rows", stride: 1, RowChecks.check) >= 10)
    }
}
