// Memory for messages, whose lengths others claim.

internal import Glibc

/// Memory that grows as it is filled.
struct ArrowStorage: ~Copyable {
    /// Also where there is no room, so that there is something to point at.
    private var start = Self.allocated(nil, Self.leastByteCount)
    private(set) var capacity = 0

    private static let leastByteCount = 16

    deinit { free(start) }

    var room: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: start, count: capacity) }
    var base: UnsafeRawPointer { UnsafeRawPointer(start) }

    /// Keeps what is there.
    mutating func grow(to byteCount: Int) {
        guard byteCount > capacity else { return }
        start = Self.allocated(start, byteCount)
        capacity = byteCount
    }

    mutating func release() {
        start = Self.allocated(start, Self.leastByteCount)
        capacity = 0
    }

    private static func allocated(_ start: UnsafeMutableRawPointer?, _ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let start = realloc(start, byteCount) else { preconditionFailure("there is no memory") }
        return start
    }
}
