// Datagrams to other programs' Unix sockets, with a descriptor where one goes along.

internal import CLinux

/// An unnamed Unix datagram socket that sends to named ones.
///
/// - Thread: any; each datagram is one system call.
/// - Source: unix(7), sendmsg(2).
public final class DatagramSocket: Sendable {
    private let descriptor: OwnedDescriptor

    /// Makes one.
    ///
    /// - Parameter patienceMilliseconds: how long a send waits for room in the receiver's queue; `nil` for ever.
    /// - Throws: `.tooManyFiles` at the limit.
    public init(patienceMilliseconds: Int64?) throws(Errno) {
        descriptor = OwnedDescriptor(
            Int32(try SystemCalls.call(.open) { Int(clinux_datagram_socket(patienceMilliseconds ?? -1)) }))
    }

    /// Sends one datagram.
    ///
    /// - Parameters:
    ///   - bytes: all of it.
    ///   - address: a path, or an abstract address behind `@`.
    ///   - descriptor: one that the receiver gets a duplicate of.
    ///   - waits: whether to wait for room in the receiver's queue, as long as the socket's patience lasts.
    /// - Throws: `.wouldBlock` when the queue stays full, `.messageTooLong`, whatever sendmsg(2) says.
    public func send(
        _ bytes: UnsafeRawBufferPointer, to address: String, passing descriptor: Int32? = nil, waits: Bool = true
    ) throws(Errno) {
        let number = self.descriptor.number
        var address = address
        _ = try SystemCalls.call(.send) {
            address.withUTF8 { address in
                address.withMemoryRebound(to: CChar.self) { address in
                    clinux_send_datagram(
                        number, address.baseAddress, address.count, bytes.baseAddress, bytes.count, descriptor ?? -1,
                        waits)
                }
            }
        }
    }
}

extension DatagramSocket {
    /// Sends one datagram with bytes of an array.
    public func send(
        _ bytes: [UInt8], to address: String, passing descriptor: Int32? = nil, waits: Bool = true
    ) throws(Errno) {
        try bytes.withUnsafeBufferPointer { bytes throws(Errno) in
            try send(UnsafeRawBufferPointer(bytes), to: address, passing: descriptor, waits: waits)
        }
    }
}

/// A pipe that nobody writes into: its reader learns when the last holder of the other end has let go of it.
///
/// - Source: pipe(2), POLLHUP in poll(2).
public struct HangUpPipe: ~Copyable {
    private let reader: OwnedDescriptor
    private var writer: OwnedDescriptor?

    public init() throws(Errno) {
        var ends: (Int32, Int32) = (-1, -1)
        _ = try SystemCalls.call(.open) {
            withUnsafeMutableBytes(of: &ends) { Int(clinux_pipe($0.baseAddress?.assumingMemoryBound(to: Int32.self))) }
        }
        reader = OwnedDescriptor(ends.0)
        writer = OwnedDescriptor(ends.1)
    }

    /// Hands the other end to `body`, which may send it to somebody, and lets go of it.
    public mutating func withOtherEnd(_ body: (Int32) -> Void) {
        guard let writer = writer.take() else { preconditionFailure("used twice") }
        body(writer.number)
    }

    /// Waits until nobody holds the other end.
    /// - Returns: false when that took too long.
    public func wait(milliseconds: Int32) -> Bool {
        let number = reader.number
        let deadline = MonotonicInstant.now.nanoseconds + Int64(milliseconds) * 1_000_000
        while true {
            let rest = max(0, (deadline - MonotonicInstant.now.nanoseconds + 999_999) / 1_000_000)
            let result = clinux_wait_for_hangup(number, Int32(rest))
            if result >= 0 || Errno.current != .interrupted { return result > 0 }
        }
    }
}
