// How connections to MySQL and MariaDB are opened, and what is refused before one is taken.

internal import CMariaDB
package import DatabaseContract
internal import LinuxSystem
package import RemoteDatabases
internal import SQLText

/// The MySQL engine.
///
/// - Thread: any.
struct MySQLDriver: RemoteDriver {
    let place: MySQLLocation
    let settings: RemoteSettings
    private let canceller: MySQLCanceller
    private let connector: MySQLConnector
    private let told: MySQLChanges

    init(place: MySQLLocation, settings: RemoteSettings) {
        self.place = place
        self.settings = settings
        connector = MySQLConnector(place: place, settings: settings)
        canceller = MySQLCanceller(connector)
        told = MySQLChanges(connector)
    }

    var engine: Engine { .mysql }
    var location: any DatabaseLocation { place }
    var label: String { place.label }
    var serverCount: Int { max(1, place.hosts.count) }
    var secrets: [String] { place.secrets }
    /// Of several servers, one that is not the only one in use may be behind the one that was written to.
    var changes: (any RemoteChanges)? { place.hosts.count <= 1 || place.target.isExclusive ? told : nil }

    func changes(of writer: any RemoteDriver) -> (any RemoteChanges)? {
        guard let writer = writer as? MySQLDriver, writer.changes != nil, writer.label == label,
            writer.place.target == place.target
        else { return nil }
        return MySQLReaderChanges(writer.told, connector)
    }

    func open(password: String?) throws(DriverError) -> HandedOver<ServerConnection> {
        try MySQLLibrary.load()
        let opened = try connector.open(password: password)
        let context = MySQLConnection.Context(
            hostIndex: opened.hostIndex, packetByteCountMax: opened.facts.packetByteCountMax,
            canceller: canceller, login: connector.login(as: opened.facts.user, password: password),
            roleStatement: opened.facts.roleStatement, choice: connector.choice,
            serverName: serverCount > 1 ? connector.label(opened.hostIndex) : nil,
            mustTakeWrites: place.target == .readWrite, changes: told)
        return HandedOver(MySQLConnection(opened.handle, context))
    }

    // MARK: Before anything is sent

    func check(_ run: StatementRun, _ mode: RunMode) throws(DriverError) {
        if case .batch = run.kind { return }
        try Self.check(run.sql, run.parameters, mode, isInAtomicBatch: false)
    }

    /// What cannot be sent, what would change a connection that others will use, and what a read-only transaction does not
    /// stop.
    static func check(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ mode: RunMode, isInAtomicBatch: Bool
    ) throws(DriverError) {
        var words = LeadingWords(sql, .mysql)
        if words.isAtEnd {
            throw DriverError(
                .badRequest, "The SQL text holds no statement.", remedy: .sendOneStatement, sqlState: "42601")
        }
        if parameters.contains(where: { $0.name != nil }) {
            throw DriverError(
                .badRequest, "MySQL has no named parameters.",
                hint: Hint.unnamedParameters("?"), sqlState: "07001")
        }
        for case .real(let value) in parameters.lazy.map(\.value) where !value.isFinite {
            throw DriverError(
                .badRequest, "A parameter is not a finite number, which MySQL cannot store.", hint: "Send null.",
                sqlState: "22003")
        }
        words = LeadingWords(sql, .mysql)
        let kind = MySQLStatementKind(&words, sql)
        if words.isCut { throw TextBound.tooFar }
        if kind.controlsTransaction, isInAtomicBatch {
            throw DriverError(
                .badRequest, "An atomic batch is a transaction itself and cannot hold transaction statements.",
                hint: "Leave them out, or set atomic to false in a session.", sqlState: "25001")
        }
        if kind == .definition, isInAtomicBatch, !mode.isReadOnly {
            throw DriverError(
                .badRequest,
                "MySQL commits before and after this statement, so that it cannot be part of an atomic batch.",
                hint: "Set atomic to false.", sqlState: "25001")
        }
        if kind.controlsTransaction || kind == .session, !mode.isSession { throw needsSession }
        if mode.isReadOnly { try checkReadOnly(sql, kind) }
    }

    /// A read-only transaction refuses every write, but not its own end, after which there is none. So what could end it, or
    /// hold statements that do, is not sent: it is enough to know the kinds that cannot.
    private static func checkReadOnly(_ sql: UnsafeRawBufferPointer, _ kind: MySQLStatementKind) throws(DriverError) {
        switch kind {
        case .select, .write, .transaction: return
        case .beginTransaction where !LeadingWords.mayContain(sql, ["WRITE"]): return
        case .session:
            var words = LeadingWords(sql, .mysql)
            let first = words.next()
            if !words.hasExecutableComment, first == "USE" || first == "SET" && !LeadingWords.mayContain(sql, reserved)
            {
                return
            }
        default: break
        }
        throw DriverError(
            .readOnly, "A read-only transaction does not stop everything that this statement may do.",
            hint: "With read-only access, use SELECT, SHOW, EXPLAIN and their like; or open the database for writing.",
            sqlState: "25006")
    }

    /// Words of SET that change the mode of transactions, or more than the connection.
    private static let reserved: [StaticString] = [
        "AUTOCOMMIT", "TX_READ_ONLY", "TRANSACTION", "COMPLETION_TYPE", "STATEMENT", "PASSWORD", "ROLE", "GLOBAL",
        "PERSIST",
    ]

    static let needsSession = DriverError(
        .needsSession, "The statement changes the state of a connection, and no session was named.",
        remedy: .openSessionOrBatch(of: "statements"), sqlState: "25001")
}

extension MySQLLocation {
    /// What opens connections to it.
    package func makeDriver(_ settings: RemoteSettings) -> any RemoteDriver {
        MySQLDriver(place: self, settings: settings)
    }
}
