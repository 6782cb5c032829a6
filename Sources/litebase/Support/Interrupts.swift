// Ctrl-C, for commands that survive it.

internal import Glibc
internal import LinuxSystem
internal import Synchronization

private let wasRaised = Atomic<Bool>(false)
private let lastRaised = Atomic<Int32>(SIGINT)
private let writerNumber = Atomic<Int32>(-1)

/// Turns SIGINT into a byte on a pipe, which waiting code can poll, and a flag, which busy code can ask.
enum Interrupts {
    private struct Pipe {
        let reader: Int32
    }

    /// The pipe's reading end; made once, kept until the process ends.
    private static let pipeReader: Int32? = {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { pipe($0) }
        }
        guard result == 0 else { return nil }
        for number in [ends.0, ends.1] {
            try? Sockets.prepareInherited(number)
        }
        writerNumber.store(ends.1, ordering: .relaxed)
        return ends.0
    }()

    /// Installs the handler.
    /// - Parameters:
    ///   - signals: what counts as Ctrl-C.
    ///   - isOnce: the second one ends the process, as if there were no handler.
    /// - Returns: a descriptor that becomes readable on Ctrl-C; `nil` when the system has none left.
    static func install(_ signals: [Int32] = [SIGINT], isOnce: Bool = false) -> Int32? {
        guard let reader = pipeReader else { return nil }
        var action = sigaction()
        // Only what signal-safety(7) allows: an atomic store and write(2).
        action.__sigaction_handler.sa_handler = { number in
            lastRaised.store(number, ordering: .relaxed)
            wasRaised.store(true, ordering: .relaxed)
            let savedErrno = errno
            var byte: UInt8 = 1
            _ = write(writerNumber.load(ordering: .relaxed), &byte, 1)
            errno = savedErrno
        }
        if isOnce { action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) }
        for number in signals { sigaction(number, &action, nil) }
        return reader
    }

    /// Has SIGTERM and SIGHUP count as Ctrl-C once, for what must not leave a half-written file; the second one ends the process. A
    /// SIGHUP that is ignored stays so: nohup(1).
    static func catchTermination() {
        var former = sigaction()
        sigaction(SIGHUP, nil, &former)
        let handler: (@convention(c) (Int32) -> Void)? = former.__sigaction_handler.sa_handler
        let isIgnored = unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
        _ = install(isIgnored ? [SIGTERM] : [SIGTERM, SIGHUP], isOnce: true)
    }

    /// The signal that was raised last; SIGINT if none was.
    static var signalNumber: Int32 { lastRaised.load(ordering: .relaxed) }

    /// Whether Ctrl-C was typed since `clear`.
    static var isRaised: Bool { wasRaised.load(ordering: .relaxed) }

    static func clear() {
        wasRaised.store(false, ordering: .relaxed)
        guard let reader = pipeReader else { return }
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while read(reader, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }

    /// Makes the descriptor readable again, for whoever waits next, if Ctrl-C was typed since `clear`.
    static func tellAgain() {
        guard isRaised else { return }
        var byte: UInt8 = 1
        _ = write(writerNumber.load(ordering: .relaxed), &byte, 1)
    }

    /// Waits; Ctrl-C ends it early.
    static func sleep(milliseconds: Int32) {
        guard let reader = pipeReader else { return }
        var entry = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, milliseconds)
    }
}
