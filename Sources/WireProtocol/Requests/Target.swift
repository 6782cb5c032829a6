// The place where a statement runs: a part of several requests.

internal import ByteBuffers

/// The place where a statement runs: a session, or a database without a session; neither means the default database.
public struct Target {
    public internal(set) var session: UnsafeRawBufferPointer?
    public internal(set) var database: UnsafeRawBufferPointer?

    init(database: UnsafeRawBufferPointer? = nil) { self.database = database }

    /// Reads the value if the field is one of the two; returns whether it is.
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

/// The same for a request to be sent.
public enum TargetName: Sendable {
    /// A database by name; `nil` is the default one.
    case database(String?)
    /// A session by the name that the server gave.
    case session(String)

    /// Writes the field, if one is needed.
    func write(_ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        switch self {
        case .database(nil): break
        case .database(let name?): writer.field("database", name, into: &output)
        case .session(let name): writer.field("session", name, into: &output)
        }
    }
}
