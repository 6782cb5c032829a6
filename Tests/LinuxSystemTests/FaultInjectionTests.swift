// Each system call of a scenario fails once; in processes of their own, since the plan of failures is one for all
// threads.

import Glibc
import Testing

@testable import LinuxSystem

private func descriptorCount() -> Int { (try? Files.names(in: "/proc/self/fd").count) ?? -1 }

/// Lets the n-th call of `call` fail, for n = 0, 1, … until the scenario passes untouched.
/// - Returns: how many failures were met; −1 when one was swallowed or a descriptor was lost.
private func sweep(_ call: SystemCall, _ scenario: () throws(Errno) -> Void) -> Int {
    let before = descriptorCount()
    for index in 0..<100 {
        FaultInjection.fail(call, with: .tooManyFiles, after: index)
        var failure: Errno?
        do throws(Errno) { try scenario() } catch { failure = error }
        let unreached = FaultInjection.reset()
        if descriptorCount() != before { return -1 }
        if unreached == 1 { return failure == nil ? index : -1 }
        if failure != .tooManyFiles { return -1 }
    }
    return -1
}

private func makeLoopAndRegister() throws(Errno) {
    let loop = try EventLoop()
    let descriptor = try Files.open("/dev/null", flags: O_RDONLY).duplicate()
    _ = loop
    _ = descriptor
    let wakeUp = try EventLoop()
    _ = wakeUp
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
            FaultInjection.isolated {
                let met = [
                    sweep(.epollControl, makeLoopAndRegister), sweep(.eventfd, makeLoopAndRegister),
                    sweep(.open, makeLoopAndRegister), sweep(.duplicate, makeLoopAndRegister),
                ]
                // Two loops: epoll_create1 and the mailbox each, and two registrations.
                guard met == [6, 2, 1, 1] else {
                    print("met", met)
                    exit(1)
                }
            }
        }
    }

    @Test func aFailedRegistrationLeavesTheSlotFree() async {
        await #expect(processExitsWith: .success) {
            FaultInjection.isolated {
                guard let loop = try? EventLoop(), let file = try? SignalSource([SIGUSR1], onSignal: { _, _ in }) else {
                    exit(1)
                }
                FaultInjection.fail(.epollControl, with: .noSpace)
                do throws(Errno) {
                    try file.register(with: loop)
                    exit(2)
                } catch {
                    guard error == .noSpace else { exit(3) }
                }
                FaultInjection.reset()
                guard (try? file.register(with: loop)) != nil else { exit(4) }
            }
        }
    }

    @Test func anInterruptedWaitIsTriedAgain() async {
        await #expect(processExitsWith: .success) {
            FaultInjection.isolated {
                guard let loop = try? EventLoop() else { exit(1) }
                FaultInjection.fail(.epollWait, with: .outOfMemory, times: 3)
                for _ in 0..<4 { loop.turn(waiting: false) }
                guard FaultInjection.reset() == 0, loop.turnCount == 4 else { exit(2) }
            }
        }
    }
}
