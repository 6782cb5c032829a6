// Rows of a file into tables of MySQL and MariaDB.
//
// INSERT with many rows of placeholders is what every server takes: LOAD DATA LOCAL is switched off by default in MySQL, and lets a
// server ask for files.

internal import DatabaseContract
internal import Tabular

struct MySQLLoading: RowLoading {
    /// 65,535 is the most; beyond a few thousand, preparing the text costs more than the round trips that are saved.
    var statementValueCountMax: Int? { 4_000 }
    /// Of MariaDB none.
    var takesZoneOffsets: Bool { false }
    var keepsBlobsFromTexts: Bool { true }
    /// - Source: https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html
    var makesTablesInTransactions: Bool { false }
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
        case .unsigned: "bigint unsigned"
        case .decimal(let precision, let scale): decimal(precision, scale)
        case .date: "date"
        case .time, .duration: "time(6)"
        // TIMESTAMP ends in 2038, and changes with the zone of a session.
        case .timestamp: "datetime(6)"
        }
    }

    /// What has more digits than a decimal may is text.
    /// - Source: https://dev.mysql.com/doc/refman/8.4/en/precision-math-decimal-characteristics.html
    private func decimal(_ precision: Int, _ scale: Int) -> String {
        // Zeros before the point, and between it and the first digit, are digits, too.
        let digitCount = scale < 0 ? precision - scale : max(precision, scale)
        guard digitCount <= 65, scale <= 30 else { return "longtext" }
        return "decimal(\(digitCount),\(max(0, scale)))"
    }

    func text(table: String, columns: [String], rowCount: Int) -> String {
        insertText(table, columns, rowCount: rowCount)
    }
}
