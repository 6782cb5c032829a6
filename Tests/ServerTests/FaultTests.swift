import Glibc
import LinuxSystem
import Testing

@testable import Server

@Suite("System calls that fail")
struct FaultTests {
    private static let health = #"{"id":1,"type":"health_check"}"#

    /// Each call fails at its n-th use; whatever happens to that client, the next one is served.
    @Test(arguments: [
        (SystemCall.accept, Errno.tooManyFiles), (.accept, .outOfMemory), (.accept, .connectionAborted),
        (.receive, .connectionReset), (.send, .brokenPipe), (.send, .connectionReset), (.epollControl, .outOfMemory),
        (.epollWait, .interrupted), (.receive, .interrupted),
    ])
    func theNextClientIsServed(_ call: SystemCall, _ error: Errno) throws {
        try FaultInjection.isolated {
            let harness = try ServerHarness()
            defer { harness.stop() }
            for skipped in 0..<4 {
                FaultInjection.fail(call, with: error, after: skipped)
                for _ in 0..<3 {
                    let client = try harness.client()
                    _ = client.ask(Self.health)
                }
                FaultInjection.reset()
                let client = try harness.client()
                #expect(client.ask(Self.health)?.contains("healthy") == true, "\(call) \(error) after \(skipped)")
            }
        }
    }

    // MARK: Sweeps: a whole conversation, in which the n-th call of a kind fails, for every n

    /// What a client does from beginning to end; replies are taken as they come, and an early end is an end.
    /// - Returns: the reply that counts the rows, if it came to that.
    private static func converse(with harness: ServerHarness) throws -> String? {
        let client = try harness.client()
        _ = client.ask(health)
        _ = client.ask(#"{"id":2,"type":"query","data":{"sql":"CREATE TABLE IF NOT EXISTS t(x INTEGER)"}}"#)
        _ = client.ask(#"{"id":3,"type":"query","data":{"sql":"INSERT INTO t VALUES (1)"}}"#)
        let opened = client.ask(#"{"id":4,"type":"db_connect","data":{"database":"default"}}"#) ?? ""
        if let session = opened.split(separator: "\"session\":\"").dropFirst().first?.split(separator: "\"").first {
            for sql in ["BEGIN IMMEDIATE", "INSERT INTO t VALUES (2)", "COMMIT"] {
                _ = client.ask(#"{"id":5,"type":"query","data":{"session":"\#(session)","sql":"\#(sql)"}}"#)
            }
            _ = client.ask(#"{"id":6,"type":"db_disconnect","data":{"session":"\#(session)"}}"#)
        }
        _ = client.ask(#"{"id":7,"type":"batch","data":{"statements":[{"sql":"DELETE FROM t WHERE x > 2"}]}}"#)
        // Outgrows the loop, and is sent in several pieces.
        client.send(
            #"{"id":8,"type":"query","data":{"sql":"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c "#
                + #"LIMIT 4000) SELECT x, 'a text that fills the frames' FROM c"}}"# + "\n")
        while let line = client.line(), line.contains(#""more":true"#) {}
        return client.ask(#"{"id":9,"type":"query","data":{"sql":"SELECT count(*) >= 2 FROM t"}}"#)
    }

    /// Nothing traps, nothing hangs, and whoever comes later is served.
    @Test(arguments: [
        (SystemCall.accept, [Errno.tooManyFiles, .connectionAborted]),
        (.receive, [.connectionReset, .interrupted, .wouldBlock]),
        (.send, [.brokenPipe, .connectionReset, .interrupted, .outOfMemory]),
        (.epollControl, [.outOfMemory, .noSpace]),
        (.epollWait, [.interrupted]),
        (.setSocketOption, [.outOfMemory]),
        (.duplicate, [.tooManyFiles]),
        (.fstat, [.permissionDenied, .noSuchFile]),
        (.startThread, [.wouldBlock]),
    ])
    func aConversationInWhichTheNthCallFails(_ call: SystemCall, _ errors: [Errno]) throws {
        try FaultInjection.isolated {
            let harness = try ServerHarness()
            defer { harness.stop() }
            #expect(try Self.converse(with: harness)?.contains("[[1]]") == true)
            for error in errors {
                var count = 0
                while count < Self.sweepLengthMax {
                    FaultInjection.fail(call, with: error, after: count)
                    _ = try? Self.converse(with: harness)
                    let wasReached = FaultInjection.reset() == 0
                    let start = MonotonicInstant.now
                    let reply = try Self.converse(with: harness)
                    #expect(reply?.contains("[[1]]") == true, "\(call) \(error) after \(count): \(reply ?? "closed")")
                    #expect(MonotonicInstant.now.nanoseconds(since: start) < 8_000_000_000, "it hung")
                    if !wasReached { break }
                    count += 1
                }
            }
        }
    }

    /// More calls of one kind than a conversation makes, or as many as there is time for.
    private static let sweepLengthMax = 25

    /// Without any thread for workers, the loops do their work.
    @Test func withoutNewThreadsEverythingIsServed() throws {
        try FaultInjection.isolated {
            let harness = try ServerHarness()
            defer { harness.stop() }
            FaultInjection.fail(.startThread, with: .wouldBlock, times: 100_000)
            for _ in 0..<3 { #expect(try Self.converse(with: harness)?.contains("[[1]]") == true) }
            #expect(FaultInjection.reset() < 100_000, "no thread was asked for")
            #expect(try Self.converse(with: harness)?.contains("[[1]]") == true)
        }
    }

    /// A listener that was paused when descriptors ran out, and cannot be watched again when there are some.
    @Test func aListenerIsWatchedAgainWhenThatHasFailed() throws {
        try FaultInjection.isolated {
            let harness = try ServerHarness()
            defer { harness.stop() }
            FaultInjection.fail(.accept, with: .tooManyFiles)
            FaultInjection.fail(.epollControl, with: .outOfMemory, times: 2)
            let client = try harness.client()
            #expect(client.ask(Self.health)?.contains("healthy") == true)
            #expect(FaultInjection.reset() == 0, "the failures were not reached")
        }
    }

    @Test func acceptBacksOffAndLogsOnce() throws {
        try FaultInjection.isolated {
            let harness = try ServerHarness()
            defer { harness.stop() }
            FaultInjection.fail(.accept, with: .tooManyFiles, times: 3)
            let client = try harness.client()
            #expect(client.ask(Self.health)?.contains("healthy") == true)
            #expect(FaultInjection.reset() == 0, "the failures were not reached")
            #expect(harness.log.filter { $0.hasPrefix("Cannot accept") }.count == 1)
        }
    }
}
