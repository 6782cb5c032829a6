// Which runs read all rows of a table, so that something faster than SQLite's virtual machine may read them.

internal import DatabaseContract
internal import SQLText

extension SQLiteWholeTable {
    private static let textByteCountMax = 16 << 10

    /// The table of which a run reads all rows, where the pages of its connection can be looked at.
    ///
    /// `nil` where it reads something else, or less. The run's text must stay as long as this is used.
    init?(of run: StatementRun, on connection: SQLiteConnection) {
        guard case .statement = run.kind, connection.role.showsPages, run.rowCountMax == .max, !run.hasParameters,
            run.sql.count <= Self.textByteCountMax
        else { return nil }
        self.init(SQLiteText.withoutTail(run.sql))
    }
}
