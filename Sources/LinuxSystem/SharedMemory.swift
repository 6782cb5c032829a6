// Memory that outlives a process: a mapped file without a name, whose descriptor somebody else may keep.

internal import CLinux

/// A mapped file in memory, of a fixed size.
///
/// Another process that gets the descriptor sees the same bytes, as they were at the last instruction of a process that
/// died.
///
/// - Thread: any; the content needs an owner or atomics.
/// - Source: memfd_create(2), mmap(2), F_ADD_SEALS in fcntl(2).
public final class SharedMemory: @unchecked Sendable {
    private var descriptor: OwnedDescriptor?
    /// The mapped bytes; valid as long as this object.
    public let bytes: UnsafeMutableRawBufferPointer

    /// The descriptor, to be passed on; it stays ours. Negative when it was closed.
    public var descriptorNumber: Int32 {
        switch descriptor {
        case .some(let descriptor): descriptor.number
        case .none: -1
        }
    }

    /// Makes zeroed memory; `name` is what `/proc/PID/maps` shows.
    public convenience init(name: String, byteCount: Int) throws(Errno) {
        let file = OwnedDescriptor(
            Int32(try SystemCalls.call(.memoryFile) { Int(clinux_memory_file(name, byteCount)) }))
        try self.init(mapping: file)
    }

    /// Maps memory that another process has made.
    /// - Throws: `.invalidArgument` if it was not made by `init(name:byteCount:)`, since it could shrink while it is
    ///   used.
    public init(mapping file: consuming OwnedDescriptor) throws(Errno) {
        let number = file.number
        let byteCount = try SystemCalls.call(.memoryFile) { Int(clinux_memory_file_size(number)) }
        guard byteCount > 0 else { throw .invalidArgument }
        guard let base = clinux_map_shared(number, byteCount) else { throw .current }
        bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
        descriptor = consume file
    }

    /// Closes the descriptor: whoever was to get it has it. The bytes stay mapped.
    ///
    /// - Thread: the owner's, while nobody else uses it.
    public func closeDescriptor() { descriptor = nil }

    /// Frees the pages, also for others who map the memory: it is all zeros then. Otherwise they stay, and stay charged to the
    /// control group of whoever has touched them first, for as long as somebody has the file.
    /// - Parameter offset: pages from there on.
    public func discard(from offset: Int) {
        if let base = bytes.baseAddress { clinux_discard_shared(base + offset, bytes.count - offset) }
    }

    deinit {
        if let base = bytes.baseAddress { clinux_unmap(base, bytes.count) }
    }
}

/// A descriptor with the name under which it was kept, until its owner takes it. A class, since arrays copy.
public final class NamedDescriptor {
    public let name: String
    private var descriptor: OwnedDescriptor?

    public init(_ descriptor: consuming OwnedDescriptor, name: String) {
        self.descriptor = consume descriptor
        self.name = name
    }

    /// The descriptor, once; `nil` afterwards.
    public func take() -> OwnedDescriptor? { descriptor.take() }
}
