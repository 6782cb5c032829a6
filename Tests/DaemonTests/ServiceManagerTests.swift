// What is said to systemd, and what systemd says, byte by byte.

import Glibc
import LinuxSystem
import Testing

@testable import SystemdSupport

@Suite struct ServiceManagerTests {
    @Test func entriesAreFramedAsJournaldReadsThem() {
        let record = LogRecord(.warning, "", fields: [("LITEBASE_A", "one\ntwo"), ("LITEBASE_B", "")], id: "abc")
        let text = String(decoding: Journal.entry(record, message: "ä", identifier: "me"), as: UTF8.self)
        #expect(
            text == "MESSAGE=ä\nPRIORITY=4\nSYSLOG_IDENTIFIER=me\nMESSAGE_ID=abc\n"
                + "LITEBASE_A\n\u{7}\0\0\0\0\0\0\0one\ntwo\nLITEBASE_B=\n")
    }

    @Test func lengthsHaveTheLowestByteFirst() {
        let value = String(repeating: "\n", count: 0x010203)
        let bytes = Journal.entry(LogRecord(.info, ""), message: value, identifier: "")
        #expect(Array(bytes[8..<16]) == [3, 2, 1, 0, 0, 0, 0, 0])
    }

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
}

/// A receiver in the service manager's place.
@Suite struct DatagramTests {
    private static func receiver(_ address: String) throws -> OwnedDescriptor {
        let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: address.utf8) }
        if address.hasPrefix("@") { name.sun_path.0 = 0 }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + address.utf8.count)
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, length) }
        }
        try #require(result == 0)
        return OwnedDescriptor(number)
    }

    private static func receive(_ socket: borrowing OwnedDescriptor) -> String {
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = recv(socket.number, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    @Test(arguments: ["/tmp/litebase-datagram-\(getpid())", "@litebase-datagram-\(getpid())"])
    func pathsAndAbstractAddressesAreReached(_ address: String) throws {
        let receiver = try Self.receiver(address)
        defer { unlink(address) }
        let sender = try DatagramSocket(patienceMilliseconds: nil)
        try sender.send(Array("READY=1".utf8), to: address)
        #expect(Self.receive(receiver) == "READY=1")
    }

    @Test func aFullQueueIsAnErrorWhenPatienceEnds() throws {
        let address = "@litebase-datagram-full-\(getpid())"
        let receiver = try Self.receiver(address)
        let sender = try DatagramSocket(patienceMilliseconds: 20)
        var sent = 0
        do throws(Errno) {
            while sent < 100_000 {
                try sender.send([1], to: address)
                sent += 1
            }
        } catch {
            #expect(error == .wouldBlock)
        }
        #expect(throws: Errno.wouldBlock) { try sender.send([1], to: address, waits: false) }
        _ = Self.receive(receiver)
        try sender.send([1], to: address, waits: false)
    }

    @Test func whatCannotBeSentIsAnError() throws {
        let sender = try DatagramSocket(patienceMilliseconds: nil)
        #expect(throws: Errno.noSuchFile) { try sender.send([1], to: "/nonexistent/socket") }
        #expect(throws: Errno.nameTooLong) { try sender.send([1], to: "/" + String(repeating: "x", count: 200)) }
        let address = "@litebase-datagram-large-\(getpid())"
        let receiver = try Self.receiver(address)
        #expect(throws: Errno.messageTooLong) { try sender.send(Array(repeating: 1, count: 1 << 24), to: address) }
        #expect(receiver.number >= 0)
    }

    @Test func largeRecordsTravelAsSealedFiles() throws {
        let address = "@litebase-journal-\(getpid())"
        let receiver = try Self.receiver(address)
        let entry = Journal.entry(
            LogRecord(.info, ""), message: String(repeating: "x", count: 1 << 20), identifier: "me")
        try Journal.send(entry, by: try DatagramSocket(patienceMilliseconds: nil), to: address)
        // The control message of one descriptor: a header of 16 bytes, then the number (cmsg(3)).
        var control = [UInt8](repeating: 0, count: 24)
        let count = control.withUnsafeMutableBytes { bytes in
            var message = msghdr()
            message.msg_control = bytes.baseAddress
            message.msg_controllen = bytes.count
            return recvmsg(receiver.number, &message, 0)
        }
        #expect(count == 0)
        let number = control.withUnsafeBytes { $0.load(fromByteOffset: 16, as: Int32.self) }
        try #require(number > 2)
        let file = OwnedDescriptor(number)
        #expect(try Files.read("/proc/self/fd/\(file.number)", byteCountMax: 2 << 20) == entry)
        // F_GET_SEALS; journald refuses a file that could still change.
        #expect(fcntl(file.number, 1034) == 0xf)
    }

    @Test func aPipeTellsWhenItsOtherEndIsGone() throws {
        var pipe = try HangUpPipe()
        var kept: Int32 = -1
        pipe.withOtherEnd { kept = dup($0) }
        let isTooEarly = pipe.wait(milliseconds: 10)
        close(kept)
        let isGone = pipe.wait(milliseconds: 1_000)
        #expect(!isTooEarly && isGone)
    }
}
