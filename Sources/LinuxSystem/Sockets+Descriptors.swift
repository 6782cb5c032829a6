// Descriptors that a client sends over a Unix socket (SCM_RIGHTS in unix(7)). The daemon wants none, but from a client that
// has asked to send some.
//
// Discarding the content of a socket, by recv(2) or close(2), closes the descriptors in it, and closing the last
// descriptor of a TCP socket can wait until its data is sent, for as long as its creator likes (SO_LINGER in
// socket(7)). So the kernel has to refuse them; it can since Linux 6.16, for a socket that requests it. On older
// kernels, and for those that arrived before, they are received and closed by a thread that may wait.

internal import CLinux
internal import Glibc
internal import Synchronization

extension Sockets {
    /// Refuses descriptors from every client that connects to a listening Unix socket from now on.
    public static func refuseDescriptors(_ listener: borrowing OwnedDescriptor) {
        clinux_refuse_descriptors(listener.number)
    }

    /// Whether descriptors may arrive, or have arrived, over a socket: it was connected before they were refused, or
    /// the kernel cannot refuse them.
    public static func mayBringDescriptors(_ number: Int32) -> Bool {
        family(of: number) == .unix && clinux_may_bring_descriptors(number)
    }

    /// Sends on a Unix socket, a descriptor together with the first of the bytes.
    public static func send(
        _ socket: borrowing OwnedDescriptor, _ bytes: UnsafeRawBufferPointer, descriptor: Int32
    ) -> IOOutcome {
        let number = socket.number
        do throws(Errno) {
            return .bytes(
                try SystemCalls.call(.send) {
                    clinux_send_with_descriptor(number, bytes.baseAddress, bytes.count, descriptor)
                })
        } catch {
            return error == .wouldBlock ? .wouldBlock : .failed(error)
        }
    }

    /// Lets the client of a connected socket send descriptors, or not any more.
    public static func setDescriptors(_ socket: borrowing OwnedDescriptor, mayPass: Bool) {
        clinux_set_pass_descriptors(socket.number, mayPass)
    }

    /// As `SystemCalls.receive`, for a socket that may have descriptors.
    public static func receiveWithoutDescriptors(
        _ socket: borrowing OwnedDescriptor, into buffer: UnsafeMutableRawBufferPointer
    ) -> IOOutcome {
        receive(socket, into: buffer) { descriptors, _ in
            if !descriptors.isEmpty { ForeignDescriptors.close(descriptors) }
        }
    }

    /// The same for a socket whose descriptors are wanted.
    ///
    /// A read ends with the bytes with which descriptors came (unix_stream_read_generic in the kernel): they belong to those,
    /// or to bytes before them that the same read has brought.
    /// - Parameters:
    ///   - socket: the socket.
    ///   - buffer: for the bytes.
    ///   - take: gets the numbers, which it has to close, and whether the kernel has closed others, because this process
    ///     may not open so many files. Not called when there are none.
    /// - Returns: as `SystemCalls.receive` does.
    public static func receive(
        _ socket: borrowing OwnedDescriptor, into buffer: UnsafeMutableRawBufferPointer,
        descriptors take: (Slice<UnsafeMutableBufferPointer<Int32>>, _ areSomeLost: Bool) -> Void
    ) -> IOOutcome {
        let number = socket.number
        return withUnsafeTemporaryAllocation(of: Int32.self, capacity: Int(CLINUX_DESCRIPTOR_COUNT_MAX)) {
            descriptors in
            var descriptorCount: Int32 = 0
            var areSomeLost = false
            do throws(Errno) {
                let count = try SystemCalls.call(.receive) {
                    clinux_receive_with_descriptors(
                        number, buffer.baseAddress, buffer.count, descriptors.baseAddress, &descriptorCount,
                        &areSomeLost)
                }
                if descriptorCount > 0 || areSomeLost { take(descriptors[..<Int(descriptorCount)], areSomeLost) }
                return count == 0 ? .endOfStream : .bytes(count)
            } catch {
                return error == .wouldBlock ? .wouldBlock : .failed(error)
            }
        }
    }

    /// Discards what a non-blocking socket has received: closing a Unix socket with unread bytes would report a reset
    /// to its peer instead of the end (unix_release_sock in the kernel).
    ///
    /// `close` takes over the descriptors in it.
    public static func discardInput(
        _ socket: borrowing OwnedDescriptor,
        _ close: (Slice<UnsafeMutableBufferPointer<Int32>>) -> Void = ForeignDescriptors.close
    ) {
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { buffer in
            for _ in 0..<discardCountMax {
                let outcome = receive(socket, into: buffer) { descriptors, _ in
                    if !descriptors.isEmpty { close(descriptors) }
                }
                guard case .bytes = outcome else { return }
            }
        }
    }

    /// Ends the peer's sending and discards what it has sent, so that closing the socket closes nothing else.
    ///
    /// `close` takes over the descriptors in it.
    public static func endInput(
        _ socket: borrowing OwnedDescriptor,
        _ close: (Slice<UnsafeMutableBufferPointer<Int32>>) -> Void = ForeignDescriptors.close
    ) {
        _ = shutdown(socket.number, Int32(SHUT_RD))
        discardInput(socket, close)
    }

    /// A message with descriptors is received by itself, and a socket holds some 300 of the smallest ones (wmem_default).
    private static let discardCountMax = 4_096
}

/// Closes descriptors that a client has made, which may take as long as the client likes.
public enum ForeignDescriptors {
    private static let waiting = Mutex<[Int32]>([])
    private static let arrivals = Semaphore()
    private static let hasThread: Bool = {
        do throws(Errno) {
            try Thread.start(name: "litebase-closer", stackByteCount: 128 << 10) {
                while true {
                    guard arrivals.wait(milliseconds: .max) else { continue }
                    if let number = waiting.withLock({ $0.popLast() }) { _ = Glibc.close(number) }
                }
            }
            return true
        } catch {
            return false
        }
    }()

    /// Closes them on a thread of its own.
    public static func close(_ numbers: Slice<UnsafeMutableBufferPointer<Int32>>) {
        for number in numbers { clinux_do_not_linger(number) }
        guard hasThread else {
            for number in numbers { _ = Glibc.close(number) }
            return
        }
        waiting.withLock { $0.append(contentsOf: numbers) }
        for _ in numbers { arrivals.post() }
    }
}
