// Being let in by a server, and the first questions to it, on a thread that may block: all of it has an end, in time and in
// bytes, whatever the server does.
//
// PQconnectdb would not do. Its time is in whole seconds and is not looked at while the server keeps talking; and until
// somebody can tell it otherwise, it writes what the server says to the standard error stream, past the log.
//
// Source: https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-PQCONNECTSTARTPARAMS, -async.html

internal import CPostgreSQL
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A connection to a server that is not used yet.
///
/// - Thread: one that may block.
final class PostgreSQLHandshake {
    private(set) var handle: OpaquePointer?
    private let place: PostgreSQLLocation
    private let limitMilliseconds: Int64
    private var deadline = MonotonicInstant.now
    /// For all servers together; only for a URL that a client names, whose list of servers may be long.
    private let lastDeadline: MonotonicInstant?
    private var readByteCount = 0
    /// Servers that did not answer in time.
    private var silent: [String] = []

    /// A server that has more to say than this is none. Letting one in takes less than 64 KiB, the longest answer, names of
    /// types, about a megabyte.
    private static let readByteCountMax = 8 << 20
    /// Between two looks at the clock.
    private static let lookByteCountMax = 64 << 10
    /// Addresses that are given up in turn.
    private static let addressCountMax = 16
    /// How many times the limit a client's URL gets for all its servers together.
    private static let clientLimitFactor: Int64 = 4

    /// Connects. The limit is the time for each server of the URL, where that has no `connect_timeout`, and then for all
    /// questions together. A URL that a client names gets four times the limit for all its servers together, whatever
    /// their number and its `connect_timeout`.
    /// - Throws: `connectFailed`; its texts may hold secrets.
    init(_ place: PostgreSQLLocation, password: String?, _ settings: RemoteSettings) throws(DriverError) {
        self.place = place
        limitMilliseconds = settings.connectMillisecondsMax
        lastDeadline =
            settings.isOfClient
            ? .now.advanced(byMilliseconds: Self.clientLimitFactor * settings.connectMillisecondsMax) : nil
        let text = settings.isOfClient ? try place.clientText() : place.url
        var hosts: PostgreSQLHosts?
        while true {
            handle = Self.begin(text, password, hosts)
            guard let handle, libpq.PQstatus(handle) != CONNECTION_BAD else { throw failed() }
            cpostgresql_ignore_notices(handle)
            let options = PostgreSQLLocation.takeValues(libpq.PQconninfo(handle))
            if try negotiate(handle, options) { break }
            // The next one may be well.
            noteSilence(handle)
            guard !isTooLate, let others = PostgreSQLHosts(options).without(handle) else { throw failed("") }
            hosts = others
            libpq.PQfinish(handle)
            self.handle = nil
        }
        guard libpq.PQsetnonblocking(handle, 1) == 0 else { throw failed() }
        deadline = .now.advanced(byMilliseconds: limitMilliseconds)
        readByteCount = 0
    }

    deinit { if let handle { libpq.PQfinish(handle) } }

    /// Gives the connection away, in pipeline mode.
    func release() throws(DriverError) -> OpaquePointer {
        guard let handle, libpq.PQenterPipelineMode(handle) == 1 else { throw failed() }
        self.handle = nil
        return handle
    }

    // MARK: Being let in

    private static func begin(
        _ text: String, _ password: String?, _ hosts: PostgreSQLHosts?
    ) -> OpaquePointer? {
        // The URL may change what comes before "dbname", and nothing that comes after it.
        var settings: [(StaticString, String)] = [
            ("fallback_application_name", "litebase"), ("dbname", text), ("client_encoding", "UTF8"),
        ]
        if let password { settings.append(("password", password)) }
        if let hosts { settings += hosts.settings }
        let values = settings.map { $0.1.utf8CString }
        var keys: [UnsafePointer<CChar>?] = settings.map {
            UnsafeRawPointer($0.0.utf8Start).assumingMemoryBound(to: CChar.self)
        }
        keys.append(nil)
        var pointers: [UnsafePointer<CChar>?] = []
        let handle = withPointers(values[...], &pointers) { libpq.PQconnectStartParams(keys, $0, 1) }
        // See PostgreSQLRefusal. A connection that is given away gets another one.
        if let handle { _ = libpq.PQsetErrorVerbosity(handle, PQERRORS_VERBOSE) }
        return handle
    }

    /// Calls `body` with the addresses of all texts, and a null behind them.
    private static func withPointers(
        _ texts: ArraySlice<ContiguousArray<CChar>>, _ pointers: inout [UnsafePointer<CChar>?],
        _ body: ([UnsafePointer<CChar>?]) -> OpaquePointer?
    ) -> OpaquePointer? {
        guard let first = texts.first else { return body(pointers + [nil]) }
        return first.withUnsafeBufferPointer {
            pointers.append($0.baseAddress)
            return withPointers(texts.dropFirst(), &pointers, body)
        }
    }

    /// - Returns: false when the server that was asked last has not answered in time.
    private func negotiate(_ handle: OpaquePointer, _ options: [String: String]) throws(DriverError) -> Bool {
        let seconds = options["connect_timeout"].flatMap { Int64($0) } ?? 0
        let limit = (1...3600).contains(seconds) ? seconds * 1000 : limitMilliseconds
        deadline = soonest(limit)
        readByteCount = 0
        var addressCount = 1
        var state = PGRES_POLLING_WRITING
        while true {
            switch state {
            case PGRES_POLLING_OK: return true
            case PGRES_POLLING_READING, PGRES_POLLING_WRITING: break
            default: throw failed()
            }
            let wanted: Readiness = state == PGRES_POLLING_READING ? .readable : .writable
            if !Sockets.wait(for: libpq.PQsocket(handle), wanted, until: deadline) {
                // libpq goes on with the next address where it cannot connect at all, and only there.
                guard libpq.PQstatus(handle) == CONNECTION_STARTED, addressCount < Self.addressCountMax, !isTooLate
                else {
                    return false
                }
                addressCount += 1
                noteSilence(handle)
                Sockets.shutdownBoth(ofNumber: libpq.PQsocket(handle))
                deadline = soonest(limit)
            }
            var count = 0
            var isLateProof = false
            let left = deadline.nanoseconds(since: .now) / 1_000_000
            state = cpostgresql_connect_poll(handle, Self.lookByteCountMax, Int(left), &count, &isLateProof)
            if isLateProof { throw failed(Self.tooManyRounds) }
            try note(count)
        }
    }

    private func soonest(_ limitMilliseconds: Int64) -> MonotonicInstant {
        let own = MonotonicInstant.now.advanced(byMilliseconds: limitMilliseconds)
        return lastDeadline.map { min($0, own) } ?? own
    }

    private var isTooLate: Bool { lastDeadline.map { $0 <= .now } ?? false }

    private static let tooManyRounds =
        "The server asks for more rounds of SCRAM than can be done in the time for connecting (connect_ms_max)."

    // MARK: Questions

    /// Asks a question; `take` gets the rows, one in each result.
    /// - Returns: whether the server has answered it, and not with an error.
    func ask(_ sql: UnsafePointer<CChar>, _ take: (OpaquePointer) -> Void) throws(DriverError) -> Bool {
        guard let handle, libpq.PQsendQueryParams(handle, sql, 0, nil, nil, nil, nil, 0) == 1 else { throw failed() }
        _ = libpq.PQsetSingleRowMode(handle)
        return try receive(handle, take) == .done
    }

    /// Has the server execute statements that have no rows, in one transaction.
    /// - Returns: the server's error.
    func execute(_ sql: String) throws(DriverError) -> DriverError? {
        deadline = .now.advanced(byMilliseconds: limitMilliseconds)
        readByteCount = 0
        guard let handle, libpq.PQsendQuery(handle, sql) == 1 else { throw failed() }
        var refusal: DriverError?
        _ = try receive(
            handle,
            refuse: { result in
                var text = sql
                refusal = text.withUTF8 { PostgreSQLErrors.error(result, sql: UnsafeRawBufferPointer($0)) }
            }, { _ in })
        return refusal
    }

    private enum Answer { case none, refused, done }

    private func receive(
        _ handle: OpaquePointer, refuse: (OpaquePointer) -> Void = { _ in }, _ take: (OpaquePointer) -> Void
    ) throws(DriverError) -> Answer {
        while true {
            let state = libpq.PQflush(handle)
            guard state >= 0 else { throw failed() }
            if state == 0 { break }
            try readMore(handle, [.readable, .writable])
        }
        var answer = Answer.none
        while true {
            while libpq.PQisBusy(handle) != 0 { try readMore(handle, .readable) }
            guard let result = libpq.PQgetResult(handle) else { return answer }
            defer { libpq.PQclear(result) }
            switch libpq.PQresultStatus(result) {
            case PGRES_SINGLE_TUPLE: take(result)
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK: answer = .done
            case PGRES_FATAL_ERROR where libpq.PQstatus(handle) == CONNECTION_OK:
                refuse(result)
                answer = .refused
            // COPY, of which there would be no end.
            default: throw failed()
            }
        }
    }

    func ask(_ sql: StaticString, _ take: (OpaquePointer) -> Void = { _ in }) throws(DriverError) -> Bool {
        try ask(UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self), take)
    }

    private func readMore(_ handle: OpaquePointer, _ wanted: Readiness) throws(DriverError) {
        guard Sockets.wait(for: libpq.PQsocket(handle), wanted, until: deadline) else {
            noteSilence(handle)
            throw failed("")
        }
        var count = 0
        guard cpostgresql_consume_input(handle, Self.lookByteCountMax, &count) == 1 else { throw failed() }
        try note(count)
    }

    private func note(_ byteCount: Int) throws(DriverError) {
        readByteCount += byteCount
        guard readByteCount <= Self.readByteCountMax else {
            throw failed("It says more than a server should before it is asked.")
        }
    }

    // MARK: What the server has said of itself

    /// A parameter that the server reports; no more of it than anybody would read.
    func parameter(_ name: StaticString) -> String? {
        guard let handle else { return nil }
        let name = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        return libpq.PQparameterStatus(handle, name).map { PostgreSQLText.clipped($0, byteCountMax: 128) }
    }

    var processNumber: Int32 { handle.map { libpq.PQbackendPID($0) } ?? 0 }

    // MARK: Errors

    /// The connection is of no use any more.
    func failed() -> DriverError {
        failed(handle.flatMap { libpq.PQerrorMessage($0) }.map { PostgreSQLText.clipped($0) } ?? "out of memory")
    }

    /// In the words of libpq, which says nothing of it here.
    private func noteSilence(_ handle: OpaquePointer) {
        func text(_ value: UnsafeMutablePointer<CChar>?) -> String { value.map { String(cString: $0) } ?? "" }
        let (host, address) = (text(libpq.PQhost(handle)), text(libpq.PQhostaddr(handle)))
        let place = address.isEmpty || address == host ? "\"\(host)\"" : "\"\(host)\" (\(address))"
        silent.append("connection to server at \(place), port \(text(libpq.PQport(handle))) failed: timeout expired")
    }

    func failed(_ reason: String) -> DriverError {
        let refusal = PostgreSQLRefusal(reason)
        return refusal.error(
            detail: (silent + (refusal.detail.isEmpty ? [] : [refusal.detail])).joined(separator: "; "))
    }
}

/// Servers that a URL names, or whatever else libpq takes them from.
struct PostgreSQLHosts {
    private var names: [String]
    private var addresses: [String]
    private var ports: [String]

    /// - Parameter options: as a connection has them.
    init(_ options: [String: String]) {
        func list(_ key: String) -> [String] {
            options[key]?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) ?? []
        }
        names = list("host")
        addresses = list("hostaddr")
        ports = list("port")
    }

    /// At least one, which may be libpq's default.
    var count: Int { max(1, names.count, addresses.count) }

    var settings: [(StaticString, String)] {
        [("host", names), ("hostaddr", addresses), ("port", ports)].filter { !$0.1.isEmpty }.map {
            ($0.0, $0.1.joined(separator: ","))
        }
    }

    /// The others than the one with which the connection was busy last; `nil` when there are none.
    func without(_ handle: OpaquePointer) -> PostgreSQLHosts? {
        guard let host = libpq.PQhost(handle), let address = libpq.PQhostaddr(handle), let port = libpq.PQport(handle)
        else {
            return nil
        }
        return without(String(cString: host), String(cString: address), String(cString: port))
    }

    // `address` is the one that was connected to, as libpq writes it.
    func without(_ host: String, _ address: String, _ port: String) -> PostgreSQLHosts? {
        func item(_ list: [String], _ index: Int) -> String { index < list.count ? list[index] : "" }
        let kept = (0..<count).filter { index in
            let name = item(names, index)
            let own = ports.count == 1 ? ports[0] : item(ports, index)
            // One name, which the certificate has, may stand for several addresses.
            let isElsewhere = addresses.contains(address) && item(addresses, index) != address
            return (name.isEmpty ? item(addresses, index) : name) != host || (!own.isEmpty && own != port)
                || isElsewhere
        }
        guard !kept.isEmpty, kept.count < count else { return nil }
        var others = self
        if !names.isEmpty { others.names = kept.map { item(names, $0) } }
        if !addresses.isEmpty { others.addresses = kept.map { item(addresses, $0) } }
        // One port is for all.
        if ports.count > 1 { others.ports = kept.map { item(ports, $0) } }
        return others
    }
}

/// Texts of libpq's and the server's.
enum PostgreSQLText {
    /// The most of one text that is told to anybody.
    static let byteCountMax = 64 << 10
    private static let mark = "…"

    /// The text; what is longer than anybody would read is cut.
    static func clipped(_ text: UnsafePointer<CChar>, byteCountMax: Int = byteCountMax) -> String {
        var count = 0
        while count <= byteCountMax, text[count] != 0 { count += 1 }
        let bytes = UnsafeRawBufferPointer(start: text, count: min(count, byteCountMax))
        return String(decoding: bytes, as: UTF8.self) + (count > byteCountMax ? mark : "")
    }
}
