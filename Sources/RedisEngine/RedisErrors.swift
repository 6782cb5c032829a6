// The meaning of Redis's errors for clients. An error is a line that begins with a word in capitals, mostly ERR.

internal import CHiredis
internal import DatabaseContract
internal import RemoteDatabases

/// Translation of error replies.
enum RedisErrors {
    private struct Meaning {
        var code = DriverError.Code.databaseError
        var sqlState: String
        var isRetryable = false
        var hint: String?
    }

    /// Bytes of an error that are examined: a script can make it of any length.
    private static let byteCountMax = 8 << 10

    /// The error that is an element of a reply.
    static func error(_ element: chiredis_element) -> DriverError {
        let bytes = UnsafeRawBufferPointer(start: element.bytes, count: min(element.length, byteCountMax))
        return error(String(decoding: bytes, as: UTF8.self))
    }

    /// The error of a reply.
    static func error(_ text: String) -> DriverError {
        let prefix = text.prefix { $0.isASCII && ($0.isUppercase || $0.isNumber) }
        let hasPrefix = !prefix.isEmpty && text.dropFirst(prefix.count).hasPrefix(" ")
        let message = hasPrefix ? String(text.dropFirst(prefix.count + 1)) : text
        let meaning =
            hasPrefix && prefix != "ERR" ? meaning(ofPrefix: String(prefix), message) : meaning(ofMessage: message)
        let told = hasPrefix ? redirection(String(prefix), message) ?? message : message
        var details = DriverError.Details(code: meaning.code, message: DriverError.sentence(withoutArguments(told)))
        // The word itself, for clients that know Redis.
        if hasPrefix, prefix != "ERR" { details.detail = "Redis: \(prefix)" }
        details.sqlState = meaning.sqlState
        details.hint = meaning.hint
        details.isRetryable = meaning.isRetryable
        return DriverError(details)
    }

    /// "MOVED 3999 10.0.0.2:6379", as a sentence.
    /// - Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Redirection and resharding"
    private static func redirection(_ prefix: String, _ message: String) -> String? {
        let parts = message.split(separator: " ")
        guard ["MOVED", "ASK"].contains(prefix), parts.count == 2 else { return nil }
        return "The key is of slot \(parts[0]) of a Redis Cluster, which another server has: \(parts[1])"
    }

    /// Whether the server has refused a write, or stopped a command that waited, because it is a replica.
    static func isOfReplica(_ error: DriverError) -> Bool {
        guard let detail = error.details.detail else { return false }
        return detail.hasPrefix("Redis: READONLY")
            || detail.hasPrefix("Redis: UNBLOCKED") && isOfChangedRole(error.details.message)
    }

    /// Whether an error says that another node of a cluster is to be asked: the node's own, or that of a script.
    static func isOfOtherNode(_ error: DriverError) -> Bool {
        ["Redis: MOVED", "Redis: ASK"].contains(error.details.detail ?? "")
    }

    private static func isOfChangedRole(_ message: String) -> Bool { message.contains(text: "instance state changed") }

    /// "unknown command 'x', with args beginning with: 'secret'": values are not repeated, not even to their sender.
    private static func withoutArguments(_ message: String) -> String {
        guard let range = message.range(ofText: ", with args beginning with") else { return message }
        return String(message[..<range.lowerBound])
    }

    /// - Source: shared.*err in src/server.c of Redis 7
    private static func meaning(ofPrefix prefix: String, _ message: String) -> Meaning {
        switch prefix {
        case "WRONGTYPE": Meaning(sqlState: "42804", hint: "TYPE tells what is stored at the key.")
        case "NOAUTH", "WRONGPASS": Meaning(code: .connectFailed, sqlState: "28000")
        case "NOPERM": Meaning(code: .permissionDenied, sqlState: "42501")
        case "READONLY":
            Meaning(
                code: .readOnly, sqlState: "25006",
                hint: "This server is a replica: name the primary in the URL, or the Sentinels that know it "
                    + "(redis+sentinel://HOST,HOST/NAME).")
        case "OOM":
            Meaning(
                code: .limitExceeded, sqlState: "53400",
                hint: "The server has reached its maxmemory; nothing was written.")
        case "MISCONF":
            Meaning(sqlState: "58030", hint: "The server cannot save its data, and takes no writes until it can.")
        case "BUSY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "INPROG", "NOTREADY":
            Meaning(code: .busy, sqlState: "55P03", isRetryable: true, hint: "The server is not ready; try again.")
        case "MOVED", "ASK": Meaning(sqlState: "0A000", hint: clusterHint)
        case "CROSSSLOT":
            Meaning(
                sqlState: "0A000",
                hint:
                    "In a Redis Cluster all keys of a command, or of a transaction, are of one slot: give them the same {tag}."
            )
        case "EXECABORT":
            Meaning(sqlState: "25P02", hint: "A command was refused when it was queued; nothing was executed.")
        case "NOSCRIPT": Meaning(sqlState: "26000", hint: "Send the script by EVAL, or load it by SCRIPT LOAD.")
        case "BUSYGROUP", "BUSYKEY": Meaning(code: .constraintViolation, sqlState: "23505")
        case "NOGROUP": Meaning(sqlState: "42704")
        case "UNBLOCKED" where isOfChangedRole(message):
            Meaning(
                code: .connectFailed, sqlState: "25006", isRetryable: true,
                hint: "The server has become a replica, and nothing was taken from it; try again.")
        // Any script can say the word.
        case "UNBLOCKED" where message.hasPrefix("client unblocked"): Meaning(code: .cancelled, sqlState: "57014")
        case "UNKILLABLE": Meaning(code: .busy, sqlState: "55P03")
        // A script's or a module's own word (raise_exception).
        default: Meaning(sqlState: "P0001")
        }
    }

    private static let clusterHint =
        "The URL names one server of a Redis Cluster: name the cluster (redis+cluster://HOST,HOST), so that commands go to the server of "
        + "their keys."

    private static func meaning(ofMessage message: String) -> Meaning {
        let syntax = [
            "unknown command", "unknown subcommand", "wrong number of arguments", "syntax error", "Unknown subcommand",
            "Syntax error",
        ]
        if syntax.contains(where: message.hasPrefix) { return Meaning(code: .syntaxError, sqlState: "42601") }
        if message.contains(text: "without MULTI") {
            return Meaning(sqlState: "25P01", hint: "Begin a transaction by MULTI.")
        }
        if message.contains(text: "calls can not be nested") || message.contains(text: "inside MULTI is not allowed") {
            return Meaning(sqlState: "25001")
        }
        if message.contains(text: "is not an integer") || message.contains(text: "is not a valid float")
            || message.contains(text: "out of range") || message.contains(text: "is not a float")
        {
            return Meaning(sqlState: "22023")
        }
        if message.hasPrefix("max number of clients") {
            return Meaning(code: .connectFailed, sqlState: "53300", isRetryable: true)
        }
        // Not a class for the administrator's log: it may quote values, and is sent to its client only.
        return Meaning(sqlState: "22000")
    }
}
