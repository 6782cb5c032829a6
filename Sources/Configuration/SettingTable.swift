// The table of settings. Parser, example file, manual page, `--check-config` and tests all read this one.

internal import Server

extension Setting {
    /// Every setting that is not part of a database, in the order of the example file.
    public static let all: [Setting] =
        [
            Setting(
                "log_level", .level(\.logLevel), "Least severe messages that are logged."),
            Setting(
                "idle_exit_seconds", .integer(\.idleExitSeconds, 0...31_536_000),
                "Seconds without clients after which a daemon that systemd activated leaves; 0: never."),
            Setting(
                "loops", .integer(\.loopCount, 0...256),
                "Event loops that serve connections; 0: one for each core, at most four."),
            Setting(
                "spin_us_max", .integer(\.spinMicrosecondsMax, 0...1_000),
                "Time that a loop looks for requests before it sleeps, in microseconds, while they come quickly; 0: it always "
                    + "sleeps."),
            Setting(
                "default_database", .databaseName(\.defaultDatabase), "Database of requests that name none."),
            Setting(
                "socket.path", .path(\.socketPath), "Unix socket of a daemon that was not activated by systemd."),
            Setting(
                "socket.mode", .mode(\.socketMode), "Permission bits of that socket: who can write to it may connect."),
            Setting(
                "socket.group", .group(\.socketGroup), "Group of that socket."),
            Setting(
                "socket.port", .port(\.port),
                "TCP port on 127.0.0.1, for development: every local user can connect; 0: the kernel chooses one."),
        ] + access + log + limits

    private static let access: [Setting] = [
        Setting(
            "access.admins", .principals(\.service.administrators.users, .users),
            "Users who see what everybody does, and may reload; root and the daemon's own user always may."),
        Setting(
            "access.admin_groups", .principals(\.service.administrators.groups, .groups),
            "Groups whose members see what everybody does, and may reload."),
        Setting(
            "access.ad_hoc_users", .principals(\.service.adHoc.users, .users),
            "Users who may open databases by a URL; root and the daemon's own user always may."),
        Setting(
            "access.ad_hoc_groups", .principals(\.service.adHoc.groups, .groups),
            "Groups whose members may open databases by a URL."),
        Setting(
            "access.monitors", .principals(\.service.monitors.users, .users),
            "Users who may ask how the daemon is, with what all users have, and nothing else: no database."),
        Setting(
            "access.monitor_groups", .principals(\.service.monitors.groups, .groups),
            "Groups whose members may ask how the daemon is, and nothing else."),
    ]

    private static let log: [Setting] = [
        Setting(
            "log.slow_statement_ms", .milliseconds(\.statementLog.slowMilliseconds, 0...2_592_000_000),
            "Time from which a statement is logged as slow, in milliseconds; 0: never."),
        Setting(
            "log.statement_bytes_max", .integer(\.statementLog.textByteCountMax, 0...65_536),
            "Bytes of a slow statement's SQL text that are logged; 0: none. Parameters never are."),
    ]

    private static let limits: [Setting] = [
        Setting(
            "limits.frame_bytes_max", .integer(\.limits.frameByteCountMax, 1_024...Limits.frameByteCountCeiling),
            "Longest request, in bytes."),
        Setting(
            "limits.row_bytes_max", .integer(\.limits.rowByteCountMax, 1_024...1_073_741_824),
            "Longest row that is sent, in bytes."),
        Setting(
            "limits.connections_max", .integer(\.limits.connectionCountMax, 1...1_000_000),
            "Client connections at a time."),
        Setting(
            "limits.connections_per_user_max", .integer(\.limits.connectionCountPerUserMax, 1...1_000_000),
            "Connections of one Unix user; root and the daemon's own user may have all."),
        Setting(
            "limits.buffered_bytes_per_user_max",
            .integer(\.limits.bufferedByteCountPerUserMax, 1_048_576...1_099_511_627_776),
            "Bytes of requests and replies that are held for one Unix user."),
        Setting(
            "limits.requests_in_flight_per_user_max", .integer(\.limits.requestsInFlightPerUserMax, 1...16_777_216),
            "Unfinished requests of one Unix user, over all connections."),
        Setting(
            "limits.lanes_per_user_max", .integer(\.limits.lanesPerUserMax, 0...100_000),
            "Connections through shared memory of one Unix user; 0: everybody stays on the socket."),
        Setting(
            "limits.sessions_per_user_max", .integer(\.limits.sessionsPerUserMax, 1...1_000_000),
            "Sessions that one Unix user may hold open, over all connections."),
        Setting(
            "limits.kept_connections_max", .integer(\.limits.keptConnectionCountMax, 0...65_536),
            "Connections that survive a restart in systemd's descriptor store; 0: none."),
        Setting(
            "limits.requests_in_flight_max", .integer(\.limits.requestsInFlightMax, 1...65_536),
            "Unfinished requests of one connection; beyond, the daemon stops reading from it."),
        Setting(
            "limits.sessions_per_connection_max", .integer(\.limits.sessionsPerConnectionMax, 1...65_536),
            "Sessions that one connection may hold open."),
        Setting(
            "limits.paged_queries_per_connection_max", .integer(\.limits.pagedQueriesPerConnectionMax, 1...65_536),
            "Paged queries that one connection may hold open."),
        Setting(
            "limits.readers_per_database_max", .integer(\.limits.readersPerDatabaseMax, 1...1_024),
            "Long reads of one SQLite database at a time."),
        Setting(
            "limits.sqlite_memory_bytes_max",
            .integer(\.limits.sqliteMemoryByteCountMax, 0...1_099_511_627_776),
            "Memory that SQLite may use in all, in bytes; 0: no limit."),
        Setting(
            "limits.sqlite_memory_bytes_per_user_max",
            .integer(\.limits.sqliteMemoryByteCountPerUserMax, 0...1_099_511_627_776),
            "Memory that SQLite may use for one Unix user, and for one database in memory, in bytes; 0: half of the former."
        ),
        Setting(
            "limits.temporary_bytes_per_user_max",
            .integer(\.limits.temporaryByteCountPerUserMax, 0...1_099_511_627_776),
            "Bytes of temporary tables, sorting and the like that SQLite may put on the disk for one Unix user; 0: no limit."
        ),
        Setting(
            "limits.sqlite_idle_ms_max", .milliseconds(\.limits.sqliteIdleMillisecondsMax, 0...2_592_000_000),
            "Time after which the connections to a SQLite file that nobody uses are closed, in milliseconds; 0: never."),
        Setting(
            "limits.statement_cache_max", .integer(\.limits.statementCacheCountMax, 0...65_536),
            "Prepared statements kept by each connection to a SQLite file; those on servers keep none."),
        Setting(
            "limits.page_cache_bytes_per_database_max",
            .integer(\.limits.pageCachePerDatabaseByteCountMax, 0...1_099_511_627_776),
            "Bytes of a SQLite file's pages that are kept in memory for short reads, by all loops together."),
        Setting(
            "limits.catalog_bytes_max", .integer(\.limits.catalogByteCountMax, 1_048_576...1_099_511_627_776),
            "Memory for what is in databases (catalog), of all of them together, in bytes."),
        Setting(
            "limits.pool_connections_max", .integer(\.limits.poolConnectionCountMax, 1...10_000),
            "Connections to one database on a server, sessions included."),
        Setting(
            "limits.pool_wait_ms_max", .milliseconds(\.limits.poolWaitMillisecondsMax, 1...3_600_000),
            "Time that a request waits for one of these connections, in milliseconds."),
        Setting(
            "limits.pool_idle_ms_max", .milliseconds(\.limits.poolIdleMillisecondsMax, 1...2_592_000_000),
            "Time after which such a connection that nobody uses is closed, in milliseconds."),
        Setting(
            "limits.pool_lifetime_ms_max", .milliseconds(\.limits.poolLifetimeMillisecondsMax, 0...2_592_000_000),
            "Age at which such a connection is replaced, in milliseconds; 0: no limit."),
        Setting(
            "limits.connect_ms_max", .milliseconds(\.limits.connectMillisecondsMax, 1...3_600_000),
            "Time that connecting to one database server may take, in milliseconds."),
        Setting(
            "limits.statement_time_ms_max", .milliseconds(\.limits.statementTimeMillisecondsMax, 0...2_592_000_000),
            "Longest time that a statement may run, in milliseconds; 0: no limit."),
        Setting(
            "limits.idle_transaction_ms_max", .milliseconds(\.limits.idleTransactionMillisecondsMax, 0...2_592_000_000),
            "Time that a session or import may leave its transaction idle, in milliseconds; then it ends; 0: no limit."),
        Setting(
            "limits.idle_hold_ms_max", .milliseconds(\.limits.idleHoldMillisecondsMax, 0...2_592_000_000),
            "Time that a session or a page may lie idle while others need what it holds, in milliseconds; then it ends; 0: no limit."
        ),
        Setting(
            "limits.write_stall_ms_max", .milliseconds(\.limits.writeStallMillisecondsMax, 0...2_592_000_000),
            "Time that a client may leave its replies unread, in milliseconds; then it is closed; 0: no limit."),
        Setting(
            "limits.busy_time_ms_max", .milliseconds(\.limits.busyTimeMillisecondsMax, 0...3_600_000),
            "Time that a write waits for another writer, in milliseconds."),
        Setting(
            "limits.drain_time_ms_max", .milliseconds(\.limits.drainTimeMillisecondsMax, 0...3_600_000),
            "Time that running requests get when the daemon stops, in milliseconds."),
        Setting(
            "limits.worker_threads_max", .integer(\.limits.workerThreadCountMax, 1...1_024),
            "Threads for statements that run long."),
    ]

    /// The row with this name.
    public static func named(_ name: String) -> Setting? { all.first { $0.name == name } }
}
