// Files that are watched: who is told of what, and what it takes.

import Glibc
import Testing

@testable import LinuxSystem

@Suite final class FileWatchTests {
    private let loop: EventLoop
    private let directory: String
    private var paths: Set<String> = []

    init() throws {
        loop = try EventLoop()
        var template = Array("/tmp/litebase-watch-XXXXXX".utf8CString)
        directory = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
        for path in paths { unlink(path) }
        rmdir(directory)
    }

    private func file(_ name: String) -> String {
        let path = "\(directory)/\(name)"
        paths.insert(path)
        write(path)
        return path
    }

    private func write(_ path: String) {
        let file = OwnedDescriptor(open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600))
        #expect(Glibc.write(file.number, "x", 1) == 1)
    }

    /// Turns until it holds, for 10 s at most.
    private func turn(until isDone: () -> Bool) {
        let deadline = MonotonicInstant.now.advanced(byMilliseconds: 10_000)
        while !isDone(), MonotonicInstant.now < deadline { loop.turn(waiting: false) }
    }

    private final class Hearing {
        var count = 0
    }

    private func watch(_ paths: [String]) throws -> (FileWatch, Hearing) {
        let hearing = Hearing()
        return (try FileWatch(paths, on: loop) { hearing.count += 1 }, hearing)
    }

    @Test func everyWatchHearsOfItsOwnFiles() throws {
        let (one, two) = (file("one"), file("two"))
        let (first, heardFirst) = try watch([one])
        let (second, heardSecond) = try watch([two])
        write(two)
        turn { heardSecond.count > 0 }
        #expect(heardFirst.count == 0 && heardSecond.count == 1)
        // What happens while it is deaf is told afterwards.
        write(one)
        turn { heardFirst.count > 0 }
        #expect(heardFirst.count == 1 && heardSecond.count == 1)
        first.end()
        second.end()
        #expect(loop.fileWatcher == nil)
    }

    @Test func oneFileMayHaveSeveralWatches() throws {
        let path = file("shared")
        let (first, heardFirst) = try watch([path])
        let (second, heardSecond) = try watch([path, path])
        write(path)
        turn { heardFirst.count > 0 && heardSecond.count > 0 }
        #expect(heardFirst.count == 1 && heardSecond.count == 1)
        first.end()
        first.end()
        write(path)
        turn { heardSecond.count > 1 }
        #expect(heardFirst.count == 1 && heardSecond.count == 2)
        second.end()
        #expect(loop.fileWatcher == nil)
    }

    @Test func aFileThatGoesIsTold() throws {
        let (gone, other) = (file("gone"), file("other"))
        let (first, heardFirst) = try watch([gone])
        let (second, heardSecond) = try watch([other])
        unlink(gone)
        turn { heardFirst.count > 0 }
        #expect(heardFirst.count > 0 && heardSecond.count == 0)
        first.end()
        write(other)
        turn { heardSecond.count > 0 }
        #expect(heardSecond.count == 1)
        second.end()
    }

    @Test func aFileThatIsNotThereIsAnError() throws {
        let there = file("there")
        #expect(throws: Errno.noSuchFile) { try watch(["\(directory)/missing"]) }
        #expect(loop.fileWatcher == nil)
        #expect(throws: Errno.noSuchFile) { try watch([there, "\(directory)/missing"]) }
        #expect(loop.fileWatcher == nil)
    }

    /// The kernel keeps 16,384 events (fs.inotify.max_queued_events), and says so when there are more.
    @Test func whatIsLostIsToldToAll() throws {
        let paths = (0..<3).map { file("busy\($0)") }
        let (busy, heardBusy) = try watch(Array(paths[..<2]))
        let (quiet, heardQuiet) = try watch([paths[2]])
        let one = OwnedDescriptor(open(paths[0], O_WRONLY))
        let two = OwnedDescriptor(open(paths[1], O_WRONLY))
        // Two neighbours that are alike are one event.
        for _ in 0..<10_000 {
            _ = Glibc.write(one.number, "x", 1)
            _ = Glibc.write(two.number, "x", 1)
        }
        turn { heardQuiet.count > 0 }
        #expect(heardBusy.count > 0 && heardQuiet.count == 1)
        busy.end()
        quiet.end()
    }

    @Test func manyWatchesAreOneInstance() throws {
        let watches = try (0..<300).map { try watch([file("many\($0)")]).0 }
        let heard = try watch(["\(directory)/many7"])
        write("\(directory)/many7")
        turn { heard.1.count > 0 }
        #expect(heard.1.count == 1)
        for watch in watches + [heard.0] { watch.end() }
        #expect(loop.fileWatcher == nil)
    }
}
