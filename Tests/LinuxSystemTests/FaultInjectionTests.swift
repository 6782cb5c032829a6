// Each system call of a scenario fails once; in processes of their own, since descriptors are counted.

import Glibc
import Testing

@testable import LinuxSystem

private func descriptorCount() -> Int { (try? Files.names(in: "/proc/self/fd").count) ?? -1 }

/// Lets the n-th call of `call` fail, for n = 0, 1, … until the scenario passes untouched.
/// - Returns: how many failures were met; −1 when one was swallowed.
private func sweep(_ call: SystemCall, _ scenario: () throws(Errno) -> Void) -> Int {
    FaultInjection.isolated { sweepWithinScope(call, scenario) }
}

private func sweepWithinScope(_ call: SystemCall, _ scenario: () throws(Errno) -> Void) -> Int {
    for index in 0..<100 {
        FaultInjection.fail(call, with: .tooManyFiles, after: index)
        var failure: Errno?
        do throws(Errno) { try scenario() } catch { failure = error }
        let unreached = FaultInjection.reset()
        if unreached == 1 { return failure == nil ? index : -1 }
        if failure != .tooManyFiles { return -1 }
    }
    return -1
}

private func makeLoopAndRegister() throws(Errno) {
    let loop = try EventLoop()
    _ = try Files.open("/dev/null", flags: O_RDONLY).duplicate()
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .current }
    let reader = OwnedDescriptor(ends[0])
    let writer = OwnedDescriptor(ends[1])
    let source = EventSource()
    try loop.register(source, reader, for: .readable)
    loop.deregister(source, reader)
    try loop.register(source, reader, for: .readable)
    writer.close()
}

@Suite struct FaultInjectionTests {
    @Test func everyCallOfTheLoopMayFail() async {
        await #expect(processExitsWith: .success) {
            let before = descriptorCount()
            for _ in 0..<20 {
                let met = [
                    sweep(.epollControl, makeLoopAndRegister), sweep(.eventfd, makeLoopAndRegister),
                    sweep(.open, makeLoopAndRegister), sweep(.duplicate, makeLoopAndRegister),
                ]
                // epoll_create1, the mailbox, and two registrations.
                guard met == [4, 1, 1, 1] else { exit(1) }
            }
            // The test library opens a few of its own meanwhile; a path that loses one has lost twenty.
            guard descriptorCount() < before + 15 else { exit(2) }
        }
    }

    @Test func aFailedRegistrationLeavesTheSlotFree() async {
        await #expect(processExitsWith: .success) {
            guard let loop = try? EventLoop(), let file = try? SignalSource([SIGUSR1], onSignal: { _, _ in }) else {
                exit(1)
            }
            FaultInjection.isolated {
                FaultInjection.fail(.epollControl, with: .noSpace)
                do throws(Errno) {
                    try file.register(with: loop)
                    exit(2)
                } catch {
                    guard error == .noSpace else { exit(3) }
                }
            }
            guard (try? file.register(with: loop)) != nil else { exit(4) }
        }
    }

    @Test func anInterruptedWaitIsTriedAgain() async {
        await #expect(processExitsWith: .success) {
            guard let loop = try? EventLoop() else { exit(1) }
            let unreached = FaultInjection.isolated {
                FaultInjection.fail(.epollWait, with: .outOfMemory, times: 3)
                for _ in 0..<4 { loop.turn(waiting: false) }
                return FaultInjection.reset()
            }
            guard unreached == 0, loop.turnCount == 4 else { exit(2) }
        }
    }
}
