// How `litebase top` looks: samples in, lines out. No terminal here.

internal import ByteBuffers
import LiteBaseClient

/// In which order activity is listed.
enum TopOrder: Sendable {
    /// The oldest first.
    case age
    case user
    case database

    var name: String {
        switch self {
        case .age: "age"
        case .user: "user"
        case .database: "database"
        }
    }

    func sorted(_ entries: [Activity.Entry]) -> [Activity.Entry] {
        switch self {
        case .age: entries.sorted { $0.age > $1.age }
        case .user: entries.sorted { ($0.user ?? "", $1.age) < ($1.user ?? "", $0.age) }
        case .database: entries.sorted { ($0.database ?? "", $1.age) < ($1.database ?? "", $0.age) }
        }
    }
}

/// The settings of the view.
struct TopView {
    var sample: TopSample
    /// `nil` while there is only one sample of this process.
    var rates: TopRates?
    var address: String
    var order = TopOrder.age

    static let titles = ["CONN", "REQ", "USER", "PID", "DATABASE", "SESSION", "STATE", "TRANS", "AGE", "TYPE", "SQL"]
    private static let rightAligned: Set<Int> = [0, 1, 3, 8]
    private static let cellWidthMax = 20

    // MARK: The summary

    /// The lines above the table.
    var summary: [String] {
        let health = sample.health
        var lines = [
            "litebased \(health.version), pid \(health.pid), up \(DurationText.human(health.uptime)), \(address)",
            "connections \(sample.counter("connections", "open"))   lanes \(sample.counter("lanes", "open"))   "
                + "sessions \(sample.counter("sessions", "open"))   in flight \(inFlight)",
        ]
        // At most two, so that the table keeps its place.
        lines += (LimitsText(sample.stats)?.hints ?? []).prefix(2).map { "! " + $0 }
        guard let rates else { return lines + ["requests -", "databases -", "errors -"] }
        lines.append(
            "requests \(BenchReport.rate(rates.requestTotal))   rows \(BenchReport.rate(rates.rows))   received "
                + "\(BenchReport.bytes(rates.bytesReceived))   sent \(BenchReport.bytes(rates.bytesSent))")
        lines.append("  " + Self.list(rates.requests, none: "no requests"))
        let databases = rates.databases.prefix(6).map { database in
            "\(database.name) \(BenchReport.rate(database.perSecond)) (\(BenchReport.decimal(database.milliseconds, 3)) ms)"
        }
        lines.append("databases " + (databases.isEmpty ? "-" : databases.joined(separator: "   ")))
        lines.append("errors \(BenchReport.rate(rates.errorTotal))   " + Self.list(rates.errors, none: ""))
        return lines
    }

    /// Without the request that asked.
    private var inFlight: Int64 { sample.counter("requests_in_flight") }

    private static func list(_ rates: [(name: String, perSecond: Double)], none: String) -> String {
        if rates.isEmpty { return none }
        return rates.prefix(6).map { "\($0.name) \(BenchReport.rate($0.perSecond))" }.joined(separator: "   ")
    }

    // MARK: The table

    /// What is going on, in the order of the table.
    var entries: [Activity.Entry] { order.sorted(sample.activity?.entries ?? []) }

    /// Title and rows, aligned, each cut to `width` columns of a terminal.
    func table(width: Int) -> [String] {
        guard let activity = sample.activity else { return ["this daemon does not tell what is going on; update it"] }
        let rows = [Self.titles] + entries.map(Self.cells)
        let widths = Self.titles.indices.map { column in
            rows.map { DisplayWidth.of($0[column]) }.max() ?? 0
        }
        var lines = rows.map { row in
            String(DisplayWidth.prefix(Self.line(row, widths), width: width))
        }
        if activity.isTruncated { lines.append("... and more, which the daemon does not list") }
        return lines
    }

    private static func line(_ cells: [String], _ widths: [Int]) -> String {
        var line = ""
        for (column, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: widths[column] - DisplayWidth.of(cell))
            if column == cells.count - 1 {
                line += cell
            } else {
                line += (rightAligned.contains(column) ? padding + cell : cell + padding) + "  "
            }
        }
        return line
    }

    private static func cells(_ entry: Activity.Entry) -> [String] {
        let user = entry.user ?? entry.uid.map(String.init)
        let transaction = entry.transaction.map { $0 == .none ? "-" : $0.rawValue }
        let cells = [
            String(entry.connection), entry.number.map(String.init), user, entry.pid.map(String.init), entry.database,
            entry.session, entry.state,
            transaction, age(entry.age), entry.type,
        ].map { short($0 ?? "-") }
        return cells + [TerminalEscaping.visible(entry.sql ?? "")]
    }

    private static func short(_ text: String) -> String {
        let shown = TerminalEscaping.visible(text)
        return DisplayWidth.of(shown) <= cellWidthMax
            ? shown : DisplayWidth.prefix(shown, width: cellWidthMax - 1) + "~"
    }

    /// `12 ms`, `3.4 s`, `5 min 2 s`.
    static func age(_ age: Duration) -> String {
        let (seconds, attoseconds) = age.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        if seconds < 60 { return "\(BenchReport.decimal(Double(milliseconds) / 1000, 1)) s" }
        return DurationText.human(age)
    }

    // MARK: For programs

    func appendJSON(into output: inout ByteBuffer) {
        let health = sample.health
        JSONText.append(
            .map([
                ("version", .value(.text(health.version))), ("pid", .value(.integer(health.pid))),
                ("stats", sample.stats), ("per_second", rates.map(Self.structured) ?? .value(.null)),
                ("entries", .array(entries.map(Self.structured))),
                ("truncated", .value(.bool(sample.activity?.isTruncated ?? false))),
            ]), into: &output)
    }

    private static func structured(_ rates: TopRates) -> StructuredValue {
        func map(_ members: [(name: String, perSecond: Double)]) -> StructuredValue {
            .map(members.map { ($0.name, .value(.real($0.perSecond))) })
        }
        return .map([
            ("requests", map(rates.requests)), ("errors", map(rates.errors)),
            ("databases", map(rates.databases.map { ($0.name, $0.perSecond) })),
            ("rows_sent", .value(.real(rates.rows))),
            ("bytes_received", .value(.real(rates.bytesReceived))), ("bytes_sent", .value(.real(rates.bytesSent))),
        ])
    }

    private static func structured(_ entry: Activity.Entry) -> StructuredValue {
        func integer(_ number: Int64?) -> StructuredValue { .value(number.map(Value.integer) ?? .null) }
        func text(_ text: String?) -> StructuredValue { .value(text.map(Value.text) ?? .null) }
        let (seconds, attoseconds) = entry.age.components
        return .map([
            ("connection", integer(entry.connection)), ("number", integer(entry.number)), ("uid", integer(entry.uid)),
            ("pid", integer(entry.pid)),
            ("user", text(entry.user)), ("session", text(entry.session)), ("database", text(entry.database)),
            ("type", text(entry.type)), ("sql", text(entry.sql)), ("state", text(entry.state)),
            ("transaction", text(entry.transaction?.rawValue)),
            ("age_ms", integer(seconds * 1000 + attoseconds / 1_000_000_000_000_000)),
        ])
    }
}
