// The data of each request, decoded from `RequestHead.data`. Requests without data need no type.
//
// Unknown fields are ignored, null is the same as absent, a wrong type is an error that names the field. All bytes point
// into the request's body. `batch` has a file of its own.

/// `hello`: what the client is and what it wants.
public struct HelloRequest {
    /// The client's name, for administrators of servers on which it has sessions.
    public private(set) var client: UnsafeRawBufferPointer?
    /// Whether version 1 is among those that the client speaks; true when it names none.
    public private(set) var speaksVersion1 = true
    public private(set) var int64 = Int64Style.tagged
    /// Whether the client knows the message `notice`, which answers no request.
    public private(set) var notices = false

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("client") {
                client = try fields.optionalText("client")
            } else if name.equals("protocol") {
                speaksVersion1 = try Self.readVersions(&fields)
            } else if name.equals("int64") {
                int64 = try Self.readStyle(&fields)
            } else if name.equals("notices") {
                notices = try fields.optionalBool("notices") ?? false
            } else {
                try fields.reader.skip()
            }
        }
    }

    private static func readVersions(_ fields: inout FieldReader) throws(DecodeError) -> Bool {
        if fields.skipNull() { return true }
        let count = try fields.reader.readArray("protocol")
        var found = false
        for _ in 0..<count {
            let start = fields.reader.offset
            switch try fields.reader.next() {
            case .integer(let version): found = found || version == WireLimits.protocolVersion
            case .unsigned: break
            case .null, .bool, .real, .text, .binary, .array, .map, .ext:
                throw DecodeError(.wrongType(field: "protocol", wanted: "an array of integers"), at: start)
            }
        }
        return found
    }

    private static func readStyle(_ fields: inout FieldReader) throws(DecodeError) -> Int64Style {
        let start = fields.reader.offset
        guard let name = try fields.optionalText("int64") else { return .tagged }
        guard let style = Int64Style(name: name) else {
            throw DecodeError(.outOfRange(field: "int64", wanted: "\"tagged\", \"number\" or \"string\""), at: start)
        }
        return style
    }
}

/// `health_check`: of the daemon, or of one database, by a round trip to it.
public struct HealthRequest {
    public private(set) var database: UnsafeRawBufferPointer?
    /// How long to wait for the database.
    public private(set) var timeoutMilliseconds: Int64?

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("database") {
                database = try fields.optionalText("database")
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else {
                try fields.reader.skip()
            }
        }
    }

    /// Where the round trip goes.
    public var target: Target { Target(database: database) }
}

/// `db_connect`: opens a session on a database, by name or by URL; neither means the default one.
public struct ConnectRequest {
    public private(set) var database: UnsafeRawBufferPointer?
    public private(set) var url: UnsafeRawBufferPointer?
    public private(set) var readOnly = false

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("database") {
                database = try fields.optionalText("database")
            } else if name.equals("url") {
                url = try fields.optionalText("url")
            } else if name.equals("read_only") {
                readOnly = try fields.optionalBool("read_only") ?? false
            } else {
                try fields.reader.skip()
            }
        }
        if database != nil, url != nil { throw DecodeError(.conflict(field: "database", other: "url"), at: 0) }
    }
}

/// `db_disconnect`: closes a session.
public struct DisconnectRequest {
    public let session: UnsafeRawBufferPointer

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var session: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("session") {
                session = try fields.optionalText("session")
            } else {
                try fields.reader.skip()
            }
        }
        guard let session else { throw DecodeError(.missing(field: "session"), at: 0) }
        self.session = session
    }
}

/// Where a statement runs: in a session, or on a database by itself; neither means the default database.
public struct Target {
    public internal(set) var session: UnsafeRawBufferPointer?
    public internal(set) var database: UnsafeRawBufferPointer?

    init(database: UnsafeRawBufferPointer? = nil) { self.database = database }

    /// Reads the value if the field is one of the two; returns whether it was.
    mutating func readField(_ name: UnsafeRawBufferPointer, from fields: inout FieldReader) throws(DecodeError) -> Bool
    {
        if name.equals("session") {
            session = try fields.optionalText("session")
        } else if name.equals("database") {
            database = try fields.optionalText("database")
        } else {
            return false
        }
        return true
    }

    func check() throws(DecodeError) {
        if session != nil, database != nil { throw DecodeError(.conflict(field: "session", other: "database"), at: 0) }
    }
}

/// `query`: one statement.
public struct QueryRequest {
    /// UTF-8, not terminated.
    public let sql: UnsafeRawBufferPointer
    public private(set) var parameters = ParameterList.empty
    public private(set) var target = Target()
    public private(set) var timeoutMilliseconds: Int64?
    public private(set) var maxRows: Int64?
    public private(set) var pageRows: Int64?
    /// Whether all results are to be sent, where a statement has several.
    public private(set) var resultSets = false

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var sql: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("sql") {
                sql = try fields.optionalText("sql")
            } else if name.equals("params") {
                if !fields.skipNull() { parameters = try ParameterList.read(&fields.reader, field: "params") }
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else if name.equals("max_rows") {
                maxRows = try fields.optionalPositive("max_rows")
            } else if name.equals("page_rows") {
                pageRows = try fields.optionalPositive("page_rows")
            } else if name.equals("result_sets") {
                resultSets = try fields.optionalBool("result_sets") ?? false
            } else if try !target.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard let sql else { throw DecodeError(.missing(field: "sql"), at: 0) }
        try target.check()
        self.sql = sql
    }
}

/// `describe`: what a statement would return, without running it.
public struct DescribeRequest {
    /// UTF-8, not terminated.
    public let sql: UnsafeRawBufferPointer
    public private(set) var target = Target()

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var sql: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("sql") {
                sql = try fields.optionalText("sql")
            } else if try !target.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard let sql else { throw DecodeError(.missing(field: "sql"), at: 0) }
        try target.check()
        self.sql = sql
    }
}

/// `fetch` and `cancel`: which earlier request is meant.
public struct RequestReference {
    public let request: RequestID

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var request: RequestID?
        while let name = try fields.nextName() {
            if name.equals("request") {
                request = try RequestID.read(&fields.reader, field: "request")
            } else {
                try fields.reader.skip()
            }
        }
        guard let request else { throw DecodeError(.missing(field: "request"), at: 0) }
        self.request = request
    }
}
