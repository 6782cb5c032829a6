// The requests that there are, and what their messages are called.

/// What a request asks for.
public enum RequestType: UInt8, CaseIterable, Sendable {
    case healthCheck, hello, listDatabases, dbConnect, dbDisconnect, query, batch, describe, fetch, cancel, stats,
        reload, activity

    /// The `type` of the request.
    public var name: StaticString { names.request }
    /// The `type` of its reply when it succeeds; a failure's is `error`.
    public var replyName: StaticString { names.reply }

    private var names: (request: StaticString, reply: StaticString) {
        switch self {
        case .healthCheck: ("health_check", "health_response")
        case .hello: ("hello", "hello_response")
        case .listDatabases: ("list_databases", "list_databases_response")
        case .dbConnect: ("db_connect", "db_connect_response")
        case .dbDisconnect: ("db_disconnect", "db_disconnect_response")
        case .query: ("query", "query_response")
        case .batch: ("batch", "batch_response")
        case .describe: ("describe", "describe_response")
        case .fetch: ("fetch", "fetch_response")
        case .cancel: ("cancel", "cancel_response")
        case .stats: ("stats", "stats_response")
        case .reload: ("reload", "reload_response")
        case .activity: ("activity", "activity_response")
        }
    }

    /// The `type` of a reply that says what went wrong.
    public static let errorReplyName: StaticString = "error"

    /// Whether it only says something of another request, named by its id, and may have the same.
    public var namesAnother: Bool { self == .cancel || self == .fetch }

    /// The type with this name on the wire; `nil` for an unknown one.
    public init?(name: UnsafeRawBufferPointer) {
        let candidate: RequestType
        // The length leaves at most five; the first byte at most one, but for `stats`.
        switch name.count {
        case 5:
            switch name[0] {
            case UInt8(ascii: "q"): candidate = .query
            case UInt8(ascii: "h"): candidate = .hello
            case UInt8(ascii: "b"): candidate = .batch
            case UInt8(ascii: "f"): candidate = .fetch
            default: candidate = .stats
            }
        case 6: candidate = name[0] == UInt8(ascii: "c") ? .cancel : .reload
        case 8: candidate = name[0] == UInt8(ascii: "d") ? .describe : .activity
        case 10: candidate = .dbConnect
        case 12: candidate = .healthCheck
        case 13: candidate = .dbDisconnect
        case 14: candidate = .listDatabases
        default: return nil
        }
        guard name.equals(candidate.name) else { return nil }
        self = candidate
    }
}
