// What is read of streams: those of our writer, those that pyarrow has written (FuzzTesting/Seeds/arrow), and those that lie. That
// others are read is tested with their programs, too (Tests/Protocol/transfers/test_import_arrow.py).

import ByteBuffers
import LinuxSystem
import LiteBaseTesting
import Testing

@testable import ArrowStream

/// The rows of a stream, a line for each, and what has ended them.
private func read(_ bytes: [UInt8]) -> (names: [String], rows: [String], reason: String?) {
    let found = bytes.withUnsafeBytes { ArrowChecks.rows(of: $0) }
    return (
        found.names.map { String(decoding: $0, as: UTF8.self) }, found.rows.map { String(decoding: $0, as: UTF8.self) },
        found.reason
    )
}

@Suite struct ArrowReaderTests {
    /// What pyarrow has written.
    private func seed(_ name: String) throws -> [UInt8] {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return try Files.read("\(root)/FuzzTesting/Seeds/arrow/\(name)", byteCountMax: 1 << 20)
    }

    @Test func whatTheWriterWritesIsRead() {
        let typed: [(String, ArrowColumnPlan.ColumnTyping)] = [
            ("i", .fixed(.int64)), ("u", .fixed(.uint64)), ("r", .fixed(.float64)),
            ("b", .fixed(.bool)), ("t", .fixed(.utf8)), ("x", .fixed(.binary)),
            ("d", .fixed(.decimal128(precision: 38, scale: 2))), ("a", .fixed(.date32)), ("c", .fixed(.time64)),
            ("m", .fixed(.timestamp(isUTC: false))), ("z", .fixed(.timestamp(isUTC: true))), ("s", .fixed(.duration)),
            ("n", .byValues),
        ]
        let plans = typed.map { ArrowColumnPlan(name: $0.0, type: $0.1) }
        let texts: [[String]] = [
            [
                "é", "99999999999999999999999999999999999.99", "9999-12-31", "23:59:59.999999",
                "1969-12-31 23:59:59.999999",
                "2020-01-01 00:00:00+00:00", "-838:59:59",
            ],
            [
                "", "-0.05", "0044-03-15 BC", "00:00:00", "0001-01-01 00:00:00 BC",
                "0044-03-15 01:02:03.500000+00:00 BC",
                "1000:00:00.000001",
            ],
        ]
        var writer = ArrowWriter(plans, byteCountMax: 1 << 20)
        var output = ByteBuffer()
        for row in texts {
            writer.beginRow()
            writer.integer(.min)
            writer.unsigned(.max)
            writer.real(0.1)
            writer.bool(true)
            for (place, text) in row.enumerated() {
                if place == 1 { [UInt8]([0x41]).withUnsafeBytes { writer.blob($0) } }
                Array(text.utf8).withUnsafeBytes { writer.text($0) }
            }
            writer.null()
            writer.endRow()
            writer.writeBatch(into: &output)
        }
        writer.beginRow()
        for _ in plans { writer.null() }
        writer.endRow()
        writer.finish(into: &output)
        #expect(writer.mismatch == nil)
        let found = read(Array(output.readable))
        #expect(found.names == plans.map(\.name) && found.reason == nil)
        let numbers = "-9223372036854775808|18446744073709551615u|0.1|true"
        var expected: [String] = texts.map { row in
            let others = row[1...].map { "'" + $0 }.joined(separator: "|")
            return "\(numbers)|'\(row[0])|xA|\(others)|null"
        }
        expected.append([String](repeating: "null", count: plans.count).joined(separator: "|"))
        #expect(found.rows == expected)
    }

    @Test(arguments: [
        ("numbers", ["1|18446744073709551615u|1.5", "null|null|null", "-3|0|inf"]),
        ("more-numbers", ["1|1|0.10000000149011612|0.1|true", "-1|4294967295|null|5e-324|null"]),
        ("texts", ["'a|'|x\0|xab", "null|'b|x|null", "'é|null|null|xcd"]),
        ("views", ["'short|xxxxxxxxxxxxxxxxxxxxx", "'longer than twelve bytes|null", "null|x"]),
        (
            "decimals",
            ["'1.50|'1000000000000000000000000000000.000|'1200", "'-0.01|null|'-300", "null|'-5.000|null"]
        ),
        (
            "dates",
            [
                "'1970-01-01|'1970-01-02|'00:00:00.001000|'00:00:00.000000001",
                "'0001-12-31 BC|null|'23:59:59.999000|null",
                "null|'1969-12-31|null|'00:00:00.000000002",
            ]
        ),
        (
            "moments",
            [
                "'1970-01-01 00:00:00|'1970-01-01 00:00:00.000000001+00:00|'-00:00:00.000001",
                "'1969-12-31 23:59:59|null|'01:00:00.000001",
                "null|'1969-12-31 23:59:59.999999999+00:00|null",
            ]
        ),
        ("dictionary", ["'a|null", "'b|null", "'a|null", "null|null"]),
        ("deltas", ["'a", "'b", "'c", "'a"]),
        ("replaced", ["'a", "'b", "'z", "'x"]),
        ("parts", ["1", "2", "3"]),
        ("legacy", ["1", "2"]), ("file", ["1", "2"]), ("no-rows", []),
    ])
    func whatOthersWriteIsRead(_ name: String, _ rows: [String]) throws {
        let found = read(try seed(name))
        #expect(found.reason == nil)
        #expect(found.rows == rows)
    }

    @Test func compressedBodiesAreNamed() throws {
        let found = read(try seed("compressed"))
        #expect(found.names == ["i"] && found.rows.isEmpty)
        #expect(found.reason == ArrowReadError.compressed.reason)
        #expect(ArrowReadError.compressed.remedy?.contains("compression=None") == true)
    }

    /// Without its end a stream may be one that was cut.
    @Test(arguments: ["numbers", "deltas", "file"])
    func aStreamWithoutItsEndWasCutOff(_ name: String) throws {
        let whole = try seed(name)
        let rowCount = read(whole).rows.count
        // Of a file, what follows the end is not asked for.
        let end = name == "file" ? whole.count - 160 : whole.count
        var reasons: Set<String?> = []
        for count in 9..<(end - 8) {
            let found = read(Array(whole[..<count]))
            #expect(found.rows.count <= rowCount)
            reasons.insert(found.reason)
        }
        #expect(!reasons.contains(nil) || name == "file")
        #expect(reasons.contains(ArrowReadError.cutOff.reason))
    }

    @Test(arguments: [
        ("", "does not begin"), ("PAR1....", "Parquet"), ("FEA1....", "Feather"), ("a,b\n1,2\n3,4\n", "does not begin"),
        ("ARROW2\0\0", "does not begin"), ("ARROW1\0\0\u{4}\0\0\0", "no stream within"),
    ])
    func otherFilesAreNamed(_ text: String, _ reason: String) {
        #expect(read(Array(text.utf8)).reason?.contains(reason) == true)
    }

    @Test func theCorpusHolds() throws {
        let seedCount = try FuzzCorpus.replay("arrow", stride: 3) { ArrowChecks.check($0, inPiecesOf: [1, 7]) }
        #expect(seedCount >= 10)
    }
}

/// Streams that claim what is not so. Each is made by hand, with a body that may be shorter than it says.
@Suite struct ArrowLiesTests {
    private typealias Column = (kind: UInt8, fields: [FlatBuffer.Field])

    private static let int64: Column = (2, [.int(64), .byte(1)])
    private static let utf8: Column = (5, [])
    private static let null: Column = (1, [])

    private func message(
        _ kind: UInt8, body: [UInt8] = [], claiming bodyByteCount: Int64? = nil, version: Int16 = 4,
        _ write: (inout FlatBuffer, FlatBuffer.Reference) -> Void
    ) -> [UInt8] {
        var buffer = FlatBuffer()
        let table = buffer.table(
            [.short(version), .byte(kind), .reference, .long(bodyByteCount ?? Int64(body.count))], for: buffer.root)
        write(&buffer, table[0])
        let padding = [UInt8](repeating: 0, count: -buffer.bytes.count & 7)
        return word(.max) + word(UInt32(buffer.bytes.count + padding.count)) + buffer.bytes + padding + body
    }

    private func word(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
    private func words(_ numbers: Int32...) -> [UInt8] { numbers.flatMap { word(UInt32(bitPattern: $0)) } }

    private func schema(_ columns: [Column], dictionary: Bool = false) -> [UInt8] {
        message(1) { buffer, place in
            let table = buffer.table([.absent, .reference], for: place)
            for (column, place) in zip(columns, buffer.list(columns.count, for: table[0])) {
                let field = buffer.table(
                    [.absent, .byte(1), .byte(column.kind), .reference, dictionary ? .reference : .absent], for: place)
                _ = buffer.table(column.fields, for: field[0])
                if dictionary { _ = buffer.table([.long(7)], for: field[1]) }
            }
        }
    }

    private func batch(
        _ rowCount: Int64, nodes: [(Int64, Int64)], buffers: [(Int64, Int64)], body: [UInt8] = [],
        claiming bodyByteCount: Int64? = nil
    ) -> [UInt8] {
        message(3, body: body, claiming: bodyByteCount) { buffer, place in
            let table = buffer.table([.long(rowCount), .reference, .reference], for: place)
            buffer.pairs(nodes, for: table[0])
            buffer.pairs(buffers, for: table[1])
        }
    }

    private func dictionary(_ rowCount: Int64, buffers: [(Int64, Int64)], body: [UInt8] = []) -> [UInt8] {
        message(2, body: body) { buffer, place in
            // Its id, its values, and that they are more of them.
            let table = buffer.table([.long(7), .reference, .byte(1)], for: place)
            let batch = buffer.table([.long(rowCount), .reference, .reference], for: table[0])
            buffer.pairs([(rowCount, 0)], for: batch[0])
            buffer.pairs(buffers, for: batch[1])
        }
    }

    private let end: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]

    @Test func anHonestOneIsRead() {
        let body = words(0, 1, 3) + words(0) + Array("abc".utf8)
        let stream = schema([Self.utf8]) + batch(2, nodes: [(2, 0)], buffers: [(0, 0), (0, 12), (16, 3)], body: body)
        #expect(read(stream + end).rows == ["'a", "'bc"])
        #expect(read(stream + end).reason == nil)
        let nulls = schema([Self.null]) + batch(3, nodes: [(3, 3)], buffers: [])
        #expect(read(nulls + end).rows == ["null", "null", "null"])
    }

    @Test(arguments: [Int64.max, 1 << 62, 1 << 40, -1, .min])
    func rowsThatAreNotThere(_ rowCount: Int64) {
        let columns: [(Column, [(Int64, Int64)])] = [
            (Self.int64, [(0, 0), (0, 8)]), (Self.null, []), (Self.utf8, [(0, 0), (0, 8), (8, 0)]),
        ]
        for (column, buffers) in columns {
            let body = [UInt8](repeating: 0, count: 8)
            let stream = schema([column]) + batch(rowCount, nodes: [(rowCount, 0)], buffers: buffers, body: body)
            let found = read(stream + end)
            #expect(found.rows.isEmpty && found.reason != nil)
        }
    }

    @Test(arguments: [Int64.max, 1 << 62, 1 << 31])
    func bodiesThatDoNotCome(_ byteCount: Int64) {
        let stream =
            schema([Self.int64])
            + batch(1, nodes: [(1, 0)], buffers: [(0, 0), (0, byteCount)], body: words(1, 2), claiming: byteCount)
        let found = read(stream)
        #expect(found.rows.isEmpty && found.reason == ArrowReadError.cutOff.reason)
    }

    @Test func aBodyThatIsTooLargeForItsUser() {
        let body = [UInt8](repeating: 0, count: 2 << 20)
        let stream =
            schema([Self.int64])
            + batch(1, nodes: [(1, 0)], buffers: [(0, 0), (0, Int64(body.count))], body: body)
        #expect(read(stream + end).reason == "A batch or a dictionary of the stream needs 2097152 bytes.")
    }

    @Test(
        arguments: [
            [(0, 0), (0, 16)], [(0, 0), (8, 8)], [(0, 0), (-8, 16)], [(0, 0), (0, -8)], [(0, 0), (0, .max)],
            [(0, 0), (.max, 8)],
            [(0, 0), (0, 4)], [(0, 0)], [], [(0, 0), (0, 8), (0, 8)],
        ] as [[(Int64, Int64)]])
    func buffersThatAreNotThere(_ buffers: [(Int64, Int64)]) {
        let body = [UInt8](repeating: 1, count: 8)
        let found = read(schema([Self.int64]) + batch(1, nodes: [(1, 0)], buffers: buffers, body: body) + end)
        #expect(found.rows.isEmpty && found.reason == ArrowReadError.damagedBatch.reason)
    }

    @Test(
        arguments: [[0, 4, 3], [0, 1, 4], [-1, 1, 3], [1, 0, 3], [0, 2_147_483_647, 3], [0, -2, 3]] as [[Int32]])
    func offsetsThatLeadElsewhere(_ offsets: [Int32]) {
        let body = offsets.flatMap { word(UInt32(bitPattern: $0)) } + words(0) + Array("abc".utf8)
        // As nulls, too: what they cover would be there many times.
        for nullCount: Int64 in [0, 2] {
            let stream =
                schema([Self.utf8])
                + batch(2, nodes: [(2, nullCount)], buffers: [(12, 1), (0, 12), (16, 3)], body: body)
            #expect(read(stream + end).reason?.contains("column 1 has offsets") == true)
        }
    }

    /// Else a few bytes of metadata would have the body read once more.
    @Test func buffersDoNotOverlap() {
        let body = [UInt8](repeating: 0, count: 16)
        let whole: [(Int64, Int64)] = [(0, 0), (0, 16)]
        let once = schema([Self.int64, Self.int64])
        let nodes: [(Int64, Int64)] = [(1, 0), (1, 0)]
        #expect(
            read(once + batch(1, nodes: nodes, buffers: [(0, 0), (0, 8), (0, 0), (8, 8)], body: body) + end).rows == [
                "0|0"
            ])
        let found = read(once + batch(2, nodes: [(2, 0), (2, 0)], buffers: whole + whole, body: body) + end)
        #expect(found.rows.isEmpty && found.reason == ArrowReadError.damagedBatch.reason)
    }

    @Test func nullsNeedTheirBits() {
        let stream = schema([Self.int64]) + batch(9, nodes: [(9, 1)], buffers: [(0, 1), (0, 72)], body: Array(0..<72))
        #expect(read(stream + end).reason == ArrowReadError.damagedBatch.reason)
        let other = schema([Self.int64]) + batch(1, nodes: [(2, 0)], buffers: [(0, 0), (0, 16)], body: Array(0..<16))
        #expect(read(other + end).reason == ArrowReadError.damagedBatch.reason)
    }

    @Test func columnsAreCounted() {
        let stream = schema([Column](repeating: Self.null, count: 100_000))
        let reader = ArrowReader(columnCountMax: 4_096, nameByteCountMax: 1 << 10) { $0 <= 8 << 20 }
        let error = #expect(throws: ArrowReadError.self) {
            var rest = stream[...]
            while !rest.isEmpty {
                let room = try reader.room()
                let piece = rest.prefix(room.count)
                room.copyBytes(from: piece)
                rest = rest.dropFirst(piece.count)
                try reader.didFill(piece.count)
            }
        }
        #expect(error?.reason == "The stream has 100000 columns, more than a table may have.")
        #expect(read(stream).reason?.contains("needs") == true)
        #expect(read(schema([])).reason == "The stream has no columns.")
    }

    @Test func metadataAreBounded() {
        let honest = schema([Self.int64])
        for length: UInt32 in [0x7fff_ffff, 0x8000_0000, 16 << 20 + 1, 7] {
            #expect(read(honest + word(.max) + word(length)).reason?.contains("bytes of metadata") == true)
            #expect(read(honest + word(length)).reason?.contains("bytes of metadata") == true)
        }
        #expect(read(honest + word(.max) + word(16 << 20)).reason == ArrowReadError.cutOff.reason)
    }

    /// A list in which each of two parts is the same one, and that once more, and so on.
    @Test func partsThatAreTheSameManyTimes() {
        var lists: [Int] = []
        var stream = message(1) { buffer, place in
            let table = buffer.table([.absent, .reference], for: place)
            var place = buffer.list(1, for: table[0])[0]
            for _ in 0..<40 {
                let field = buffer.table([.absent, .absent, .byte(13), .reference, .absent, .reference], for: place)
                _ = buffer.table([], for: field[0])
                place = buffer.list(2, for: field[1])[0]
                lists.append(buffer.bytes.count - 8)
            }
            let field = buffer.table([.absent, .absent, .byte(1), .reference], for: place)
            _ = buffer.table([], for: field[0])
        }
        // Behind the two numbers before the metadata: the second reference leads where the first one does.
        for list in lists.map({ $0 + 8 }) {
            let distance = (0..<4).reduce(UInt32(0)) { $0 | UInt32(stream[list + $1]) << UInt32(8 * $1) }
            stream.replaceSubrange((list + 4)..<(list + 8), with: word(distance - 4))
        }
        #expect(read(stream).reason?.contains("too many parts") == true)
        let deep = message(1) { buffer, place in
            let table = buffer.table([.absent, .reference], for: place)
            var place = buffer.list(1, for: table[0])[0]
            for _ in 0..<100 {
                let field = buffer.table([.absent, .absent, .byte(12), .reference, .absent, .reference], for: place)
                _ = buffer.table([], for: field[0])
                place = buffer.list(1, for: field[1])[0]
            }
            let field = buffer.table([.absent, .absent, .byte(1), .reference], for: place)
            _ = buffer.table([], for: field[0])
        }
        #expect(read(deep).reason?.contains("too deep") == true)
    }

    /// A list in which each column is the same one: its name must not be copied for each of them.
    @Test func namesThatAreTheSameManyTimes() {
        let columnCount = 1_000
        var list = 0
        var stream = message(1) { buffer, place in
            let table = buffer.table([.absent, .reference], for: place)
            let places = buffer.list(columnCount, for: table[0])
            // Two numbers stand before the metadata.
            list = buffer.bytes.count - 4 * columnCount + 8
            let field = buffer.table([.reference, .absent, .byte(1), .reference], for: places[0])
            buffer.text(String(repeating: "n", count: 64 << 10), for: field[0])
            _ = buffer.table([], for: field[1])
        }
        let distance = (0..<4).reduce(UInt32(0)) { $0 | UInt32(stream[list + $1]) << UInt32(8 * $1) }
        for column in 1..<columnCount {
            let place = list + 4 * column
            stream.replaceSubrange(place..<(place + 4), with: word(distance - UInt32(4 * column)))
        }
        #expect(read(stream).reason == ArrowReadError.longNames.reason)
    }

    @Test func dictionariesThatGrowForEver() {
        let nulls = dictionary(100_000, buffers: [])
        let stream = schema([Self.null], dictionary: true) + (0..<20).flatMap { _ in nulls }
        #expect(read(stream + end).reason?.contains("needs") == true)
    }

    @Test func placesThatNoDictionaryHas() {
        let values = dictionary(1, buffers: [(0, 0), (0, 8), (8, 1)], body: words(0, 1) + [0x61])
        for place: Int32 in [1, -1, .max, .min] {
            let rows = batch(2, nodes: [(2, 0)], buffers: [(0, 0), (0, 8)], body: words(0, place))
            let found = read(schema([Self.utf8], dictionary: true) + values + rows + end)
            #expect(found.rows == ["'a"])
            #expect(found.reason?.contains("in its dictionary") == true)
        }
        let none = batch(1, nodes: [(1, 0)], buffers: [(0, 0), (0, 4)], body: words(0))
        #expect(read(schema([Self.utf8], dictionary: true) + none + end).reason?.contains("in its dictionary") == true)
    }

    @Test func typesThatCannotBe() {
        let columns: [Column] = [
            (2, [.int(7), .byte(1)]), (3, [.short(3)]), (7, [.int(0), .int(0)]), (7, [.int(77), .int(0), .int(256)]),
            (7, [.int(10), .int(1_000)]), (7, [.int(10), .int(2), .int(65)]), (8, [.short(2)]),
            (9, [.short(0), .int(64)]),
            (10, [.short(4)]), (15, [.int(-1)]), (0, []), (99, []),
        ]
        for column in columns {
            let found = read(schema([column]))
            #expect(found.reason != nil && found.reason != ArrowReadError.cutOff.reason, "\(column)")
        }
    }

    @Test func textThatIsNotUTF8AndTimesThatAreNone() {
        let text =
            schema([Self.utf8])
            + batch(1, nodes: [(1, 0)], buffers: [(0, 0), (0, 8), (8, 1)], body: words(0, 1) + [0xff])
        #expect(read(text + end).rows == ["notUTF8"])
        let time: Column = (9, [.short(0), .int(32)])
        let times =
            schema([time]) + batch(3, nodes: [(3, 0)], buffers: [(0, 0), (0, 12)], body: words(86_399, 86_400, -1))
        #expect(read(times + end).rows == ["'23:59:59", "notATime", "notATime"])
    }

    /// Numbers that no calendar reaches.
    @Test func theExtremesOfMoments() {
        let extremes = [Int64.min, Int64.max].flatMap { number in withUnsafeBytes(of: number.littleEndian) { Array($0) }
        }
        let columns: [Column] = [
            (8, [.short(1)]), (10, [.short(0)]), (10, [.short(3)]), (18, [.short(0)]), (18, [.short(3)]),
            (9, [.short(2), .int(64)]),
        ]
        for (kind, fields) in columns {
            let stream =
                schema([(kind, fields)]) + batch(2, nodes: [(2, 0)], buffers: [(0, 0), (0, 16)], body: extremes)
            let found = read(stream + end)
            #expect(found.rows.count == 2 && found.reason == nil)
        }
    }

    @Test func messagesThatDoNotBelongThere() {
        let rows = batch(1, nodes: [(1, 0)], buffers: [(0, 0), (0, 8)], body: words(1, 0))
        #expect(read(rows).reason == "The stream does not begin with its schema.")
        #expect(read(end).reason == "The stream ends before its schema.")
        #expect(read(schema([Self.int64]) + schema([Self.int64])).reason == "The stream has a second schema.")
        #expect(read(message(1, version: 2) { _, _ in }).reason?.contains("version 3") == true)
    }
}
