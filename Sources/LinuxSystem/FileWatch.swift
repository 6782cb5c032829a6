// Files that others may write, watched without looking at them.
//
// A user may have few inotify instances (`fs.inotify.max_user_instances`, 128), so all watches of a loop share one: FileWatcher.

internal import CLinux

/// Hears of what happens to some files (inotify(7)): that they are written, truncated, moved or deleted, by whomever.
///
/// What exactly has happened is not told. After a call it is deaf for a short time, so that files that are written all the time
/// cost little; what happens meanwhile is told at its end.
/// - Thread: that of the loop where it is used.
public final class FileWatch {
    private let watcher: FileWatcher
    private let onEvent: () -> Void
    /// What inotify calls its files.
    private var numbers: [Int32] = []

    /// Watches files until `end`.
    /// - Parameters:
    ///   - paths: the files must be there.
    ///   - loop: where it is used.
    ///   - onEvent: called on the loop.
    /// - Throws: `Errno`; the user may have no more of them (`fs.inotify.max_user_instances`, `max_user_watches`).
    public init(_ paths: [String], on loop: EventLoop, onEvent: @escaping () -> Void) throws(Errno) {
        watcher = try FileWatcher.of(loop)
        self.onEvent = onEvent
        do throws(Errno) {
            for path in paths { numbers.append(try watcher.add(self, path)) }
        } catch {
            end()
            throw error
        }
    }

    public func end() {
        watcher.remove(self, numbers)
        numbers = []
    }

    fileprivate func tell() { if !numbers.isEmpty { onEvent() } }
}

/// The inotify instance of a loop, as long as there are watches.
final class FileWatcher: EventSource {
    private let descriptor: OwnedDescriptor
    private unowned let loop: EventLoop
    /// By inotify's numbers: a file that is added again has the number that it had.
    private var watches: [Int32: [FileWatch]] = [:]
    private var isEnded = false

    /// How long it is deaf after it has told something, in milliseconds.
    private static let deafMilliseconds: Int64 = 2
    /// Reads at a time: who writes all the time must not keep the loop.
    private static let readCountMax = 32

    /// That of a loop, which is made if there is none.
    fileprivate static func of(_ loop: EventLoop) throws(Errno) -> FileWatcher {
        if let watcher = loop.fileWatcher { return watcher }
        let watcher = try FileWatcher(loop)
        loop.fileWatcher = watcher
        return watcher
    }

    private init(_ loop: EventLoop) throws(Errno) {
        descriptor = OwnedDescriptor(Int32(try SystemCalls.call(.inotify) { Int(clinux_watch_create()) }))
        self.loop = loop
        super.init()
        try loop.register(self, descriptor, for: .readable)
    }

    fileprivate func add(_ watch: FileWatch, _ path: String) throws(Errno) -> Int32 {
        let instance = descriptor.number
        do throws(Errno) {
            let number = Int32(try SystemCalls.call(.inotify) { Int(clinux_watch_add(instance, path)) })
            watches[number, default: []].append(watch)
            return number
        } catch {
            endIfUnused()
            throw error
        }
    }

    fileprivate func remove(_ watch: FileWatch, _ numbers: [Int32]) {
        for number in numbers {
            guard var sharing = watches[number], let index = sharing.firstIndex(where: { $0 === watch }) else {
                continue
            }
            sharing.remove(at: index)
            watches[number] = sharing.isEmpty ? nil : sharing
            // A file that is not there any more has lost its number already.
            if sharing.isEmpty { clinux_watch_remove(descriptor.number, number) }
        }
        endIfUnused()
    }

    private func endIfUnused() {
        guard watches.isEmpty, !isEnded else { return }
        isEnded = true
        loop.deregister(self, descriptor)
        loop.fileWatcher = nil
    }

    override func handle(_ readiness: Readiness) {
        var told: [ObjectIdentifier: FileWatch] = [:]
        var numbers: [Int32] = Array(repeating: 0, count: Int(CLINUX_WATCH_EVENT_COUNT_MAX))
        for _ in 0..<Self.readCountMax {
            let count = Int(clinux_watch_read(descriptor.number, &numbers))
            if count <= 0 { break }
            for number in numbers[..<count] {
                // Where the kernel's queue was full it says so, and not what happened.
                let those = number < 0 ? watches.values.flatMap(\.self) : watches[number] ?? []
                for watch in those { told[ObjectIdentifier(watch)] = watch }
            }
        }
        loop.setInterest(self, descriptor, [])
        loop.schedule(self, at: MonotonicInstant.now.advanced(byMilliseconds: Self.deafMilliseconds))
        for watch in told.values { watch.tell() }
    }

    override func timerFired(_ token: UInt64) {
        if !isEnded { loop.setInterest(self, descriptor, .readable) }
    }
}
