// Which descriptors of systemd are taken, and what is said about the others.

import Glibc
import LinuxSystem
import Testing

@testable import SystemdSupport

@Suite struct InheritedSocketTests {
    private static func listen(on path: String) throws -> OwnedDescriptor {
        unlink(path)
        let socket = try Sockets.bindUnix(path: path)
        try Sockets.listen(socket)
        return socket
    }

    private static func message(_ descriptor: consuming OwnedDescriptor, _ name: String) -> String {
        do throws(InheritedSocketError) {
            return "taken as \(try InheritedSocket.accept(descriptor, name: name).address)"
        } catch {
            return error.message
        }
    }

    @Test(arguments: ["litebase", "litebase-tcp", "unknown", "litebase.socket"])
    func listeningSocketsAreTaken(_ name: String) throws {
        let path = "/tmp/litebase-inherited-\(name)-\(getpid())"
        defer { unlink(path) }
        #expect(Self.message(try Self.listen(on: path), name) == "taken as unix:\(path)")
        let loopback = try Sockets.bindLoopback(port: 0)
        try Sockets.listen(loopback)
        let port = Sockets.localPort(loopback.number)
        #expect(Self.message(loopback, name) == "taken as tcp:127.0.0.1:\(port)")
    }

    @Test func flagsAreSet() throws {
        let path = "/tmp/litebase-inherited-flags-\(getpid())"
        defer { unlink(path) }
        let number = try Self.listen(on: path).release()
        _ = fcntl(number, F_SETFD, 0)
        _ = fcntl(number, F_SETFL, 0)
        let socket = try InheritedSocket.accept(OwnedDescriptor(number), name: "litebase")
        #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(number, F_GETFL) & O_NONBLOCK != 0)
        let taken = socket.take()
        #expect(taken.number == number)
    }

    @Test func othersAreRefusedWithAReason() throws {
        let path = "/tmp/litebase-inherited-other-\(getpid())"
        defer { unlink(path) }
        let bound = try Sockets.bindUnix(path: path)
        #expect(Self.message(bound, "litebase").contains("is no listening stream socket"))
        let file = try Files.open("/dev/null", flags: O_RDONLY)
        #expect(Self.message(file, "litebase").contains("is no listening stream socket"))
        #expect(Self.message(try Self.listen(on: path), "web").contains("named \"web\", which is unknown"))
        let everywhere = OwnedDescriptor(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        try Sockets.listen(everywhere)
        #expect(Self.message(everywhere, "litebase").contains("not bound to a loopback address"))
        let unnamed = OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        #expect(Self.message(unnamed, "litebase").contains("is no listening stream socket"))
    }

    @Test func theEnvironmentOfAnotherProcessIsIgnored() async {
        await #expect(processExitsWith: .success) {
            setenv("LISTEN_PID", "1", 1)
            setenv("LISTEN_FDS", "1", 1)
            guard (try? InheritedSocket.takeAll { _ in false }.sockets.isEmpty) == true else { exit(1) }
            guard Process.environment("LISTEN_FDS") == nil else { exit(2) }
        }
    }

    @Test func anUnreadableListIsAnError() async {
        await #expect(processExitsWith: .success) {
            setenv("LISTEN_PID", "\(getpid())", 1)
            setenv("LISTEN_FDS", "many", 1)
            do throws(InheritedSocketError) {
                _ = try InheritedSocket.takeAll { _ in false }
                exit(1)
            } catch {
                guard error.message.contains("LISTEN_FDS") else { exit(2) }
            }
        }
    }
}
