// Memory of a library, counted and limited.

internal import CLinux

/// Allocations for a library, charged to the user for whom the calling thread works.
///
/// - Thread: any.
public enum CountedMemory {
    /// - Returns: `nil` if there is no memory, or a limit is reached.
    public static func allocate(_ byteCount: Int32) -> UnsafeMutableRawPointer? { clinux_counted_allocate(byteCount) }
    public static func free(_ memory: UnsafeMutableRawPointer?) { clinux_counted_free(memory) }
    /// - Returns: `nil` as for `allocate`; then `memory` is unchanged.
    public static func resize(_ memory: UnsafeMutableRawPointer?, _ byteCount: Int32) -> UnsafeMutableRawPointer? {
        clinux_counted_resize(memory, byteCount)
    }
    public static func size(_ memory: UnsafeMutableRawPointer?) -> Int32 { clinux_counted_size(memory) }

    /// Does something in which the calling thread may read a schema, with room for SQLite's hash tables: otherwise the time that
    /// it takes grows with the square of the number of tables (`clinux_begin_roomy_tables`).
    public static func withRoomyTables<Result>(_ body: () -> Result) -> Result {
        clinux_begin_roomy_tables()
        defer { clinux_end_roomy_tables() }
        return body()
    }

    /// The most that may be allocated, in bytes, in all and for one account; 0: no limit.
    public static func setLimits(inAll: Int, byOne: Int) { clinux_set_memory_limits(Int64(inAll), Int64(byOne)) }
    /// The most that the temporary files of one account may hold, in bytes, and how many may be open, in all and for one account;
    /// 0: no limit.
    public static func setFileLimits(byOne: Int, countInAll: Int, countByOne: Int) {
        clinux_set_file_limits(Int64(byOne), Int64(countInAll), Int64(countByOne))
    }

    /// The limit that was reached.
    public enum Refusal {
        case memoryInAll, memoryOfOne, filesOfOne, fileCount
    }

    /// The limit that was reached on this thread since the last call.
    public static func takeRefusal() -> Refusal? {
        switch Int(clinux_take_refusal()) {
        case CLINUX_REFUSED_MEMORY_IN_ALL: .memoryInAll
        case CLINUX_REFUSED_MEMORY_BY_ONE: .memoryOfOne
        case CLINUX_REFUSED_FILES_BY_ONE: .filesOfOne
        case CLINUX_REFUSED_FILE_COUNT: .fileCount
        default: nil
        }
    }
}

/// The memory and temporary files of one user, or of nobody in particular.
///
/// - Thread: any.
public struct MemoryAccount: @unchecked Sendable {
    /// Points to an account that is never freed; `nil`: nobody's.
    private let account: OpaquePointer?

    /// The present use, its peak, and how often more was refused.
    public struct Usage: Sendable {
        public var byteCount: Int
        public var peak: Int
        public var refusalCount: UInt64

        fileprivate init(_ usage: clinux_usage) {
            byteCount = Int(usage.bytes)
            peak = Int(usage.peak)
            refusalCount = usage.refusals
        }
    }

    private init(_ account: OpaquePointer?) { self.account = account }

    /// The account of a user.
    public init(uid: UInt32) { account = clinux_account_of(uid) }

    /// The account for what is charged to nobody in particular.
    public static let nobody = MemoryAccount(nil)

    /// The account for which the calling thread works.
    public static var current: MemoryAccount { MemoryAccount(clinux_worked_for()) }

    /// `nil`: nobody's.
    public var uid: UInt32? { account.map { clinux_account_uid($0) } }

    /// Charges what the calling thread allocates from now on to this account; earlier refusals are forgotten.
    public func charge() { clinux_begin_work_for(account) }

    /// Charges for the growth of a temporary file of this account, or credits for what has become of it.
    /// - Returns: false, and nothing is charged, if that exceeds its limit (`CountedMemory.takeRefusal`).
    public func chargeFile(_ change: Int64) -> Bool { clinux_charge_file(account, change) }
    /// The same for a temporary file that is to be opened; `fileWasClosed` follows.
    public func mayOpenFile() -> Bool { clinux_open_file(account) }
    public func fileWasClosed() { clinux_close_file(account) }

    /// Of a user.
    public var memory: Usage { Usage(account.map { clinux_memory_usage($0) } ?? clinux_usage()) }
    public var files: Usage { Usage(account.map { clinux_file_usage($0) } ?? clinux_usage()) }
    /// Of all together.
    public static var memoryInAll: Usage { Usage(clinux_memory_usage(nil)) }
}

/// Makes counted memory run out for a thread before the machine's does: when its stack is nearly used up, or when its
/// work has to stop. A library allocates at each level and each step of work whose extent a client chooses, and it can
/// handle a failed allocation everywhere.
///
///
/// - Thread: each call concerns the calling thread.
public enum AllocationGuard {
    public enum Reason {
        /// No room for deeper recursion.
        case stack
        /// The work has to stop.
        case time
    }

    /// Refuses memory, once `asks` has returned true, until `end`. It is called at each 16th allocation, with
    /// `context`.
    public static func begin(
        _ context: UnsafeMutableRawPointer, asks: @escaping @convention(c) (UnsafeMutableRawPointer?) -> Bool
    ) {
        clinux_guard_begin(asks, context)
    }

    /// Ends what `begin` began.
    /// - Returns: why memory was refused since then.
    @discardableResult
    public static func end() -> Reason? { reason(clinux_guard_end()) }

    /// Why memory was refused since `begin`, or without one since the last `end`.
    public static var refusal: Reason? { reason(clinux_guard_refusal()) }

    private static func reason(_ reason: clinux_guard_reason) -> Reason? {
        switch reason {
        case CLINUX_GUARD_STACK: .stack
        case CLINUX_GUARD_TIME: .time
        default: nil
        }
    }
}

/// Makes a library's reads of files fail, when the work of a thread has to stop: some work asks nobody but the file, block
/// after block.
/// - Thread: each call concerns the calling thread.
public enum ReadGuard {
    /// Refuses reads once `asks` has returned true, until `end`. It is called now and then, before a read, with `context`.
    public static func begin(
        _ context: UnsafeMutableRawPointer, asks: @escaping @convention(c) (UnsafeMutableRawPointer?) -> Bool
    ) {
        clinux_guard_reads(asks, context)
    }

    /// Ends what `begin` began.
    public static func end() { clinux_guard_reads(nil, nil) }
}
