import Catalog
import Testing

/// Rows as an engine tells them: `nil` is null.
struct Rows {
    var columns: [String]
    var rows: [[String?]]

    init(_ columns: String, _ rows: [[String?]]) {
        self.columns = columns.split(separator: " ").map(String.init)
        self.rows = rows
    }

    func tell(_ level: CatalogLevel, _ builder: CatalogBuilder, complete: ((CatalogFeed) -> Void)? = nil) throws {
        let feed = CatalogFeed(level, into: builder, complete: complete)
        feed.begin(columns.map { Array($0.utf8) })
        for row in rows {
            feed.beginRow()
            for cell in row {
                if let cell { Array(cell.utf8).withUnsafeBytes { feed.text($0) } } else { feed.null() }
            }
            try feed.endRow()
        }
        try feed.end()
    }
}

@Suite struct CatalogFeedTests {
    private func builder(definitions: Bool = false) throws -> CatalogBuilder {
        let builder = CatalogBuilder(isCaseSensitive: false, keepsDefinitions: definitions, byteCountMax: 1 << 20)
        try Rows("name default", [["main", "t"], ["temp", "f"]]).tell(.namespaces, builder)
        try Rows("kind name namespace", [["table", "b", "main"], ["table", "a", "main"], ["view", "v", "main"]])
            .tell(.relations, builder)
        return builder
    }

    @Test func columnsHaveNamesAndAnyOrder() throws {
        let builder = try builder()
        try Rows(
            "relation namespace position name type nullable key_position identity generated unknown default",
            [
                ["a", "main", "1", "id", "int", "f", "1", "rowid", nil, "x", nil],
                ["a", "main", "2", "n", "text", "1", nil, nil, "stored", "x", "'q'"],
                ["gone", "main", "1", "n", "text", "1", nil, nil, nil, "x", nil],
            ]
        ).tell(.columns, builder)
        let index = builder.finish()
        #expect(index.namespaces.map(\.isDefault) == [true, false])
        #expect(index.names(of: 0) == ["id", "n"])
        #expect(index.columns.count == 2)
        #expect(index.columns.map(\.isNullable) == [false, true])
        #expect(index.columns[0].identity == .rowID)
        #expect(index.columns[1].generated == .stored)
        #expect(index.string(index.details(of: index.columns[1]).defaultValue) == "'q'")
        // The key follows from the places of the columns.
        #expect(index.keys.count == 1)
        #expect(index.keys[0].kind == .primary)
        #expect(index.items(index.keys[0].columns).map { index.string($0) } == ["id"])
    }

    @Test func rowsOfOneObjectAreOneRecord() throws {
        let builder = try builder()
        try Rows(
            "namespace relation name kind ordinal column",
            [
                ["main", "a", "p", "primary", "1", "x"], ["main", "a", "p", "primary", "2", "y"],
                ["main", "a", "p", "unique", "1", "z"], ["main", "b", "p", "primary", "1", "z"],
            ]
        ).tell(.keys, builder)
        try Rows(
            "namespace relation name ordinal column target_namespace target_relation target_column on_delete",
            [
                ["main", "b", nil, "1", "q", "main", "A", nil, "CASCADE"],
                ["main", "b", nil, "2", "r", "main", "A", nil, nil],
                ["main", "b", nil, "1", "s", "main", "nowhere", nil, nil],
            ]
        ).tell(.foreignKeys, builder)
        try Rows(
            "namespace relation name unique ordinal column expression extra",
            [
                ["main", "a", "i", "1", "1", "x", nil, "{\"n\": 1}"],
                ["main", "a", "i", "1", "2", nil, "lower(\"x\")", "{\"descending\":true}"],
            ]
        ).tell(.indexes, builder)
        try Rows(
            "namespace relation name timing event",
            [["main", "a", "t", "BEFORE", "INSERT"], ["main", "a", "t", "BEFORE", "UPDATE"]]
        ).tell(.triggers, builder)
        try Rows(
            "namespace name kind ordinal label",
            [
                ["main", "e", "enum", "1", "one"], ["main", "e", "enum", "2", "two"],
                ["main", "none", "enum", nil, nil],
            ]
        ).tell(.types, builder)
        let index = builder.finish()
        func names(_ list: CatalogList) -> [String] { index.items(list).map { $0.isNone ? "-" : index.string($0) } }
        #expect(index.keys.map { names($0.columns) } == [["x", "y"], ["z"], ["z"]])
        #expect(index.foreignKeys.map { names($0.columns) } == [["q", "r"], ["s"]])
        #expect(names(index.foreignKeys[0].targetColumns) == ["x", "y"])
        #expect(names(index.foreignKeys[1].targetColumns) == ["-"])
        #expect(index.indexes.map { names($0.columns) } == [["x", "-"]])
        #expect(
            index.string(index.indexes[0].extra)
                == "{\"n\": 1,\"expressions\":[null,\"lower(\\\"x\\\")\"],\"parts\":[{\"n\": 1},{\"descending\":true}]}"
        )
        #expect(index.triggers.map { names($0.events) } == [["INSERT", "UPDATE"]])
        #expect(index.types.map { names($0.labels) } == [["one", "two"], []])
    }

    @Test func aRelationCanBeCompleted() throws {
        let builder = try builder(definitions: true)
        try Rows("namespace name row_estimate definition", [["main", "a", "9", nil], ["main", "v", nil, "CREATE"]])
            .tell(.relations, builder)
        let index = builder.finish()
        #expect(index.relations.count == 3)
        #expect(index.relations[0].rowEstimate == 9)
        #expect(Array(index.bytes(index.relations[2].definition)) == Array("CREATE".utf8))
    }

    @Test func aCompletionSeesTheDefinition() throws {
        let builder = try builder()
        try Rows("namespace relation name definition", [["main", "a", "t", "BEFORE"]]).tell(.triggers, builder) {
            feed in
            feed.set(.timing, String(decoding: feed.definition, as: UTF8.self))
            feed.set(.extra, "{}")
        }
        let index = builder.finish()
        #expect(index.string(index.triggers[0].timing) == "BEFORE")
        #expect(index.triggers[0].extra.isNone)
        #expect(index.triggers[0].definition.isNone)
    }

    @Test func aWordThatIsUnknownIsAnError() throws {
        let builder = try builder()
        #expect(throws: CatalogError.unfit(level: .relations, column: "kind")) {
            try Rows("namespace name kind", [["main", "x", "chair"]]).tell(.relations, builder)
        }
    }
}
