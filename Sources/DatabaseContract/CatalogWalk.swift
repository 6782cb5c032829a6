// How an engine without a catalog of its own finds out what is in a database: step by step.

public import Catalog
public import LinuxSystem

/// Statements of which each depends on the replies to those before it.
///
/// It ends by itself, whatever the database holds and says: the number of its steps, their time and its memory are bounded.
/// - Thread: one at a time.
public protocol CatalogWalk: AnyObject, Sendable {
    /// The next statement; `nil` when there is none.
    func next(at now: MonotonicInstant) -> String?
    /// Where the rows of the present statement go.
    var sink: RowSink { get }
    /// The present statement was refused.
    /// - Returns: whether the walk goes on without it.
    func goesOn(without error: DriverError) -> Bool
    /// Bytes that it holds.
    var byteCount: Int { get }
    /// Tells everything that was found.
    func finish(into builder: CatalogBuilder) throws(CatalogError)
}
