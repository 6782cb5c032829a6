// Users, groups, peers and other processes.

import Glibc
import Testing

@testable import LinuxSystem

@Suite struct ProcessUsersTests {
    @Test(arguments: [("root", 0), ("0", 0), ("1001", 1001), ("4294967294", 4_294_967_294)] as [(String, UInt32)])
    func usersHaveNumbers(_ name: String, _ number: UInt32) {
        #expect(Process.userID(name) == number)
        #expect(Process.groupID(name) == number)
    }

    @Test(arguments: ["", "no such name", "-1", "+1", "4294967295", "4294967296", "0x0", " 0"])
    func othersHaveNone(_ name: String) {
        #expect(Process.userID(name) == nil)
        #expect(Process.groupID(name) == nil)
    }

    @Test func theProgramOfAProcessIsSeen() throws {
        let own = try #require(Process.executable(pid: Process.pid, ageNanoseconds: 0))
        #expect(own.hasPrefix("/"))
        // Nobody is as old as the machine: the number belonged to somebody else then.
        #expect(Process.executable(pid: Process.pid, ageNanoseconds: .max / 2) == nil)
        #expect(Process.executable(pid: 0, ageNanoseconds: 0) == nil)
    }

    @Test func groupsOfAPeerAreThoseOfItsProcess() throws {
        let path = "/tmp/litebase-test-\(Process.pid).sock"
        let listener = try Sockets.bindUnix(path: path)
        defer { unlink(path) }
        try Sockets.listen(listener)
        let client = try Sockets.connectUnix(path: path)
        guard let server = try Sockets.accept(listener), let peer = Sockets.peer(of: server) else {
            Issue.record("nobody has connected")
            return
        }
        var own = [gid_t](repeating: 0, count: 65_536)
        let count = Int(getgroups(Int32(own.count), &own))
        #expect(Set(Sockets.groups(of: server, peer)) == Set(own.prefix(count) + [getegid()]))
        withExtendedLifetime(client.number) {}
    }

    @Test func listsOfGroupsGrow() {
        let groups = [UInt32](0..<200)
        var calls = 0
        let read = GroupList.read { buffer, count in
            calls += 1
            defer { count = groups.count }
            guard count >= groups.count else { return false }
            for (index, group) in groups.enumerated() { buffer[index] = group }
            return true
        }
        #expect(read == groups)
        #expect(calls == 2)
        #expect(GroupList.read { _, _ in false } == nil)
        #expect(
            GroupList.read { buffer, count in
                count = 0; return true
            } == [])
    }
}
