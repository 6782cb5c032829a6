import LiteBaseTesting
import Testing

@testable import LiteBaseClient

/// Values as a frame brings them, and as programs get them.
@Suite struct RowBatchTests {
    private static let texts = [
        "", "a", "é\u{0}\"", "fifteen bytes..", "sixteen bytes...", String(repeating: "東", count: 100),
    ]

    private static func value(_ generator: inout SeededGenerator) -> Value {
        switch Int.random(in: 0..<7, using: &generator) {
        case 0: .null
        case 1: .bool(.random(using: &generator))
        case 2: .integer([.min, -1, 0, 1, 127, 128, 1 << 40, .max].randomElement(using: &generator) ?? 0)
        case 3: .unsigned(UInt64(Int64.max) + 1 + UInt64.random(in: 0...9, using: &generator))
        case 4: .real([0, -0.0, .nan, .infinity, 0.1, .leastNonzeroMagnitude].randomElement(using: &generator) ?? 0)
        case 5: .text(texts.randomElement(using: &generator) ?? "")
        default: .blob(Array(repeating: 0xff, count: Int.random(in: 0...300, using: &generator)))
        }
    }

    /// The way of a frame.
    /// - Parameters:
    ///   - columnCount: of the rows.
    ///   - rows: as the frame has them.
    ///   - isFirst: whether they stand in front of all other fields.
    /// - Returns: the rows.
    /// - Throws: what is wrong with the frame.
    private static func received(
        _ columnCount: Int, _ rows: [[StructuredValue]], isFirst: Bool
    ) throws -> RowBatch {
        let columns = StructuredValue.array((0..<columnCount).map { .map([("name", .value(.text("c\($0)")))]) })
        var data: [(String, StructuredValue)] = [("columns", columns), ("more", .value(true)), ("notes", .value("a"))]
        data.insert(("rows", .array(rows.map { .array($0) })), at: isFirst ? 0 : 2)
        var router = ReplyRouter()
        let id = router.open()
        _ = try ServerEnd.frame(id, "query_response", data).dropFirst(4).withUnsafeBytes { bytes in
            try router.receive(Reply(bytes), byteCount: bytes.count)
        }
        guard case .rows(let batch) = router.take(id) else { throw ClientError.timedOut }
        return batch
    }

    private static func spelled(_ row: Row) -> [String] { row.map { "\($0.kind) \($0)" } }

    private static func borrowed(_ row: Row) -> [String] {
        var values: [String] = []
        row.forEachBorrowed {
            let value = Value($0)
            values.append("\(value.kind) \(value)")
        }
        return values
    }

    @Test func valuesAreThoseOfTheFrame() throws {
        var generator = SeededGenerator.fresh
        for round in 0..<200 {
            let columnCount = Int.random(in: 1...9, using: &generator)
            let rows = (0..<Int.random(in: 1...20, using: &generator)).map { _ in
                (0..<columnCount).map { _ in Self.value(&generator) }
            }
            let expected = rows.map { $0.map { "\($0.kind) \($0)" } }
            let frame = rows.map { $0.map(StructuredValue.value) }
            let came = try Self.received(columnCount, frame, isFirst: round % 2 == 0)
            let made = RowBatch(columns: came.columns, rows: rows)
            for batch in [came, made] {
                #expect(batch.map(Self.spelled) == expected, "seed \(generator.seed)")
                #expect(batch.map(Self.borrowed) == expected, "seed \(generator.seed)")
            }
        }
    }

    /// Rows of a catalog have them, beside texts whose bytes are those of the frame.
    @Test func listsAreTheTextOfTheirJSON() throws {
        let list = StructuredValue.array([.value(1), .map([("a\"", .value("é"))])])
        let rows: [[StructuredValue]] = [
            [.value("before"), list, .value("behind")], [list, list, .value(.blob([0]))],
        ]
        let json = #"[1,{"a\"":"é"}]"#
        for isFirst in [true, false] {
            let batch = try Self.received(3, rows, isFirst: isFirst)
            #expect(Array(batch[0]) == ["before", .text(json), "behind"])
            #expect(Array(batch[1]) == [.text(json), .text(json), .blob([0])])
        }
    }

    /// It is all that is left of its batch.
    @Test func aRowOutlivesItsBatch() throws {
        var row: Row?
        do { row = try Self.received(2, [[.value("a"), .value(1)], [.value("bc"), .value(2)]], isFirst: false)[1] }
        #expect(row.map { Array($0) } == ["bc", 2])
        #expect(row?["c1"] == 2)
    }
}

extension Value {
    /// 1, 1.0, true and "1" are spelled alike or nearly so.
    fileprivate var kind: String {
        switch self {
        case .null: "null"
        case .bool: "bool"
        case .integer: "integer"
        case .unsigned: "unsigned"
        case .real: "real"
        case .text: "text"
        case .blob: "blob"
        }
    }
}
