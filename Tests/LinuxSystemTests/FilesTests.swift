// Files, sockets and the standard places.

import Glibc
import Testing

@testable import LinuxSystem

private func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/litebase-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Errno.current }
    let path = String(cString: made)
    defer {
        for name in (try? Files.names(in: path)) ?? [] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    try body(path)
}

@Suite struct FilesTests {
    @Test func aLockEndsWithItsDescriptor() throws {
        try withDirectory { directory in
            let path = directory + "/lock"
            let first = try Files.open(path, flags: O_RDWR | O_CREAT)
            #expect(try Files.lockExclusively(first))
            do {
                let second = try Files.open(path, flags: O_RDWR)
                #expect(try !Files.lockExclusively(second))
            }
            first.close()
            let third = try Files.open(path, flags: O_RDWR)
            #expect(try Files.lockExclusively(third))
        }
    }

    @Test func contentIsReplacedAndIdentityKept() throws {
        try withDirectory { directory in
            let path = directory + "/file"
            let file = try Files.open(path, flags: O_RDWR | O_CREAT)
            try Files.replaceContent(of: file, with: "a longer text")
            try Files.replaceContent(of: file, with: "short")
            #expect(try Files.read(path, byteCountMax: 100) == Array("short".utf8))
            #expect(throws: Errno.invalidArgument) { try Files.read(path, byteCountMax: 4) }
            let status = try #require(try Files.status(path))
            let identity = try Files.identity(of: file)
            #expect(identity.device == status.device && identity.inode == status.inode)
        }
    }

    @Test func theOwnerOfASocketIsFound() throws {
        try withDirectory { directory in
            let path = directory + "/s"
            #expect(Sockets.owner(ofPath: path) == .nobody)
            do {
                let socket = try Sockets.bindUnix(path: path)
                #expect(Sockets.owner(ofPath: path) == .nobody, "bound, not listening")
                try Sockets.listen(socket, backlog: 0)
                #expect(Sockets.owner(ofPath: path) == .process(pid: getpid()))
                // The queue is full now; nobody may wait.
                for _ in 0..<3 { #expect(Sockets.owner(ofPath: path) != .nobody) }
            }
            // A process that another test starts at this moment has the socket until it executes its program.
            let deadline = MonotonicInstant.now.advanced(byMilliseconds: 5_000)
            while Sockets.owner(ofPath: path) != .nobody, .now < deadline { Process.sleep(microseconds: 1_000) }
            #expect(Sockets.owner(ofPath: path) == .nobody, "left behind")
            #expect(Sockets.owner(ofPath: String(repeating: "x", count: 108)) == .unknown(.nameTooLong))
        }
    }
}

@Suite struct StandardPathsTests {
    private static func paths(root: Bool, home: String? = "/home/u", _ variables: [String: String] = [:])
        -> StandardPaths
    {
        StandardPaths(isRoot: root, home: home) { variables[$0] }
    }

    @Test func rootHasTheDirectoriesOfTheSystem() {
        let paths = Self.paths(
            root: true, ["XDG_CONFIG_HOME": "/x", "XDG_STATE_HOME": "/x", "XDG_RUNTIME_DIR": "/tmp"])
        #expect(paths.configurationDirectory == "/etc/litebase")
        #expect(paths.stateDirectory == "/var/lib/litebase")
        #expect(paths.socketPath == "/run/litebase/litebase.sock")
    }

    @Test func systemdHasTheFirstWord() {
        let variables = ["CONFIGURATION_DIRECTORY": "/etc/a:/etc/b", "STATE_DIRECTORY": "/var/lib/private/litebase"]
        for root in [true, false] {
            let paths = Self.paths(root: root, variables)
            #expect(paths.configurationDirectory == "/etc/a")
            #expect(paths.stateDirectory == "/var/lib/private/litebase")
        }
    }

    @Test func usersHaveTheirOwn() {
        let plain = Self.paths(root: false)
        #expect(plain.configurationDirectory == "/home/u/.config/litebase")
        #expect(plain.stateDirectory == "/home/u/.local/state/litebase")
        #expect(plain.socketPath == "/home/u/.local/state/litebase/litebase.sock", "never where everybody may")
        #expect(plain.lockDirectory == "/home/u/.local/state/litebase")
        let moved = Self.paths(
            root: false, ["XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/tmp"])
        #expect(moved.configurationDirectory == "/c/litebase")
        #expect(moved.stateDirectory == "/s/litebase")
        #expect(moved.socketPath == "/tmp/litebase/litebase.sock")
    }

    @Test func relativeAndMissingDirectoriesDoNotCount() {
        let variables = ["XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "s", "XDG_RUNTIME_DIR": "/nonexistent/run"]
        let paths = Self.paths(root: false, variables)
        #expect(paths.configurationDirectory == "/home/u/.config/litebase")
        #expect(paths.stateDirectory == "/home/u/.local/state/litebase")
        #expect(paths.socketPath == "/home/u/.local/state/litebase/litebase.sock")
        #expect(Self.paths(root: false, home: nil).stateDirectory == nil)
        #expect(Self.paths(root: false, home: nil).socketPath == nil)
        #expect(Self.paths(root: false, home: nil).lockDirectory == nil)
        #expect(Self.paths(root: false, home: nil).configurationDirectory == "/etc/litebase")
    }
}
