// What systemd says, and what is said to it while it does not listen.

import Glibc
import LinuxSystem
import Testing

@testable import SystemdSupport

@Suite struct ServiceManagerTests {
    @Test func theWatchdogOfAnotherProcessIsIgnored() async {
        await #expect(processExitsWith: .success) {
            guard ServiceManager.watchdogMicroseconds == nil else { exit(1) }
            setenv("WATCHDOG_USEC", "30000000", 1)
            guard ServiceManager.watchdogMicroseconds == 30_000_000 else { exit(2) }
            setenv("WATCHDOG_PID", "\(getpid())", 1)
            guard ServiceManager.watchdogMicroseconds == 30_000_000 else { exit(3) }
            setenv("WATCHDOG_PID", "1", 1)
            guard ServiceManager.watchdogMicroseconds == nil else { exit(4) }
            setenv("WATCHDOG_PID", "", 1)
            for text in ["0", "-1", "often"] {
                setenv("WATCHDOG_USEC", text, 1)
                guard ServiceManager.watchdogMicroseconds == nil else { exit(5) }
            }
        }
    }

    @Test(arguments: ["a:b", "a", "a:b:c:d"])
    func namesMustBeAsManyAsDescriptors(_ names: String) async {
        await #expect(processExitsWith: .success) { [names] in
            setenv("LISTEN_PID", "\(getpid())", 1)
            setenv("LISTEN_FDS", "3", 1)
            setenv("LISTEN_FDNAMES", names, 1)
            do throws(InheritedSocketError) {
                _ = try PassedDescriptors.takeNames()
                exit(1)
            } catch {
                guard error.message.contains("LISTEN_FDNAMES=\(names)") else { exit(2) }
            }
        }
    }

    @Test func namesMayBeEmptyOrMissing() async {
        await #expect(processExitsWith: .success) {
            // The numbers must be open, and threads of the test runner may open and close the same ones meanwhile.
            func names(_ text: String?) -> [String]? {
                for _ in 1...100 {
                    for number in Int32(3)...4 where fcntl(number, F_GETFD) < 0 { dup2(2, number) }
                    setenv("LISTEN_PID", "\(getpid())", 1)
                    setenv("LISTEN_FDS", "2", 1)
                    if let text { setenv("LISTEN_FDNAMES", text, 1) }
                    if let names = try? PassedDescriptors.takeNames() { return names }
                    usleep(10_000)
                }
                return nil
            }
            guard names("one:") == ["one", ""] else { exit(1) }
            guard names(nil) == ["unknown", "unknown"] else { exit(2) }
            guard fcntl(3, F_GETFD) & FD_CLOEXEC != 0, fcntl(4, F_GETFD) & FD_CLOEXEC != 0 else { exit(3) }
            guard Process.environment("LISTEN_FDS") == nil, Process.environment("LISTEN_PID") == nil else { exit(4) }
        }
    }

    @Test func aDescriptorThatIsNotOpenIsAnError() async {
        await #expect(processExitsWith: .success) {
            setenv("LISTEN_PID", "\(getpid())", 1)
            setenv("LISTEN_FDS", "1000000", 1)
            guard (try? PassedDescriptors.takeNames()) == nil else { exit(1) }
        }
    }

    @Test func aManagerThatDoesNotReadKeepsNobodyWaiting() async {
        await #expect(processExitsWith: .success) {
            let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var name = sockaddr_un()
            name.sun_family = sa_family_t(AF_UNIX)
            let address = "@litebase-deaf-\(getpid())"
            withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: address.utf8) }
            name.sun_path.0 = 0
            let length = socklen_t(MemoryLayout<sa_family_t>.size + address.utf8.count)
            let result = withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(receiver, $0, length) }
            }
            guard result == 0 else { exit(1) }
            setenv("NOTIFY_SOCKET", address, 1)
            let begun = MonotonicInstant.now
            // The kernel's queue, the thread's, and more; a flush waits once.
            for _ in 0..<6_000 { ServiceManager.status("busy") }
            for _ in 0..<10 {
                ServiceManager.keep(0, name: "kept", isWatched: true)
                ServiceManager.flush()
            }
            guard ServiceManager.lostCount >= 1_000 else { exit(2) }
            guard MonotonicInstant.now.nanoseconds(since: begun) < 5_000_000_000 else { exit(3) }
            ServiceManager.barrier(milliseconds: 50)
            guard MonotonicInstant.now.nanoseconds(since: begun) < 6_000_000_000 else { exit(4) }
            var bytes = [UInt8](repeating: 0, count: 100)
            let count = recv(receiver, &bytes, bytes.count, 0)
            guard String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == "STATUS=busy" else { exit(5) }
        }
    }

    @Test func whatIsKeptMayBeClosedAtOnce() async {
        await #expect(processExitsWith: .success) {
            let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var name = sockaddr_un()
            name.sun_family = sa_family_t(AF_UNIX)
            let address = "/tmp/litebase-keeper-\(getpid())"
            withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: address.utf8) }
            let result = withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(receiver, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            defer { unlink(address) }
            guard result == 0 else { exit(1) }
            // In this process sockets refuse descriptors (CSocketLimits.c); SO_PASSRIGHTS.
            var on: Int32 = 1
            setsockopt(receiver, SOL_SOCKET, 83, &on, socklen_t(MemoryLayout<Int32>.size))
            setenv("NOTIFY_SOCKET", address, 1)
            guard ServiceManager.isPresent else { exit(2) }
            let file = open("/dev/null", O_RDONLY)
            ServiceManager.keep(file, name: "client-1-1", isWatched: true)
            close(file)
            // Once flushed, the message has left the process: it is there for whoever does not wait.
            ServiceManager.flush()
            var bytes = [UInt8](repeating: 0, count: 100)
            let count = recv(receiver, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            guard String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == "FDSTORE=1\nFDNAME=client-1-1" else {
                exit(3)
            }
        }
    }
}
