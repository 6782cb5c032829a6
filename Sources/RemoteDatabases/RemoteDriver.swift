// What an engine with a server has to implement; pools, sessions, cancelling and waiting are the same for all of them.

package import DatabaseContract
internal import LinuxSystem

/// How to run a statement.
package struct RunMode {
    /// The engine must refuse to write.
    package var isReadOnly: Bool
    /// The connection belongs to a session: its state may be changed.
    package var isSession: Bool

    package init(isReadOnly: Bool, isSession: Bool) {
        self.isReadOnly = isReadOnly
        self.isSession = isSession
    }
}

/// Opens the connections of an engine.
///
/// - Thread: any.
package protocol RemoteDriver: Sendable {
    var engine: Engine { get }
    var location: any DatabaseLocation { get }
    /// Where it is, without secrets.
    var label: String { get }
    /// Parts of the URL that nobody may see.
    var secrets: [String] { get }
    /// Servers that are tried in turn until one accepts; each has the whole time limit for connecting.
    var serverCount: Int { get }
    var settings: RemoteSettings { get }
    /// What tells what its connections have committed; `nil` where that is not known, or may not be read yet.
    var changes: (any RemoteChanges)? { get }
    /// What tells those who read with this login what the connections of another one have committed; `nil` as above.
    func changes(of writer: any RemoteDriver) -> (any RemoteChanges)?
    /// Checks that are possible before a run has a connection; for a long run, when a worker has its connection.
    func check(_ run: StatementRun, _ mode: RunMode) throws(DriverError)
    /// Connects, and prepares everything for the first statement.
    ///
    /// `password` comes from the settings, not from the URL. Errors may contain the library's message as it is:
    /// `connect` removes secrets from it.
    /// - Thread: one that may block.
    func open(password: String?) throws(DriverError) -> HandedOver<ServerConnection>
}

/// Tells what was committed through a driver's connections, with the help of one beside the pool.
package protocol RemoteChanges: ChangeSource {
    /// Whether that connection is open.
    var isConnected: Bool { get }
}

extension RemoteDriver {
    package var changes: (any RemoteChanges)? { nil }
    package func changes(of writer: any RemoteDriver) -> (any RemoteChanges)? { nil }

    /// Connects with the present content of the password file.
    /// - Throws: errors without the password and the secrets of the URL, whatever the engine's library says.
    /// - Thread: one that may block.
    package func connect() throws(DriverError) -> HandedOver<ServerConnection> {
        let password = try settings.passwordFile?.read()
        do throws(DriverError) {
            return try open(password: password)
        } catch {
            throw error.hiding(secrets + [password].compactMap(\.self))
        }
    }
}

/// A value that moves from one thread to another, used by one at a time.
package struct HandedOver<Value>: @unchecked Sendable {
    package let value: Value

    package init(_ value: Value) { self.value = value }
}
