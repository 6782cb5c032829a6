// The identity of a database file, which lasts when other files come and go at its path.

public import LinuxSystem

/// A database file as it was found at a path.
public struct DatabaseFile: Sendable, Equatable {
    public let identity: FileIdentity
    /// In nanoseconds; 0 where the file system does not say (statx(2)).
    private let birth: Int64

    /// - Parameters:
    ///   - identity: which file it is now.
    ///   - birth: when it was made, in nanoseconds; 0 when no more is known.
    public init(_ identity: FileIdentity, birth: Int64 = 0) {
        self.identity = identity
        self.birth = birth
    }

    /// Whether both may be the same file: the inode number of a deleted file can be reused by one that was created
    /// later.
    public func mayBe(_ other: DatabaseFile?) -> Bool {
        guard let other, other.identity == identity else { return false }
        return birth == 0 || other.birth == 0 || birth == other.birth
    }
}
