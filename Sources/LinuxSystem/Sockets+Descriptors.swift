// Descriptors that a client sends over a Unix socket (SCM_RIGHTS in unix(7)). The daemon wants none.
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

    /// As `SystemCalls.receive`, for a socket that may have descriptors.
    public static func receiveWithoutDescriptors(
        _ socket: borrowing OwnedDescriptor, into buffer: UnsafeMutableRawBufferPointer
    ) -> IOOutcome {
        let number = socket.number
        return withUnsafeTemporaryAllocation(of: Int32.self, capacity: Int(CLINUX_DESCRIPTOR_COUNT_MAX)) {
            descriptors in
            var descriptorCount: Int32 = 0
            do throws(Errno) {
                let count = try SystemCalls.call(.receive) {
                    clinux_receive_with_descriptors(
                        number, buffer.baseAddress, buffer.count, descriptors.baseAddress, &descriptorCount)
                }
                if descriptorCount > 0 { ForeignDescriptors.close(descriptors[..<Int(descriptorCount)]) }
                return count == 0 ? .endOfStream : .bytes(count)
            } catch {
                return error == .wouldBlock ? .wouldBlock : .failed(error)
            }
        }
    }

    /// Discards what a non-blocking socket has received: closing a Unix socket with unread bytes would report a reset
    /// to its peer instead of the end (unix_release_sock in the kernel).
    public static func discardInput(_ socket: borrowing OwnedDescriptor) {
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 16) { buffer in
            for _ in 0..<discardCountMax {
                guard case .bytes = receiveWithoutDescriptors(socket, into: buffer) else { return }
            }
        }
    }

    /// Ends the peer's sending and discards what it has sent, so that closing the socket closes nothing else.
    public static func endInput(_ socket: borrowing OwnedDescriptor) {
        _ = shutdown(socket.number, Int32(SHUT_RD))
        discardInput(socket)
    }

    /// A message with descriptors is received by itself, and a socket holds some 300 of the smallest ones (wmem_default).
    private static let discardCountMax = 4_096
}

/// Closes descriptors that a client has made, which may take as long as the client likes.
private enum ForeignDescriptors {
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

    static func close(_ numbers: Slice<UnsafeMutableBufferPointer<Int32>>) {
        for number in numbers { clinux_do_not_linger(number) }
        guard hasThread else {
            for number in numbers { _ = Glibc.close(number) }
            return
        }
        waiting.withLock { $0.append(contentsOf: numbers) }
        for _ in numbers { arrivals.post() }
    }
}
