// `stats`: the daemon's counters, and the use of each limit.

/// `stats`.
public struct StatsRequest: EmptyRequest {
    public typealias Reply = StatsReply
    public static var type: RequestType { RequestType("stats", reply: "stats_response") }

    public init() {}
}

/// Counters since the start, and the present use.
public struct StatsReply: ReplyData {
    public var uptimeMilliseconds: Int64 = 0
    public var connections = OpenCount()
    /// Connections through shared memory.
    public var lanes = OpenCount()
    public var sessions = OpenCount()
    public var requestsInFlight: Int64 = 0
    /// By type.
    public var requests = NamedValues<UInt64>()
    /// By code.
    public var errors = NamedValues<UInt64>()
    public var bytesReceived: UInt64 = 0
    public var bytesSent: UInt64 = 0
    public var rowsSent: UInt64 = 0
    /// By type, in microseconds.
    public var latencies = NamedValues<Latency>()
    /// The reason, by name; for administrators, if there are any.
    public var disabledDatabases: NamedValues<String>?
    /// By name.
    public var limits = NamedValues<Limit>()
    /// For administrators.
    public var pools: [Pool]?
    public var users: [User] = []
    /// Those that the caller may open; for administrators and monitors all.
    public var databases: [Database] = []

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("uptime_ms", &uptimeMilliseconds)
        visitor.field("connections", &connections)
        visitor.field("lanes", &lanes)
        visitor.field("sessions", &sessions)
        visitor.field("requests_in_flight", &requestsInFlight)
        visitor.field("requests", &requests)
        visitor.field("errors", &errors)
        visitor.field("bytes_received", &bytesReceived)
        visitor.field("bytes_sent", &bytesSent)
        visitor.field("rows_sent", &rowsSent)
        visitor.field("latency_us", &latencies)
        visitor.optional("disabled_databases", &disabledDatabases)
        visitor.field("limits", &limits)
        visitor.optional("pools", &pools)
        visitor.field("users", &users)
        visitor.field("databases", &databases)
    }

    /// The present number, and the total.
    public struct OpenCount: ReplyData {
        public var open: Int64 = 0
        public var opened: UInt64 = 0

        public init() {}

        public init(open: Int, opened: UInt64) {
            self.open = Int64(open)
            self.opened = opened
        }

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("open", &open)
            visitor.field("opened", &opened)
        }
    }

    /// The duration of requests of one type.
    public struct Latency: ReplyData {
        public var count: UInt64 = 0
        public var p50: Int64 = 0
        public var p90: Int64 = 0
        public var p99: Int64 = 0
        public var p999: Int64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("count", &count)
            visitor.field("p50", &p50)
            visitor.field("p90", &p90)
            visitor.field("p99", &p99)
            visitor.field("p999", &p999)
        }
    }

    /// The use of a limit. Absent fields are not counted.
    public struct Limit: ReplyData {
        /// 0 is no limit.
        public var value: Int64?
        public var used: Int64?
        public var peak: Int64?
        public var hits: UInt64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.optional("value", &value)
            visitor.optional("used", &used)
            visitor.optional("peak", &peak)
            visitor.field("hits", &hits)
        }
    }

    /// What was done with a database since the start, and its present use.
    public struct Database: ReplyData {
        /// `nil` for all that clients name by URLs.
        public var database: String?
        public var requests: UInt64 = 0
        public var errors: UInt64 = 0
        public var rowsSent: UInt64 = 0
        public var bytesSent: UInt64 = 0
        public var elapsedMicroseconds: UInt64 = 0
        public var sessions: Int64 = 0
        public var requestsInFlight: Int64 = 0
        public var connectionsUsed: Int64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("database", &database)
            visitor.field("requests", &requests)
            visitor.field("errors", &errors)
            visitor.field("rows_sent", &rowsSent)
            visitor.field("bytes_sent", &bytesSent)
            visitor.field("elapsed_us", &elapsedMicroseconds)
            visitor.field("sessions", &sessions)
            visitor.field("requests_in_flight", &requestsInFlight)
            visitor.field("connections_used", &connectionsUsed)
        }
    }

    /// The connections to a database on a server.
    public struct Pool: ReplyData {
        public var database = ""
        public var access = ""
        public var value: Int64 = 0
        public var open: Int64 = 0
        public var used: Int64 = 0
        public var peak: Int64 = 0
        public var waiting: Int64 = 0
        public var waitingPeak: Int64 = 0
        public var waitMillisecondsPeak: Int64 = 0
        public var hits: Int64 = 0
        public var refusals: Int64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("database", &database)
            visitor.field("access", &access)
            visitor.field("value", &value)
            visitor.field("open", &open)
            visitor.field("used", &used)
            visitor.field("peak", &peak)
            visitor.field("waiting", &waiting)
            visitor.field("waiting_peak", &waitingPeak)
            visitor.field("wait_ms_peak", &waitMillisecondsPeak)
            visitor.field("hits", &hits)
            visitor.field("refusals", &refusals)
        }
    }

    /// A user's present use and peaks.
    public struct User: ReplyData {
        /// `nil` for clients over TCP.
        public var uid: UInt64?
        public var user: String?
        public var connections = Used()
        public var sessions = Used()
        public var requestsInFlight = Used()
        public var bufferedBytes = Used()
        public var sqliteMemoryBytes = Used()
        public var temporaryBytes = Used()
        public var refusals: UInt64 = 0

        /// The present value and the peak.
        public struct Used: Sendable {
            public var count: Int64 = 0
            public var peak: Int64 = 0

            public init() {}

            public init(_ count: Int, peak: Int) {
                self.count = Int64(max(0, count))
                self.peak = Int64(max(0, peak))
            }
        }

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("uid", &uid)
            visitor.field("user", &user)
            visitor.field("connections", &connections.count)
            visitor.field("connections_peak", &connections.peak)
            visitor.field("sessions", &sessions.count)
            visitor.field("sessions_peak", &sessions.peak)
            visitor.field("requests_in_flight", &requestsInFlight.count)
            visitor.field("requests_in_flight_peak", &requestsInFlight.peak)
            visitor.field("buffered_bytes", &bufferedBytes.count)
            visitor.field("buffered_bytes_peak", &bufferedBytes.peak)
            visitor.field("sqlite_memory_bytes", &sqliteMemoryBytes.count)
            visitor.field("sqlite_memory_bytes_peak", &sqliteMemoryBytes.peak)
            visitor.field("temporary_bytes", &temporaryBytes.count)
            visitor.field("temporary_bytes_peak", &temporaryBytes.peak)
            visitor.field("refusals", &refusals)
        }
    }
}
