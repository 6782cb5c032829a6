// The other end of a lane, played by a script.

import Glibc
import LinuxSystem
import Testing

@testable import LiteBaseClient

/// The server's side of a lane, played by a script.
final class LaneEnd {
    var rings: LaneRings
    let server: ServerEnd

    /// Grants what the client has asked for.
    init(_ server: ServerEnd, _ id: Int64, byteCount: Int = 4_096) throws {
        let sizes = LaneRings.Sizes(request: byteCount, reply: byteCount)
        rings = try LaneRings(sizes)
        self.server = server
        let reply = ServerEnd.frame(
            id, "hello_response",
            [
                ("version", .value("9")), ("protocol", .value(1)), ("transport", .value("shared_memory")),
                ("request_ring_bytes", .value(.integer(Int64(sizes.request)))),
                ("reply_ring_bytes", .value(.integer(Int64(sizes.reply)))),
            ])
        try server.send(reply, descriptor: rings.descriptorNumber)
    }

    func receive() -> ReceivedRequest? {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        for _ in 0..<50_000 {
            if let request = server.parse() { return request }
            switch bytes.withUnsafeMutableBytes({ rings.read(into: $0) }) {
            case .bytes(let count): server.feed(bytes[..<count])
            case .wouldBlock: usleep(200)
            case .endOfStream, .failed: return nil
            }
            ring()
        }
        return nil
    }

    func send(_ frame: [UInt8]) {
        var rest = frame[...]
        while !rest.isEmpty {
            let outcome = rest.withUnsafeBytes { rings.write($0) }
            if case .bytes(let count) = outcome { rest = rest.dropFirst(count) } else { usleep(200) }
            ring()
        }
    }

    func ring() { if rings.mustRing() { server.send([1]) } }

    /// Waits for requests asleep, as a daemon without work does, and sends each what `answer` says; until the client is gone.
    func serve(_ answer: (ReceivedRequest) -> [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        while true {
            while let request = server.parse() { send(answer(request)) }
            switch bytes.withUnsafeMutableBytes({ rings.read(into: $0) }) {
            case .bytes(let count):
                server.feed(bytes[..<count])
                ring()
            case .wouldBlock:
                rings.wait(forInput: true, forRoom: false)
                guard rings.fallAsleep() else { continue }
                if server.receiveBytes().isEmpty { return }
                rings.wakeUp()
            case .endOfStream, .failed: return
            }
        }
    }

    /// Leaves the lane as a new process does; what was not read is with the server then.
    /// - Returns: false if the client is gone.
    func leave() -> Bool {
        server.send([1, 1, 2])
        var bytes: [UInt8] = []
        while !bytes.contains(2) {
            let more = server.receiveBytes()
            if more.isEmpty { return false }
            bytes += more
        }
        let order = bytes.firstIndex(of: 2) ?? 0
        #expect(bytes[..<order].allSatisfy { $0 == 1 })
        server.feed(bytes[(order + 1)...])
        return true
    }

    /// Answers two requests and lets the client ring for the second, which nobody receives: the end is a reset then.
    func answerBeforeReset(_ answer: (ReceivedRequest) -> [UInt8]) {
        guard let first = receive() else { return }
        rings.wait(forInput: true, forRoom: false)
        let sleeps = rings.fallAsleep()
        #expect(sleeps)
        send(answer(first))
        guard let second = receive() else { return }
        #expect(server.hasMore(within: 10_000))
        send(answer(second))
    }

    /// Waits until the client says that it sleeps; false after ten seconds.
    func waitUntilClientSleeps() -> Bool { wait { word(192) & 1 == 1 } }

    /// Waits until so much is there that nobody has read; false after ten seconds.
    func waitForRequests(byteCount: Int) -> Bool { wait { unreadRequestByteCount >= byteCount } }

    private func wait(until condition: () -> Bool) -> Bool {
        for _ in 0..<50_000 {
            if condition() { return true }
            usleep(200)
        }
        return false
    }

    /// What the client has written, and nobody has read.
    var unreadRequestByteCount: Int { Int(word(128) - word(256)) }

    /// A word of the memory.
    func word(_ offset: Int) -> UInt64 {
        var word: UInt64 = 0
        return pread(rings.descriptorNumber, &word, 8, off_t(offset)) == 8 ? word : 0
    }
}
