// The ways of messages between a program and the daemon.

/// How messages get to the daemon.
///
/// A connection to a Unix socket may exchange them through memory that it shares with the daemon: a small request is answered in
/// a tenth of the time then, since nobody enters the kernel. The memory (some 320 KiB) counts as the user's.
public enum Transport: String, CaseIterable, Sendable {
    /// The socket, and shared memory once many requests follow each other closely.
    case automatic
    /// The socket.
    case socket
    /// Shared memory from the first request on, where the daemon grants it; otherwise the socket.
    case sharedMemory = "shared-memory"
}
