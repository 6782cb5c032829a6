// What an engine behind a socket has to bring; pools, sessions, cancelling and waiting are the same for all of them.

internal import LinuxSystem

/// Limits of the connections to one database, and what they need to be let in.
public struct RemoteSettings: Sendable, Equatable {
    /// Connections to the database at a time, sessions included.
    public var connectionCountMax: Int
    /// Time that a request waits for a connection, in milliseconds.
    public var waitMillisecondsMax: Int64
    /// Time after which a connection that nobody uses is closed, in milliseconds.
    public var idleMillisecondsMax: Int64
    /// Age at which a connection is replaced, in milliseconds; 0 means no limit.
    public var lifetimeMillisecondsMax: Int64
    /// Time that connecting to one server may take, in milliseconds.
    public var connectMillisecondsMax: Int64
    /// Those who may only read may run scripts of Redis.
    public var mayReadersRunScripts = false
    /// A client has named the URL: connections take nothing of the daemon's, such as passwords, keys and settings in its
    /// files and its environment.
    public var isOfClient = false
    /// Where the password is, if it is not in the URL.
    public var passwordFile: PasswordFile?

    public init(
        connectionCountMax: Int, waitMillisecondsMax: Int64, idleMillisecondsMax: Int64, lifetimeMillisecondsMax: Int64,
        connectMillisecondsMax: Int64
    ) {
        self.connectionCountMax = connectionCountMax
        self.waitMillisecondsMax = waitMillisecondsMax
        self.idleMillisecondsMax = idleMillisecondsMax
        self.lifetimeMillisecondsMax = lifetimeMillisecondsMax
        self.connectMillisecondsMax = connectMillisecondsMax
    }
}

/// How a statement is to be run.
struct RunMode {
    /// The engine must refuse to write.
    var isReadOnly: Bool
    /// The connection belongs to a session: its state may be changed.
    var isSession: Bool
}

/// An engine's way to open connections.
///
/// - Thread: any.
protocol RemoteDriver: Sendable {
    var engine: Engine { get }
    var location: DatabaseLocation { get }
    /// Where it is, without secrets.
    var label: String { get }
    /// What the URL holds and nobody may be shown.
    var secrets: [String] { get }
    /// Servers that are tried in turn until one lets the daemon in; each has the time for connecting.
    var serverCount: Int { get }
    var settings: RemoteSettings { get }
    /// What can be said about a run before a connection is taken for it.
    func check(_ run: StatementRun, _ mode: RunMode) throws(DriverError)
    /// Connects, and makes everything ready for the first statement.
    ///
    /// `password` is that of the settings, which the URL does not hold. What the engine's library says about a failure
    /// may be put into the error as it is: secrets are taken out of it by `connect`.
    /// - Thread: one that may block.
    func open(password: String?) throws(DriverError) -> HandedOver<ServerConnection>
}

extension RemoteDriver {
    /// Connects with the password that is in its file now.
    /// - Throws: errors without the password and the secrets of the URL, whatever the engine's library says.
    /// - Thread: one that may block.
    func connect() throws(DriverError) -> HandedOver<ServerConnection> {
        let password = try settings.passwordFile?.read()
        do throws(DriverError) {
            return try open(password: password)
        } catch {
            throw error.hiding(secrets + [password].compactMap(\.self))
        }
    }
}

/// A value on its way from one thread to another, touched by one at a time.
struct HandedOver<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
