// What is sent over the socket beside a lane (docs/protocol.md, "Fast lane").

/// A byte on the socket of a connection that has a lane, in both directions.
public enum LaneSignal: UInt8, Sendable {
    /// It brings a descriptor.
    case descriptor
    /// The sender has read or written while the receiver slept.
    case ring
    /// No more signals come: messages follow.
    case leave
    /// No more requests come than those in the ring; the sender still rings.
    case end

    /// Lends it as bytes.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: rawValue) { body($0) }
    }
}
