// What libpq says of a server that was not reached, or that has not let the daemon in.

internal import DatabaseContract
internal import RemoteDatabases

/// An error of connecting, out of the one text that libpq has of it.
///
/// The server's own error is in that text and nowhere else. Its words, the severity included, are in the server's language; so libpq is
/// told to write the SQLSTATE beside them (PQERRORS_VERBOSE), which is what decides here, and which the detail is without.
///
/// - Source: pqBuildErrorMessage3 in fe-protocol3.c: severity, colon, two blanks, SQLSTATE, colon, blank, message; then lines of
///   details, the last of which names a place in the server's source.
struct PostgreSQLRefusal {
    /// What the server, or libpq, has said.
    let detail: String
    /// Of the server's error; of the last one where several servers were asked, `nil` where none has said anything.
    private let sqlState: String?

    private static let placeLabel = "LOCATION:  "
    private static let stateByteCount = 5

    init(_ text: String) {
        var found: String?
        // Further lines of libpq begin with a tab.
        let lines = text.split { $0 == "\n" || $0 == "\t" }.compactMap { line -> String? in
            if line.hasPrefix(Self.placeLabel) { return nil }
            guard let place = Self.place(in: Array(line.utf8)) else { return String(line) }
            found = String(decoding: Array(line.utf8)[place], as: UTF8.self)
            let (before, behind) = (line.utf8.prefix(place.lowerBound), line.utf8.dropFirst(place.upperBound + 2))
            return String(decoding: before, as: UTF8.self) + String(decoding: behind, as: UTF8.self)
        }
        detail = lines.joined(separator: "; ")
        sqlState = found
    }

    /// Where a line has the SQLSTATE.
    private static func place(in line: [UInt8]) -> Range<Int>? {
        let (start, end) = (Array(":  ".utf8), Array(": ".utf8))
        let length = start.count + stateByteCount + end.count
        guard line.count >= length else { return nil }
        for index in 0...(line.count - length) {
            let state = (index + start.count)..<(index + start.count + stateByteCount)
            guard line[index..<state.lowerBound].elementsEqual(start),
                line[state.upperBound..<(state.upperBound + end.count)].elementsEqual(end),
                line[state].allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) })
            else { continue }
            return state
        }
        return nil
    }

    /// The error, with `detail` and what else there is to tell.
    func error(detail: String) -> DriverError {
        var details = DriverError.Details(
            code: .connectFailed, message: "The PostgreSQL server cannot be reached.", detail: detail,
            hint: RemoteErrors.reachHint(detail), sqlState: "08001", isRetryable: true)
        switch sqlState {
        case "57P01", "57P02", "57P03":
            details.message = "The PostgreSQL server is starting or stopping."
            details.hint = "Try again; if that lasts, the server's log says why."
            details.sqlState = sqlState
        case "53300":
            details.message = "The PostgreSQL server has no connection to spare."
            details.hint =
                "Raise max_connections of the server, or the limit of the role or the database, or lower "
                + "limits.pool_connections_max."
            details.sqlState = sqlState
        case nil where !isWithoutState: break
        default:
            details.message = "The PostgreSQL server did not let the daemon in."
            details.hint = "Check the role, the password and the database, and the server's pg_hba.conf."
        }
        return DriverError(details)
    }

    /// An error of the server without an SQLSTATE, as some poolers send it; or the password that libpq was not given.
    private var isWithoutState: Bool {
        detail.contains(text: "FATAL:") || detail.contains(text: "no password supplied")
    }
}
