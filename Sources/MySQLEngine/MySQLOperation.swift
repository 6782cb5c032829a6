// Calls of libmariadb that may have to wait: each is started, and continued whenever the socket is ready.

internal import CMariaDB
internal import CSocketLimits
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A call that may wait. Only one is under way on a connection at a time.
///
/// - Source: https://mariadb.com/kb/en/using-the-non-blocking-library/
enum MySQLOperation {
    case query
    case fetchRow(UnsafeMutablePointer<MYSQL_RES>)
    case nextResult
    /// Introduces the daemon anew, which leaves nothing of what was before.
    case login(MySQLLogin)
    case prepare(MySQLStatement)
    case execute(MySQLStatement)
    /// Sends a piece of a parameter's value, which the server does not answer.
    case piece(MySQLStatement, UInt32)
    case fetch(MySQLStatement)
    case nextStatementResult(MySQLStatement)
    case close(MySQLStatement)
}

/// The call that is under way on a connection, and what came of the last one.
///
/// libmariadb runs each call on a stack of its own, which it leaves when it has to wait. The memory that a call was given
/// must therefore stay where it is until the call has ended.
/// - Thread: that of the connection.
struct MySQLCalls {
    private let handle: UnsafeMutablePointer<MYSQL>
    private(set) var current: MySQLOperation?
    /// Received or sent at a time, so that others have their turn: libmariadb goes on as long as more of a row is there, or as the
    /// server takes more of a text.
    private static let turnByteCountMax = 512 << 10
    /// The same for what answers a statement that is prepared: a message of 30 bytes for each of its parameters.
    private static let preparationByteCountMax = 128 << 10

    private static func turnByteCountMax(_ operation: MySQLOperation) -> Int {
        if case .prepare = operation { preparationByteCountMax } else { turnByteCountMax }
    }

    /// What it waits for: MYSQL_WAIT_READ and its like; 0 when it has ended.
    private(set) var waits: Int32 = 0
    /// Of the last call; 0 is success for all but fetching.
    private(set) var status: Int32 = 0
    private(set) var row: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    /// Of the last `login` or `piece`: other than 0 when it has failed.
    private(set) var flag: my_bool = 0

    init(_ handle: UnsafeMutablePointer<MYSQL>) { self.handle = handle }

    /// What to watch the socket for. Time is counted by the daemon: MYSQL_WAIT_TIMEOUT is never answered.
    var readiness: Readiness {
        var readiness: Readiness = []
        if waits & MYSQL_WAIT_READ != 0 { readiness.insert(.readable) }
        if waits & MYSQL_WAIT_WRITE != 0 { readiness.insert(.writable) }
        return readiness
    }

    /// Takes the operation, which has ended.
    mutating func take() -> MySQLOperation? {
        guard waits == 0 else { return nil }
        return current.take()
    }

    /// Starts an operation; `sql` is for those that send it, as is the piece of a value.
    mutating func start(
        _ operation: MySQLOperation, _ sql: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        current = operation
        // libmariadb wants an address also for nothing.
        let text = sql.baseAddress?.assumingMemoryBound(to: CChar.self)
        let length = UInt(sql.count)
        csocketlimits_allow(Self.turnByteCountMax(operation))
        defer { csocketlimits_allow(-1) }
        switch operation {
        case .query: waits = libmariadb.mysql_real_query_start(&status, handle, text, length)
        case .fetchRow(let result): waits = libmariadb.mysql_fetch_row_start(&row, result)
        case .nextResult: waits = libmariadb.mysql_next_result_start(&status, handle)
        case .login(let login):
            waits = libmariadb.mysql_change_user_start(&flag, handle, login.user, login.password, login.database)
        case .prepare(let statement):
            waits = libmariadb.mysql_stmt_prepare_start(&status, statement.handle, text, length)
        case .execute(let statement): waits = libmariadb.mysql_stmt_execute_start(&status, statement.handle)
        case .piece(let statement, let parameter):
            waits = libmariadb.mysql_stmt_send_long_data_start(&flag, statement.handle, parameter, text, length)
        case .fetch(let statement): waits = libmariadb.mysql_stmt_fetch_start(&status, statement.handle)
        case .nextStatementResult(let statement):
            waits = libmariadb.mysql_stmt_next_result_start(&status, statement.handle)
        case .close(let statement): waits = libmariadb.mysql_stmt_close_start(&flag, statement.handle)
        }
    }

    /// Goes on with the operation. When the socket is not ready it only waits again.
    mutating func proceed() {
        guard let current, waits != 0 else { return }
        let ready = waits & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE)
        csocketlimits_allow(Self.turnByteCountMax(current))
        defer { csocketlimits_allow(-1) }
        switch current {
        case .query: waits = libmariadb.mysql_real_query_cont(&status, handle, ready)
        case .fetchRow(let result): waits = libmariadb.mysql_fetch_row_cont(&row, result, ready)
        case .nextResult: waits = libmariadb.mysql_next_result_cont(&status, handle, ready)
        case .login: waits = libmariadb.mysql_change_user_cont(&flag, handle, ready)
        case .prepare(let statement): waits = libmariadb.mysql_stmt_prepare_cont(&status, statement.handle, ready)
        case .execute(let statement): waits = libmariadb.mysql_stmt_execute_cont(&status, statement.handle, ready)
        case .piece(let statement, _):
            waits = libmariadb.mysql_stmt_send_long_data_cont(&flag, statement.handle, ready)
        case .fetch(let statement): waits = libmariadb.mysql_stmt_fetch_cont(&status, statement.handle, ready)
        case .nextStatementResult(let statement):
            waits = libmariadb.mysql_stmt_next_result_cont(&status, statement.handle, ready)
        case .close(let statement): waits = libmariadb.mysql_stmt_close_cont(&flag, statement.handle, ready)
        }
    }

    /// Ends an operation on a connection that nothing comes from any more: it fails, and gives back what it holds.
    mutating func abandon() {
        guard waits != 0 else { return }
        cmariadb_shutdown(handle)
        var countLeft = 100
        while waits != 0, countLeft > 0 {
            proceed()
            countLeft -= 1
        }
    }
}
