// Who gets a socket's path, and what stays behind.

import Glibc
import LinuxSystem
import Testing

@testable import litebased

/// A directory that goes away with it.
private final class Directory {
    let path: String

    init() {
        var template = Array("/tmp/litebase-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("mkdtemp: \(Errno.current)") }
        path = String(cString: made)
    }

    deinit {
        for name in names {
            unlink("\(path)/\(name)")
            rmdir("\(path)/\(name)")
        }
        rmdir(path)
    }

    var names: [String] { (try? Files.names(in: path)) ?? ["?"] }

    func make(
        _ name: String = "s", mode: UInt32 = 0o600, group: UInt32? = nil, locks: String? = nil
    ) -> Attempt {
        var listener: OwnedDescriptor?
        do throws(StartFailure) {
            let socket = try StandaloneSocket.make(
                path: "\(path)/\(name)", mode: mode, group: group, locks: locks, into: &listener)
            return Attempt(socket: socket, listener: listener.take())
        } catch {
            return Attempt(failure: error)
        }
    }
}

private final class Attempt {
    private var socket: StandaloneSocket?
    let listener: OwnedDescriptor?
    let failure: StartFailure?

    init(socket: consuming StandaloneSocket, listener: consuming OwnedDescriptor?) {
        self.socket = consume socket
        self.listener = consume listener
        failure = nil
    }

    init(failure: StartFailure) {
        socket = nil
        listener = nil
        self.failure = failure
    }

    func remove() { socket.take()?.remove() }
}

// The umask is the whole process's.
@Suite(.serialized) struct StandaloneSocketTests {
    @Test func aSocketIsMadeWithItsModeAndRemoved() throws {
        let directory = Directory()
        let made = directory.make(mode: 0o620, group: getegid())
        #expect(made.failure == nil)
        let status = try #require(try Files.status(directory.path + "/s", followingLinks: false))
        #expect(status.kind == .socket)
        #expect(status.mode == 0o620)
        #expect(directory.names == ["s", "s.lock"])
        #expect(Sockets.owner(ofPath: directory.path + "/s") == .process(pid: getpid()))
        made.remove()
        #expect(directory.names == [])
    }

    @Test func aLiveOneIsRespectedAndItsOwnerNamed() {
        let directory = Directory()
        let first = directory.make()
        let second = directory.make()
        #expect(second.failure?.status == ExitStatus.unavailable)
        #expect(second.failure?.message.contains("(pid \(getpid()))") == true)
        #expect(Sockets.owner(ofPath: directory.path + "/s") == .process(pid: getpid()), "the first still serves")
        first.remove()
        #expect(directory.make().failure == nil)
    }

    @Test func whatACrashLeftBehindIsReplaced() throws {
        let directory = Directory()
        do { _ = directory.make() }
        #expect(directory.names == ["s", "s.lock"], "nobody called remove")
        let old = try #require(try Files.status(directory.path + "/s", followingLinks: false))
        let again = directory.make(mode: 0o660)
        #expect(again.failure == nil)
        let new = try #require(try Files.status(directory.path + "/s", followingLinks: false))
        #expect(old.inode != new.inode)
        #expect(new.mode == 0o660)
        // A crash between bind and rename.
        again.remove()
        do { _ = try Sockets.bindUnix(path: directory.path + "/s.new") }
        #expect(directory.names == ["s.new"])
        #expect(directory.make().failure == nil)
        #expect(directory.names == ["s", "s.lock"])
    }

    @Test func aSocketThatSomebodyElsePutThereIsNotRemoved() throws {
        let directory = Directory()
        let made = directory.make()
        unlink(directory.path + "/s")
        let other = try Sockets.bindUnix(path: directory.path + "/s")
        made.remove()
        #expect(directory.names == ["s"])
        _ = other.number
    }

    @Test(arguments: ["directory", "file", "link", "served"])
    func foreignThingsAreRefusedAndKept(_ kind: String) throws {
        let directory = Directory()
        let path = directory.path + "/s"
        var server: OwnedDescriptor?
        switch kind {
        case "directory": mkdir(path, 0o700)
        case "file": close(creat(path, 0o600))
        case "link": symlink("/nonexistent", path)
        default:
            let socket = try Sockets.bindUnix(path: path)
            try Sockets.listen(socket)
            server = consume socket
        }
        let before = try Files.status(path, followingLinks: false)?.inode
        let failure = try #require(directory.make().failure)
        #expect(failure.status == (kind == "served" ? ExitStatus.unavailable : ExitStatus.cannotCreate))
        #expect(failure.message.contains(path))
        #expect(try Files.status(path, followingLinks: false)?.inode == before)
        #expect(directory.names == ["s"], "no lock is left")
        _ = server.take()
    }

    @Test func pathsMayHave107Bytes() throws {
        let directory = Directory()
        let room = 107 - directory.path.utf8.count - 1
        for count in [room, room - 1, room - 3, room - 4] {
            let made = directory.make(String(repeating: "x", count: count))
            #expect(made.failure == nil, "\(count): \(made.failure?.message ?? "")")
            made.remove()
        }
        let failure = try #require(directory.make(String(repeating: "x", count: room + 1)).failure)
        #expect(failure.status == ExitStatus.configuration)
        #expect(failure.message.contains("108 bytes"))
        #expect(directory.names == [])
    }

    @Test func theDirectoryIsMadeAndReachableForWhomTheSocketIs() throws {
        for (mode, expected) in [(0o600, 0o700), (0o660, 0o755)] as [(UInt32, UInt32)] {
            let directory = Directory()
            let made = directory.make("run/s", mode: mode)
            #expect(made.failure == nil)
            #expect(try Files.status(directory.path + "/run")?.mode == expected)
            made.remove()
        }
    }

    @Test func directoriesOnTheWayAreMadeAsMkdirMakesThem() throws {
        for (mode, expected) in [(0o600, 0o700), (0o660, 0o755)] as [(UInt32, UInt32)] {
            let directory = Directory()
            let made = directory.make("run/app/s", mode: mode)
            #expect(made.failure == nil)
            #expect(try Files.status(directory.path + "/run")?.mode == 0o755)
            #expect(try Files.status(directory.path + "/run/app")?.mode == expected)
            made.remove()
            rmdir(directory.path + "/run/app")
        }
    }

    @Test func whereOthersMayMakeFilesTheLockIsElsewhere() throws {
        let (shared, own) = (Directory(), Directory())
        chmod(shared.path, 0o1777)
        // Somebody else's, who would keep every daemon from starting.
        let squatted = try Files.open(shared.path + "/s.lock", flags: O_RDWR | O_CREAT)
        #expect(try Files.lockExclusively(squatted))
        let first = shared.make(locks: own.path + "/locks")
        #expect(first.failure == nil, "\(first.failure?.message ?? "")")
        #expect(try Files.names(in: own.path + "/locks").count == 1)
        let second = shared.make(locks: own.path + "/locks")
        #expect(second.failure?.status == ExitStatus.unavailable)
        #expect(second.failure?.message.contains("(pid \(getpid()))") == true)
        // Another spelling of the same path.
        symlink(shared.path, own.path + "/link")
        var listener: OwnedDescriptor?
        #expect(throws: StartFailure.self) {
            _ = try StandaloneSocket.make(
                path: own.path + "/link/s", mode: 0o600, group: nil, locks: own.path + "/locks", into: &listener)
        }
        first.remove()
        #expect(try Files.names(in: own.path + "/locks") == [])
        #expect(shared.names == ["s.lock"], "nothing else is left")
        #expect(shared.make(locks: nil).failure?.status == ExitStatus.cannotCreate)
        unlink(own.path + "/link")
        rmdir(own.path + "/locks")
    }

    @Test func inASharedDirectoryAStaleSocketIsReplacedWhateverElseLiesThere() throws {
        let (shared, own) = (Directory(), Directory())
        chmod(shared.path, 0o1777)
        do { _ = try Sockets.bindUnix(path: shared.path + "/s") }
        close(creat(shared.path + "/s.new", 0o600))
        let made = shared.make(locks: own.path + "/locks")
        #expect(made.failure == nil, "\(made.failure?.message ?? "")")
        made.remove()
        #expect(shared.names == ["s.new"])
        rmdir(own.path + "/locks")
    }

    @Test func aGroupIsGivenToSocketsAlone() throws {
        let directory = Directory()
        close(creat(directory.path + "/file", 0o600))
        symlink(directory.path + "/file", directory.path + "/link")
        for name in ["file", "link"] {
            #expect(throws: Errno.self) { try Files.setSocketGroup(directory.path + "/" + name, gid: getegid()) }
        }
        #expect(try Files.status(directory.path + "/file")?.mode == 0o600)
    }

    @Test func aMissingParentThatCannotBeMadeIsNamed() throws {
        var listener: OwnedDescriptor?
        do throws(StartFailure) {
            _ = try StandaloneSocket.make(
                path: "/proc/nope/s", mode: 0o600, group: nil, locks: nil, into: &listener)
            Issue.record("made")
        } catch {
            #expect(error.status == ExitStatus.cannotCreate)
            #expect(error.message.contains("/proc/nope"))
        }
    }
}
