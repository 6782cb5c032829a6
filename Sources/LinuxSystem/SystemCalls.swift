// All system calls go through here: EINTR is retried, errno is read directly after the call, and debug builds can make
// any call fail (FaultInjection.swift). Files.swift and Sockets.swift have wrappers with more meaning.

internal import CLinux
internal import Glibc

/// Names of these system calls, for fault injection.
public enum SystemCall: String, CaseIterable, Sendable {
    case accept, bind, connect, duplicate, epollControl, epollWait, eventfd, flock, fstat, listen, makeDirectory,
        memoryFile,
        inotify, open, read, receive, rename, send, setSocketOption, signalfd, startThread, unlink, write
}

/// The place through which system calls go.
public enum SystemCalls {
    /// Runs one call that returns −1 on failure.
    /// - Returns: what the call returned, 0 or more.
    /// - Throws: the errno of the call; `EINTR` is retried (signal(7)).
    @inline(__always)
    static func call(_ name: SystemCall, _ body: () -> Int) throws(Errno) -> Int {
        while true {
            #if DEBUG
                if let forced = FaultInjection.next(for: name) { throw forced }
            #endif
            let result = body()
            if result >= 0 { return result }
            let error = Errno.current
            if error != .interrupted { throw error }
        }
    }

    /// Reads from a non-blocking descriptor.
    @inline(__always)
    public static func read(_ descriptor: borrowing OwnedDescriptor, into buffer: UnsafeMutableRawBufferPointer)
        -> IOOutcome
    {
        let number = descriptor.number
        do throws(Errno) {
            let count = try call(.read) { Glibc.read(number, buffer.baseAddress, buffer.count) }
            return count == 0 ? .endOfStream : .bytes(count)
        } catch {
            return error == .wouldBlock ? .wouldBlock : .failed(error)
        }
    }

    /// Receives from a non-blocking socket: like `read`, but cheaper than through the file system (recv(2)).
    @inline(__always)
    public static func receive(_ socket: borrowing OwnedDescriptor, into buffer: UnsafeMutableRawBufferPointer)
        -> IOOutcome
    {
        let number = socket.number
        do throws(Errno) {
            let count = try call(.receive) { clinux_receive(number, buffer.baseAddress, buffer.count) }
            return count == 0 ? .endOfStream : .bytes(count)
        } catch {
            return error == .wouldBlock ? .wouldBlock : .failed(error)
        }
    }

    /// Sends on a stream socket without raising SIGPIPE (send(2), MSG_NOSIGNAL).
    @inline(__always)
    public static func send(_ descriptor: borrowing OwnedDescriptor, _ bytes: UnsafeRawBufferPointer) -> IOOutcome {
        let number = descriptor.number
        do throws(Errno) {
            let count = try call(.send) { clinux_send(number, bytes.baseAddress, bytes.count) }
            return .bytes(count)
        } catch {
            return error == .wouldBlock ? .wouldBlock : .failed(error)
        }
    }
}
