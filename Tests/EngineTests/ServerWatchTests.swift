// What the log is told of a server that comes and goes.

import LinuxSystem
import Testing

@testable import DatabaseContract
@testable import RemoteDatabases

struct ServerWatchTests {
    private static let lost = DriverError(.connectFailed, "Nobody answers.")

    private static func at(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: (1_000 + seconds) * 1_000_000_000)
    }

    @Test func eachChangeIsToldOnce() throws {
        var news = ServerNews()
        #expect(news.isReachable == nil)
        let first = news.note(nil, of: 1, at: Self.at(0))
        #expect(first?.isFirst == true && first?.error == nil)
        #expect(news.note(nil, of: 1, at: Self.at(1)) == nil)
        let gone = news.note(Self.lost, of: 1, at: Self.at(2))
        #expect(gone?.error?.details.message == "Nobody answers." && gone?.isFirst == false)
        #expect(news.note(Self.lost, of: 1, at: Self.at(3)) == nil)
        let told = news.note(nil, of: 1, at: Self.at(7))
        let back = try #require(told)
        #expect(back.error == nil && back.lostMilliseconds == 5_000 && back.untoldCount == 0)
    }

    @Test func theStateIsOfTheLastAttempts() {
        var watch = ServerWatch()
        #expect(watch.state.isReachable == nil)
        watch.note(nil, at: Self.at(0))
        watch.note(Self.lost, at: Self.at(2))
        watch.note(Self.lost, at: Self.at(3))
        #expect(watch.state.isReachable == false)
        #expect(watch.state.since == Self.at(2) && watch.state.lastAttempt == Self.at(3))
        watch.note(nil, at: Self.at(7))
        #expect(watch.state.isReachable == true && watch.state.lastFailure?.at == Self.at(3))
    }

    @Test func theServerInUseIsTheOneThatWasTakenLast() {
        var watch = ServerWatch()
        watch.note(nil, at: Self.at(0))
        #expect(watch.state.host == nil)
        watch.note(nil, server: "a:1", at: Self.at(1))
        watch.note(Self.lost, at: Self.at(2))
        #expect(watch.state.host == "a:1")
        watch.note(nil, server: "b:1", at: Self.at(3))
        #expect(watch.state.host == "b:1")
    }

    @Test func anotherServerIsToldOnceForEachLogin() {
        var news = ServerNews()
        func take(_ server: String?, of login: Int, at second: Int64) -> ServerChange? {
            news.note(server == nil ? Self.lost : nil, server: server, of: login, at: Self.at(second * 100))
        }
        let first = take("a", of: 1, at: 0)
        #expect(first?.isFirst == true && first?.host == "a" && first?.formerHost == nil)
        #expect(take("b", of: 2, at: 1) == nil && take("a", of: 1, at: 2) == nil)
        let moved = take("b", of: 1, at: 3)
        #expect(moved?.host == "b" && moved?.formerHost == "a" && moved?.error == nil)
        #expect(take("b", of: 1, at: 4) == nil)
        // What is lost comes back at another one: one message.
        #expect(take(nil, of: 1, at: 5)?.error != nil)
        let back = take("c", of: 1, at: 6)
        #expect(back?.formerHost == nil && back?.host != nil && take("c", of: 1, at: 7) == nil)
        news.forget(1)
        #expect(take("d", of: 1, at: 8) == nil)
    }

    @Test func serversThatChangeAllTheTimeFillNoLog() {
        var news = ServerNews()
        var told = 0
        for step in 0..<36_000 {
            let now = Self.at(0).advanced(byMilliseconds: Int64(step) * 100)
            if news.note(nil, server: step % 2 == 0 ? "a" : "b", of: 1, at: now) != nil { told += 1 }
        }
        #expect(told > 50 && told <= Int(ServerNews.burstCount) + 3_600_000 / Int(ServerNews.tellingMilliseconds) + 1)
    }

    @Test func twoLoginsOfAServerAreLostAndBackOnce() {
        var news = ServerNews()
        var second: Int64 = 0
        func hear(_ error: DriverError?, of login: Int) -> Bool? {
            second += 1
            return news.note(error, of: login, at: Self.at(second * 100)).map { $0.error == nil }
        }
        #expect(hear(nil, of: 1) == true && hear(nil, of: 2) == nil)
        #expect(hear(Self.lost, of: 1) == false && hear(Self.lost, of: 2) == nil && hear(Self.lost, of: 1) == nil)
        #expect(hear(nil, of: 2) == true && hear(nil, of: 1) == nil)
        // Lost for the one alone, whose password is wrong: the other says nothing about that.
        #expect(hear(Self.lost, of: 2) == false && hear(nil, of: 1) == nil && hear(nil, of: 1) == nil)
        #expect(hear(nil, of: 2) == true)
        // Both are lost, and only the one comes back: the other says so itself.
        #expect(hear(Self.lost, of: 1) == false && hear(Self.lost, of: 2) == nil && hear(nil, of: 1) == true)
        #expect(hear(Self.lost, of: 2) == false)
        // Its configuration is corrected.
        news.forget(2)
        #expect(news.isReachable == nil && news.takeNews(at: Self.at(9_000)) == nil)
        #expect(hear(nil, of: 3) == true)
    }

    @Test func aServerThatComesAndGoesFillsNoLog() {
        var news = ServerNews()
        var told = 0
        var untold = 0
        // Every tenth of a second for an hour.
        for step in 0..<36_000 {
            let now = Self.at(0).advanced(byMilliseconds: Int64(step) * 100)
            guard let change = news.note(step % 2 == 0 ? Self.lost : nil, of: 1, at: now) else { continue }
            told += 1
            untold += change.untoldCount
        }
        let most = Int(ServerNews.burstCount) + 3_600_000 / Int(ServerNews.tellingMilliseconds) + 1
        #expect(told > most / 2 && told <= most)
        #expect(told + untold <= 36_000 && told + untold > 35_000)
    }

    @Test func theLastMessageIsTrueInTheEnd() {
        var news = ServerNews()
        var state: Bool?
        func hear(_ change: ServerChange?) { if let change { state = change.error == nil } }
        for step in 0..<21 { hear(news.note(step % 2 == 0 ? Self.lost : nil, of: 1, at: Self.at(0))) }
        #expect(news.isReachable == false)
        // Its burst ended with the other one; nobody tries any more.
        for second in 1..<60 { hear(news.takeNews(at: Self.at(Int64(second)))) }
        #expect(state == false)
        #expect(news.takeNews(at: Self.at(600)) == nil)
    }
}

struct ReachHintTests {
    @Test(arguments: [
        "Permission denied", "connection to server on socket \"/run/x/.s.PGSQL.5432\" failed: Permission denied",
        "Can't connect to local server through socket '/run/mysqld/mysqld.sock' (13)",
    ])
    func aSocketThatMayNotBeUsedIsAMatterOfGroups(reason: String) {
        #expect(RemoteErrors.reachHint(reason).contains("a group that it was added to is in force after a restart"))
    }

    @Test func otherwiseTheServerIsLookedAt() {
        #expect(RemoteErrors.reachHint("Connection refused").hasPrefix("Check that the server runs, and the URL"))
    }
}
