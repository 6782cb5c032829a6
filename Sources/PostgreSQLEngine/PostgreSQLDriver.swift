// How connections to PostgreSQL are opened, and what is refused before one is taken.

internal import CPostgreSQL
package import DatabaseContract
internal import LinuxSystem
package import RemoteDatabases
internal import SQLText

/// The PostgreSQL engine.
///
/// - Thread: any.
struct PostgreSQLDriver: RemoteDriver {
    let place: PostgreSQLLocation
    let settings: RemoteSettings
    let types = PostgreSQLTypes()

    var engine: Engine { .postgresql }
    var location: any DatabaseLocation { place }
    var label: String { place.label }
    var secrets: [String] { place.secrets }
    var serverCount: Int { place.serverCount }

    // MARK: Connecting

    func open(password: String?) throws(DriverError) -> HandedOver<ServerConnection> {
        try PostgreSQLLibrary.load()
        let handshake = try PostgreSQLHandshake(place, password: password, settings)
        let server = try PostgreSQLServerFacts(handshake)
        try types.load(handshake)
        let handle = try handshake.release()
        return HandedOver(PostgreSQLConnection(handle, types, place, server))
    }

    // MARK: Before anything is sent

    func check(_ run: StatementRun, _ mode: RunMode) throws(DriverError) {
        switch run.kind {
        case .batch: return
        // The text is ours.
        case .load: return mode.isReadOnly ? try refuseToLoad() : ()
        case .copy:
            if mode.isReadOnly { try refuseToLoad() }
            // Of nothing else it is known how its answers are taken.
            guard mode.isSession, CopyStatement.takesInput(Array(run.sql)) else { throw .noCopy }
            return
        case .statement, .describe, .backup, .restore: break
        }
        if case .describe = run.kind {
            // The server describes even nothing.
            var words = LeadingWords(run.sql, .postgresql)
            if words.isAtEnd { throw Self.noStatement }
        }
        try Self.check(run.sql, run.parameters, mode, isInAtomicBatch: false)
    }

    private func refuseToLoad() throws(DriverError) {
        throw DriverError(
            .readOnly, "The session or database is read-only, and this is for writing.", sqlState: "25006")
    }

    /// What cannot be sent, and what would change a connection that others will use.
    static func check(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ mode: RunMode, isInAtomicBatch: Bool
    ) throws(DriverError) {
        if sql.holds(0) {
            throw DriverError(.badRequest, "The SQL text contains a NUL character.", sqlState: "42601")
        }
        if parameters.contains(where: { $0.name != nil }) {
            throw DriverError(
                .badRequest, "PostgreSQL has no named parameters.",
                hint: Hint.unnamedParameters("$1, $2, …"), sqlState: "07001")
        }
        for case .text(let text) in parameters.lazy.map(\.value) where text.holds(0) {
            throw DriverError(
                .badRequest, "A text parameter contains a NUL character, which PostgreSQL cannot store.",
                hint: "Send it as a blob.", sqlState: "22021")
        }
        var words = LeadingWords(sql, .postgresql)
        let kind = PostgreSQLStatementKind(&words)
        if words.isCut { throw TextBound.tooFar }
        try check(kind, mode, isInAtomicBatch: isInAtomicBatch)
    }

    private static func check(_ kind: PostgreSQLStatementKind, _ mode: RunMode, isInAtomicBatch: Bool)
        throws(DriverError)
    {
        if kind.controlsTransaction, isInAtomicBatch {
            throw DriverError(
                .badRequest, "An atomic batch is a transaction itself and cannot hold transaction statements.",
                hint: "Leave them out, or set atomic to false in a session.", sqlState: "25001")
        }
        if kind.controlsTransaction || kind == .session, !mode.isSession { throw needsSession }
        if kind == .preparedTransaction, mode.isReadOnly {
            throw DriverError(
                .readOnly, "A read-only session cannot finish prepared transactions.", sqlState: "25006")
        }
        if kind == .listen {
            throw DriverError(
                .databaseError, "LISTEN is not supported: no notification would reach the client.",
                remedy: .subscribeToChannels, sqlState: "0A000")
        }
        if kind == .copy {
            throw DriverError(
                .databaseError, "COPY is not supported as a query: its data has no place in the protocol.",
                hint:
                    "\"export\" writes rows into a file, and \"import\" reads them (litebase export, litebase import); "
                    + "'litebase query -' runs a script with COPY … FROM stdin.",
                sqlState: "0A000")
        }
    }

    static let noStatement = DriverError(
        .badRequest, "The SQL text holds no statement.", remedy: .sendOneStatement, sqlState: "42601")

    static let needsSession = DriverError(
        .needsSession, "The statement changes the state of a connection, and no session was named.",
        remedy: .openSessionOrBatch(of: "statements"), sqlState: "25001")
}

extension PostgreSQLLocation {
    /// What opens connections to it.
    package func makeDriver(_ settings: RemoteSettings) -> any RemoteDriver {
        PostgreSQLDriver(place: self, settings: settings)
    }
}
