// The bytes of a client's file on their way into a statement that takes them as they are.

public import ByteBuffers

/// What a run of `RunKind.copy` sends to its server, a piece at a time.
///
/// The run takes `bytes`. When they are sent, and are not the last, it is filled (`RunOutcome.filled`): its owner puts the next ones
/// here, and lets it go on by `resume`.
/// - Thread: that of the run; while it is filled, that of its owner.
public final class CopyInput: @unchecked Sendable {
    public var bytes = ByteBuffer()
    /// Nothing follows `bytes`.
    public var isLast = false

    public init() {}
}

extension DriverError {
    /// A statement of another kind, or another engine.
    public static let noCopy = DriverError(
        .badRequest, "\"sql\" of an import has to be COPY … FROM STDIN, of PostgreSQL.", sqlState: "0A000")
}
