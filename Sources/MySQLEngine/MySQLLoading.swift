// Rows of a file into tables of MySQL and MariaDB.
//
// INSERT with many rows of placeholders is what every server takes: LOAD DATA LOCAL is switched off by default in MySQL, and lets a
// server ask for files.

internal import DatabaseContract
internal import Tabular

struct MySQLLoading: RowLoading {
    /// 65,535 is the most; beyond a few thousand, preparing the text costs more than the round trips that are saved.
    var statementValueCountMax: Int? { 4_000 }
    var beginText: String { "START TRANSACTION" }

    var literals: SQLLiterals { SQLLiterals(escapesByBackslash: true) }

    func quoted(_ name: String) -> String { quoted(name, in: UInt8(ascii: "`")) }

    func name(of type: ColumnType) -> String {
        switch type {
        case .boolean: "boolean"
        case .integer: "bigint"
        case .real: "double"
        case .text: "longtext"
        case .blob: "longblob"
        }
    }

    func text(table: String, columns: [String], rowCount: Int) -> String {
        insertText(table, columns, rowCount: rowCount)
    }
}
