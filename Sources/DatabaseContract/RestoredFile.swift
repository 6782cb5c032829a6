// A database's file on its way into the place of its content.

/// The engine's own copy of a file that is to become the content of a database: first `append` gets its bytes, then `check`
/// looks at all of it, then a run writes it (`RunKind.restore`). The copy is gone with its last reference, and with the
/// process.
///
/// - Thread: one that may wait, one at a time; `stop` any.
public protocol RestoredFile: AnyObject, Sendable {
    /// Takes the next bytes.
    /// - Throws: that it cannot become a database, or that there is no room for it.
    func append(_ bytes: UnsafeRawBufferPointer) throws(DriverError)
    /// Checks whether it is a sound database that can take the place of the one for which it was made.
    /// - Throws: what is wrong with it, with `badRequest`.
    func check() throws(DriverError)
    /// Ends `check` soon; what came cannot be used afterwards.
    func stop()
}

extension DriverError {
    /// A restore of a database that is no file.
    package static let noFileToRestore = DriverError(
        .databaseError, "The database has no file of the daemon's that could be restored.",
        hint: "Use the server's own tool (pg_restore, mariadb), or import rows into its tables.", sqlState: "0A000")
}
