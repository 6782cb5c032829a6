// How the daemon serves a request type: a row of its table.

internal import WireProtocol

/// A request type that the daemon answers.
protocol ServedRequest: RequestContent {
    /// Answers a request, or makes an operation of it.
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome
    /// Writes the reply of an operation that has ended without an error.
    static func writeReply(of operation: Operation, on connection: Connection)
}

/// A request type whose reply is written before its operation ends, if it has one: no database answers it.
protocol DirectlyAnsweredRequest: ServedRequest {}

extension DirectlyAnsweredRequest {
    static func writeReply(of operation: Operation, on connection: Connection) {}
}

/// A type of request as the daemon serves it.
///
/// It contains no reference-counted values, so that every request may copy it.
struct RequestRow: Sendable {
    /// Its name, its decoder, and its handler.
    let content: any ServedRequest.Type
    let access: RequestAccess
    let traits: RequestTraits
    let type: RequestType
    /// Its index in the table.
    fileprivate(set) var number: UInt8 = 0

    init(_ content: any ServedRequest.Type, for access: RequestAccess, _ traits: RequestTraits = []) {
        self.content = content
        self.access = access
        self.traits = traits
        type = content.type
    }

    /// The same row with its index in a table.
    func numbered(_ number: Int) -> RequestRow {
        var row = self
        row.number = UInt8(number)
        return row
    }
}

/// Who may send a request type. What a request may do with a database is checked separately.
enum RequestAccess: Sendable {
    /// Everybody, including those who may only watch.
    case everybody
    /// Everybody except those who may only watch.
    case users
    /// The same, and administrators among those who may only watch.
    case usersAndAdministrators
    /// Administrators; others get an error, and the denial is logged.
    case administrators(DeniedRight, message: StaticString, hint: StaticString)
}

/// Properties of a request type, besides its handler.
struct RequestTraits: OptionSet, Sendable {
    let rawValue: UInt16

    /// It refers to another request by its id, and may have the same id.
    static let namesAnother = RequestTraits(rawValue: 1 << 0)
    /// It counts as work: a user may have a limited number in flight, and it is recorded in case that it ends the
    /// process.
    static let isWork = RequestTraits(rawValue: 1 << 1)
    /// It runs SQL of the client's, which the log and `activity` may show.
    static let isStatement = RequestTraits(rawValue: 1 << 2)
    /// Its id is recorded before it starts: a later process reports that its outcome is unknown.
    static let isKept = RequestTraits(rawValue: 1 << 3)
    /// It waits for its turn in a session.
    static let mayQueue = RequestTraits(rawValue: 1 << 4)
    /// `cancel`, timeouts and a lost right end it.
    static let isStoppable = RequestTraits(rawValue: 1 << 5)
    /// Without data, it is answered even while the daemon stops.
    static let isAnsweredAtEnd = RequestTraits(rawValue: 1 << 6)
    /// An administrator's is answered even beyond the limit of connections, which it may raise.
    static let raisesLimits = RequestTraits(rawValue: 1 << 7)
    /// It declares descriptors, which it takes whatever becomes of it.
    static let takesDescriptors = RequestTraits(rawValue: 1 << 8)
    /// It ends when somebody ends it: the daemon does not wait for that when it stops.
    static let isEndless = RequestTraits(rawValue: 1 << 9)
}

/// A request whose type is known.
struct ReceivedRequest {
    let head: RequestHead
    let encoding: WireEncoding
    let row: RequestRow
}

/// The result of a handler. A request without an error has exactly one final reply: a handler that forgets it has
/// nothing to return.
enum RequestOutcome {
    /// Its final reply is in the output.
    case answered
    /// An operation was made of it, which is answered when it ends.
    case pending
    /// It refers to another request, which has the replies, or another loop answers it.
    case passedOn
}
