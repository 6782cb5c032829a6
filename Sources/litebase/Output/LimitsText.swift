// The limits and the users of `stats`, as `litebase status` prints them.

import LiteBaseClient

/// How near the daemon's limits are, for a person.
struct LimitsText {
    /// From this part of a limit on, in percent, a person should look.
    private static let warningPercent: Int64 = 80

    /// What it has of `stats`.
    static let keys: Set<String> = ["limits", "pools", "users", "databases"]

    private let limits: [(name: String, value: Int64, used: Int64?, peak: Int64?, hits: Int64)]
    private let users: [StructuredValue]
    private let pools: [StructuredValue]
    private let databases: [StructuredValue]

    /// `nil` for a daemon that does not report them.
    init?(_ stats: StructuredValue) {
        guard let members = stats["limits"]?.members else { return nil }
        limits = members.map { name, limit in
            (
                name, limit["value"]?.integer ?? 0, limit["used"]?.integer, limit["peak"]?.integer,
                limit["hits"]?.integer ?? 0
            )
        }
        users = stats["users"]?.elements ?? []
        pools = stats["pools"]?.elements ?? []
        databases = stats["databases"]?.elements ?? []
    }

    /// Everything: tables of limits, databases, pools and users, and hints.
    var lines: [String] {
        ["", "limits"] + Self.table([["", "value", "used", "peak", "hits"]] + limits.map(Self.cells))
            + databaseLines + poolLines + ["", "users"] + Self.table([Self.userTitles] + users.map(Self.userCells))
            + hints.map { "hint: " + $0 }
    }

    private static func cells(
        _ limit: (name: String, value: Int64, used: Int64?, peak: Int64?, hits: Int64)
    ) -> [String] {
        [
            TerminalEscaping.visible(limit.name), limit.value == 0 ? "none" : String(limit.value),
            limit.used.map { "\($0)" } ?? "-", limit.peak.map { "\($0)" } ?? "-", String(limit.hits),
        ]
    }

    // MARK: Databases

    private static let databaseTitles = [
        "", "requests", "errors", "rows", "bytes", "mean time", "sessions", "in flight", "connections",
    ]

    /// What was done with each database since the start; nothing of a daemon that does not tell.
    private var databaseLines: [String] {
        databases.isEmpty
            ? [] : ["", "databases"] + Self.table([Self.databaseTitles] + databases.map(Self.databaseCells))
    }

    private static func databaseCells(_ database: StructuredValue) -> [String] {
        func number(_ key: String) -> Int64 { database[key]?.integer ?? 0 }
        let requests = number("requests")
        let milliseconds = Double(number("elapsed_us")) / Double(max(1, requests)) / 1000
        let mean = requests == 0 ? "-" : "\(BenchReport.decimal(milliseconds, 3)) ms"
        return [
            databaseName(database), "\(requests)", "\(number("errors"))", "\(number("rows_sent"))",
            "\(number("bytes_sent"))", mean, "\(number("sessions"))",
            "\(number("requests_in_flight"))", "\(number("connections_used"))",
        ]
    }

    /// Those that clients name by URLs have one line.
    static func databaseName(_ database: StructuredValue) -> String {
        database["database"]?.text.map(TerminalEscaping.visible) ?? "(by URL)"
    }

    // MARK: Pools

    private static let poolTitles = ["", "value", "used", "waiting", "longest wait", "hits", "refusals"]

    /// The use and the waiting times of the connections to each server; nothing if there is none.
    private var poolLines: [String] {
        pools.isEmpty ? [] : ["", "pools"] + Self.table([Self.poolTitles] + pools.map(Self.poolCells))
    }

    private static func poolCells(_ pool: StructuredValue) -> [String] {
        func number(_ key: String) -> Int64 { pool[key]?.integer ?? 0 }
        func cell(_ key: String, peak: String) -> String {
            number(peak) > number(key) ? "\(number(key)) (\(number(peak)))" : "\(number(key))"
        }
        return [
            poolName(pool), "\(number("value"))", cell("used", peak: "peak"),
            cell("waiting", peak: "waiting_peak"), "\(number("wait_ms_peak")) ms", "\(number("hits"))",
            "\(number("refusals"))",
        ]
    }

    /// A database may have a second pool, for read-only access.
    private static func poolName(_ pool: StructuredValue) -> String {
        let name = TerminalEscaping.visible(pool["database"]?.text ?? "")
        return pool["access"]?.text == "read_only" ? "\(name) (read_only)" : name
    }

    private var poolHints: [String] {
        pools.compactMap { pool in
            guard let waiting = pool["waiting"]?.integer, waiting > 0 else { return nil }
            return "\(waiting) wait for a connection to \(Self.poolName(pool)): pool_connections_max"
        }
    }

    // MARK: Users

    private static let userTitles = [
        "", "connections", "sessions", "in flight", "buffered bytes", "SQLite memory", "temporary", "refusals",
    ]
    /// What a user holds, with the limit of each.
    private static let shares: [(key: String, what: String, limit: String)] = [
        ("connections", "connections", "connections_per_user_max"),
        ("sessions", "sessions", "sessions_per_user_max"),
        ("requests_in_flight", "requests in flight", "requests_in_flight_per_user_max"),
        ("buffered_bytes", "buffered bytes", "buffered_bytes_per_user_max"),
        ("sqlite_memory_bytes", "bytes of SQLite's memory", "sqlite_memory_bytes_per_user_max"),
        ("temporary_bytes", "bytes in temporary files", "temporary_bytes_per_user_max"),
    ]

    private static func name(of user: StructuredValue) -> String {
        if let name = user["user"]?.text { return TerminalEscaping.visible(name) }
        return user["uid"]?.integer.map { "uid \($0)" } ?? "TCP clients"
    }

    private static func userCells(_ user: StructuredValue) -> [String] {
        func cell(_ key: String) -> String {
            let (now, peak) = (user[key]?.integer ?? 0, user[key + "_peak"]?.integer ?? 0)
            return peak > now ? "\(now) (\(peak))" : "\(now)"
        }
        return [name(of: user)] + shares.map { cell($0.key) } + [String(user["refusals"]?.integer ?? 0)]
    }

    // MARK: Hints

    /// Limits that are nearly reached, and by whom.
    var hints: [String] {
        limits.compactMap { limit in
            guard let used = limit.used, Self.isNear(used, limit.value) else { return nil }
            // Limits of a user are named below.
            if Self.shares.contains(where: { $0.limit == limit.name }) { return nil }
            return "\(used) of \(limit.value) are in use: \(TerminalEscaping.visible(limit.name))"
        } + poolHints + users.flatMap(hints(for:))
    }

    private func hints(for user: StructuredValue) -> [String] {
        Self.shares.compactMap { share in
            guard let used = user[share.key]?.integer, let limit = limits.first(where: { $0.name == share.limit }),
                Self.isNear(used, limit.value)
            else { return nil }
            return "\(Self.name(of: user)) has \(used) of \(limit.value) \(share.what): \(share.limit)"
        }
    }

    private static func isNear(_ used: Int64, _ limit: Int64) -> Bool {
        limit > 0 && Double(used) >= Double(limit) * Double(warningPercent) / 100
    }

    // MARK: Tables

    /// The first column to the left, the others to the right.
    private static func table(_ rows: [[String]]) -> [String] {
        guard let first = rows.first else { return [] }
        let widths = first.indices.map { column in rows.map { DisplayWidth.of($0[column]) }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - DisplayWidth.of(cell))
                return column == 0 ? "  " + cell + padding : padding + cell
            }.joined(separator: "  ")
        }
    }
}
