// Files that others may write, watched without looking at them.

internal import CLinux

/// Hears of what happens to some files (inotify(7)): that they are written, truncated, moved or deleted, by whomever.
///
/// What exactly has happened is not told. After a call it is deaf for a short time, so that files that are written all the time
/// cost little; what happens meanwhile is told at its end.
/// - Thread: that of the loop it is registered with.
public final class FileWatch: EventSource {
    private let descriptor: OwnedDescriptor
    private let loop: EventLoop
    private let onEvent: () -> Void
    private var isEnded = false

    /// How long it is deaf after a call, in milliseconds.
    private static let deafMilliseconds: Int64 = 2

    /// Watches files until `end`.
    /// - Parameters:
    ///   - paths: the files must be there.
    ///   - loop: where it is used.
    ///   - onEvent: called on the loop.
    /// - Throws: `Errno`; the user may have no more of them (`fs.inotify.max_user_instances`).
    public init(_ paths: [String], on loop: EventLoop, onEvent: @escaping () -> Void) throws(Errno) {
        descriptor = OwnedDescriptor(Int32(try SystemCalls.call(.inotify) { Int(clinux_watch_create()) }))
        self.loop = loop
        self.onEvent = onEvent
        super.init()
        for path in paths {
            let number = descriptor.number
            _ = try SystemCalls.call(.inotify) { Int(clinux_watch_add(number, path)) }
        }
        try loop.register(self, descriptor, for: .readable)
    }

    public func end() {
        guard !isEnded else { return }
        isEnded = true
        loop.deregister(self, descriptor)
    }

    public override func handle(_ readiness: Readiness) {
        clinux_watch_drain(descriptor.number)
        loop.setInterest(self, descriptor, [])
        loop.schedule(self, at: MonotonicInstant.now.advanced(byMilliseconds: Self.deafMilliseconds))
        onEvent()
    }

    public override func timerFired(_ token: UInt64) {
        if !isEnded { loop.setInterest(self, descriptor, .readable) }
    }
}
