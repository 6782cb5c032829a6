import SQLText
import Testing

@Suite("What the text of a definition of SQLite says")
struct SQLiteDefinitionTests {
    @Test(arguments: [
        ("CREATE TABLE t(a, b)", []), ("CREATE TABLE t(a INT) STRICT", ["strict"]),
        ("CREATE TABLE t(a INT PRIMARY KEY) WITHOUT ROWID, STRICT", ["without_rowid", "strict"]),
        ("CREATE TABLE strict(rowid INT, strict)", []),
        // SQLite keeps what stands behind the options, up to the end of the text.
        ("CREATE TABLE t(a INT) STRICT -- (x)", ["strict"]), ("CREATE TABLE t(a INT) STRICT /* (x) */ ", ["strict"]),
        ("CREATE TABLE t(a INT -- STRICT\n)", []),
    ])
    func optionsOfTables(_ text: String, _ expected: [String]) {
        let options = Array(text.utf8).withUnsafeBytes { SQLiteDefinition.tableOptions($0) }
        #expect(options.map { "\($0)" } == expected)
    }
}
