// A server in the test's process, with a control loop on a thread of its own, and a client that does not pass through
// the funnel of system calls, so that injected faults concern the server only.

import DatabaseContract
import Glibc
import LinuxSystem
import SQLiteEngine
import Synchronization

@testable import Server

/// A running server.
final class ServerHarness: @unchecked Sendable {
    let directory: String
    let path: String
    private let loop: EventLoop
    private let observations = Mutex<[String]>([])
    private var server: Server?

    // `url` is of the database `default`: a file of the harness's own when none is given.
    init(
        limits: Limits = Limits(), loopCount: Int = 1, engines: EngineRegistry = EngineRegistry([.sqlite]),
        url: String? = nil, requests: [RequestRow] = RequestTable.standard,
        formats: FormatList = .standard, store: (any DescriptorStore)? = nil, kept: [NamedDescriptor] = []
    ) throws {
        var template = Array("/tmp/litebase-server-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Errno.current }
        directory = String(cString: made)
        path = "\(directory)/s"
        loop = try EventLoop()
        let observer = Observer(level: .debug) { [unowned self] observation in
            observations.withLock { $0.append(observation.record.message) }
        }
        let configuration = ServerConfiguration(
            version: "test", engines: engines, activation: .standalone, loopCount: loopCount, limits: limits,
            databases: [DatabaseConfiguration(name: "default", url: url ?? "sqlite:\(directory)/test.db")])
        let server = try Server(
            configuration: configuration, controlLoop: loop, observer: observer, store: store, kept: kept,
            requests: requests, formats: formats)
        let socket = try Sockets.bindUnix(path: path)
        try Sockets.listen(socket)
        try server.addListener(socket, address: "unix:\(path)", inherited: false)
        server.goOnWithFormerConnections()
        self.server = server
        try Thread.start(name: "control") { [self] in loop.run() }
    }

    var log: [String] { observations.withLock { $0 } }

    /// Drains and waits for the end.
    func stop() {
        loop.mailbox.submit { [self] in
            server?.drain { [self] in
                loop.stop()
                hasStopped.store(true, ordering: .releasing)
            }
        }
        while !hasStopped.load(ordering: .acquiring) { usleep(1000) }
        for name in (try? Files.names(in: directory)) ?? [] { _ = unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    private let hasStopped = Atomic<Bool>(false)

    /// Connects.
    func client() throws -> RawClient { try RawClient(path) }
}

/// A blocking client, of JSON lines or of any bytes.
final class RawClient {
    private let socket: Int32
    /// What came and was not taken yet, from `start` on.
    private var received: [UInt8] = []
    private var start = 0

    convenience init(_ path: String) throws {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let error = Errno.current
            close(socket)
            throw error
        }
        self.init(socket: socket)
    }

    /// The other end is somebody else's.
    init(socket: Int32) {
        self.socket = socket
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(socket) }

    func send(_ text: String) {
        send(Array(text.utf8))
    }

    func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { _ = Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// That many bytes; `nil` when the server closed or said nothing for ten seconds.
    func take(_ count: Int) -> [UInt8]? {
        while received.count - start < count {
            guard receive() else { return nil }
        }
        defer { start += count }
        return Array(received[start..<start + count])
    }

    private func receive() -> Bool {
        received.removeFirst(start)
        start = 0
        var piece = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket, &piece, piece.count, 0)
        if count > 0 { received += piece[..<count] }
        return count > 0
    }

    /// The next line, `nil` when the server closed or said nothing for ten seconds.
    func line() -> String? {
        while true {
            if let end = received[start...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = end + 1 }
                return String(decoding: received[start..<end], as: UTF8.self)
            }
            guard receive() else { return nil }
        }
    }

    func ask(_ line: String) -> String? {
        send(line + "\n")
        return self.line()
    }
}
