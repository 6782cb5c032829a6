// What goes out with a statement of the client's, or for a batch: what its mode and its transaction put around it.

internal import DatabaseContract
internal import RemoteDatabases
internal import SQLText

/// Messages that are sent one after the other, and what the client's statement among them may do.
struct PostgreSQLPlan {
    enum Message {
        /// A statement of ours.
        case own(StaticString)
        /// With which all of a batch stays.
        case commit
        /// Fails when a read-only transaction has written.
        ///
        /// Before PostgreSQL 16 there are holes in one: RESET transaction_read_only and set_config(…, NULL, …) open it, and
        /// lo_create writes all the same. Whatever has written has a transaction id.
        case check
        /// The client's.
        case statement
        /// Ends what stands or falls together.
        case sync
    }

    let messages: [Message]
    private(set) var nature = StatementEffect.Nature.reads
    /// CALL, DO and others can commit within: parts of them may stay although the statement as a whole fails.
    private(set) var isDivisible = false

    private init(_ messages: [Message]) { self.messages = messages }

    // MARK: One statement

    private static let plain = PostgreSQLPlan([.statement, .sync])
    // A transaction that cannot be made one that writes: that is refused after the first snapshot.
    // Source: check_transaction_read_only in src/backend/commands/variable.c
    private static let readOnly = PostgreSQLPlan([
        .own("BEGIN READ ONLY"), .own("SELECT"), .statement, .check, .sync,
        // After an error this rolls back.
        .own("COMMIT"), .sync,
    ])
    // Whatever transaction there is afterwards is read-only, and has a snapshot; outside of a transaction SET is a warning.
    private static let readOnlyControl = PostgreSQLPlan([
        .statement, .own("SET TRANSACTION READ ONLY"), .own("SELECT"), .sync,
    ])
    private static let checkedReadOnlyControl = PostgreSQLPlan([
        .check, .statement, .own("SET TRANSACTION READ ONLY"), .own("SELECT"), .sync,
    ])

    /// Of one statement by itself.
    init(
        _ sql: UnsafeRawBufferPointer, _ kind: PostgreSQLStatementKind, isReadOnly: Bool,
        _ transaction: TransactionState
    ) {
        let isAlone = transaction == .none
        if isReadOnly {
            guard kind.controlsTransaction else {
                self = isAlone ? Self.readOnly : Self.plain
                return
            }
            var words = LeadingWords(sql, .postgresql)
            let ends = transaction == .active && ["COMMIT", "END", "PREPARE"].contains(words.next())
            self = ends ? Self.checkedReadOnlyControl : Self.readOnlyControl
            return
        }
        self = Self.plain
        if kind == .select {
            nature = isAlone ? .calls : .reads
            return
        }
        nature = isAlone || kind.controlsTransaction ? .commits : .changes
        isDivisible =
            isAlone && (kind == .other || kind == .preparedTransaction)
            && !PostgreSQLStatementKind.isOneTransaction(sql)
    }

    // MARK: Atomic batches

    /// Begins one: a transaction, or a savepoint in that of the session.
    static func begin(isNested: Bool, isReadOnly: Bool) -> PostgreSQLPlan {
        if isNested { return nestedBegin }
        return isReadOnly ? readOnlyBegin : plainBegin
    }

    /// Ends one, so that it stays.
    static func commit(isNested: Bool, isReadOnly: Bool) -> PostgreSQLPlan {
        if isNested { return nestedCommit }
        return isReadOnly ? readOnlyCommit : plainCommit
    }

    /// Ends the transaction, or goes back to where it was. Statements without an end of their pipeline may be waiting in the server.
    static func undo(isNested: Bool) -> PostgreSQLPlan { isNested ? nestedUndo : plainUndo }

    private static let nestedBegin = PostgreSQLPlan([.own("SAVEPOINT litebase_batch")])
    private static let readOnlyBegin = PostgreSQLPlan([.own("BEGIN READ ONLY"), .own("SELECT")])
    private static let plainBegin = PostgreSQLPlan([.own("BEGIN")])
    private static let nestedCommit = PostgreSQLPlan([.own("RELEASE litebase_batch"), .sync])
    private static let readOnlyCommit = PostgreSQLPlan([.check, .commit, .sync])
    private static let plainCommit = PostgreSQLPlan([.commit, .sync])
    private static let nestedUndo = PostgreSQLPlan([
        .sync, .own("ROLLBACK TO litebase_batch"), .own("RELEASE litebase_batch"), .sync,
    ])
    private static let plainUndo = PostgreSQLPlan([.sync, .own("ROLLBACK"), .sync])
}
