// Bytes that a connection had not processed or sent when its process left.

internal import ByteBuffers
internal import LinuxSystem

/// What was read but not handled, and what was written but not sent, as a file in memory.
///
/// - Layout: count of input bytes, count of output bytes (UInt64 each), input, output.
struct Leftover {
    private let memory: SharedMemory
    private static let headerByteCount = 16

    /// Copies the bytes.
    init(input: UnsafeRawBufferPointer, output: borrowing Output) throws(Errno) {
        memory = try SharedMemory(
            name: "litebase-leftover", byteCount: Self.headerByteCount + input.count + output.count)
        var bytes = memory.bytes
        bytes.storeBytes(of: UInt64(input.count), as: UInt64.self)
        bytes.storeBytes(of: UInt64(output.count), toByteOffset: 8, as: UInt64.self)
        bytes = UnsafeMutableRawBufferPointer(rebasing: bytes[Self.headerByteCount...])
        bytes.copyBytes(from: input)
        var offset = input.count
        output.forEach {
            UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyBytes(from: $0)
            offset += $0.count
        }
    }

    /// Reads the leftover of a former process; `nil` if it is invalid.
    init?(formerProcess file: consuming OwnedDescriptor) {
        guard let memory = try? SharedMemory(mapping: file), memory.bytes.count >= Self.headerByteCount else {
            return nil
        }
        self.memory = memory
        let room = UInt64(memory.bytes.count - Self.headerByteCount)
        let inputCount = memory.bytes.load(as: UInt64.self)
        guard inputCount <= room, memory.bytes.load(fromByteOffset: 8, as: UInt64.self) == room - inputCount else {
            return nil
        }
    }

    var descriptorNumber: Int32 { memory.descriptorNumber }

    private var inputEnd: Int { Self.headerByteCount + Int(memory.bytes.load(as: UInt64.self)) }
    /// Valid as long as the leftover.
    var input: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory.bytes[Self.headerByteCount..<inputEnd])
    }
    var output: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory.bytes[inputEnd...]) }
}
