// Where a database on a server is, whatever its engine.

package import DatabaseContract

/// A parsed URL of a database on a server.
///
/// It may hold a password; `label` does not.
package protocol RemoteLocation: DatabaseLocation {
    /// The driver that opens connections to it.
    func makeDriver(_ settings: RemoteSettings) -> any RemoteDriver
}

extension RemoteLocation {
    package var filePath: String? { nil }
    package var file: DatabaseFile? { nil }
    package var isMemory: Bool { false }
    package var isReadOnly: Bool { false }
    package func makeDatabase(_ plan: DatabasePlan) -> any Database { RemoteDatabase(self, plan) }
}
