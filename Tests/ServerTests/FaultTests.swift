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
        (.read, .connectionReset), (.send, .brokenPipe), (.send, .connectionReset), (.epollControl, .outOfMemory),
        (.epollWait, .interrupted), (.read, .interrupted),
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
