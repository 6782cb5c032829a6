// The table of message ids against the journal's catalog, both ways.

import LinuxSystem
import Testing

@testable import Server

@Suite struct MessageCatalogTests {
    private struct Entry {
        var id: String
        /// The comment in front of it: the name in the table.
        var name: String
        var head: [Substring]
        var body: [Substring]
    }

    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

    private static func entries() throws -> [Entry] {
        let text = String(
            decoding: try Files.read("\(root)/systemd/litebase.catalog", byteCountMax: 65_536), as: UTF8.self)
        var entries: [Entry] = []
        var comment = ""
        var isHead = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("# ") {
                comment = String(line.dropFirst(2))
            } else if line.hasPrefix("-- ") {
                entries.append(Entry(id: String(line.dropFirst(3)), name: comment, head: [], body: []))
                isHead = true
            } else if !entries.isEmpty {
                if line.isEmpty { isHead = false }
                if isHead {
                    entries[entries.count - 1].head.append(line)
                } else {
                    entries[entries.count - 1].body.append(line)
                }
            }
        }
        return entries
    }

    @Test func tableAndCatalogHaveTheSameIDs() throws {
        let entries = try Self.entries()
        #expect(entries.map(\.id) == MessageID.allCases.map(\.rawValue))
        #expect(entries.map(\.name) == MessageID.allCases.map { "\($0)" })
    }

    @Test func theGuideForAdministratorsNamesEveryMessage() throws {
        let guide = String(
            decoding: try Files.read("\(Self.root)/docs/operations.md", byteCountMax: 1 << 20), as: UTF8.self)
        let words = Set(guide.split { !$0.isLetter }.map(String.init))
        for id in MessageID.allCases { #expect(words.contains("\(id)")) }
    }

    /// sd-id128(3): 32 hexadecimal digits; those of systemd-id128 are UUIDs of version 4.
    @Test(arguments: MessageID.allCases)
    func idsAreRandom(_ id: MessageID) {
        let digits = Array(id.rawValue)
        #expect(digits.count == 32 && digits.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        #expect(digits[12] == "4" && "89ab".contains(digits[16]))
    }

    @Test func everyEntryIsComplete() throws {
        for entry in try Self.entries() {
            #expect(entry.head.count == 3 && entry.head[0].hasPrefix("Subject: "), "\(entry.name)")
            #expect(entry.head[1] == "Defined-By: LiteBase" && entry.head[2].hasPrefix("Documentation: man:"))
            #expect(entry.body.contains { !$0.isEmpty }, "\(entry.name)")
            for line in entry.body { #expect(line.count <= 80, "\(entry.name): \(line)") }
        }
    }

    /// One observation of each kind that the server makes, with as little known as possible.
    private static let observations: [Observation] = [
        .listening(address: "unix:/s", inherited: true), .connectionRefused(limitName: "l", limit: 1, peer: nil),
        .protocolViolation(connection: 1, peer: nil, reason: "r"), .acceptFailed(.tooManyFiles, pauseMilliseconds: 1),
        .databaseOpened(name: "d", path: "/p"), .databaseFailed(name: "d", reason: "r"),
        .databaseLost(name: "d", reason: "r", untoldCount: 0),
        .databaseBack(name: "d", path: "p", lostMilliseconds: 1, untoldCount: 1),
        .databaseMoved(name: "d", host: "b:1", formerHost: "a:1"), .databaseReplaced(name: "d", change: "c"),
        .reloaded(databaseCount: 1),
        .databasesShareFile(SharedFile(name: "d", otherName: "e", path: "/p")),
        .draining(connectionCount: 1, requestCount: 1), .stopped, .restored(connectionCount: 1, closedCount: 0),
        .userExhausted(limitName: "l", limit: 1, peer: nil), .userWaits(uid: 1, crashCount: 2, seconds: 2),
        .requestCutOff(CutOffRequest(connection: 1, peer: nil, type: "query", database: nil, requestCount: 1)),
        .readerStalled(connection: 1, peer: nil, limit: 1, byteCount: 1),
        .workTerminated(connection: 1, peer: nil, what: "query 3", target: 2, targetPeer: nil),
        .transactionExpired(connection: 1, peer: nil, session: "s", database: "d", limit: 1),
        .accessDenied(connection: 1, peer: nil, right: .reload, database: nil, program: nil),
        .slowStatement(Self.statement, sql: nil), .databaseTrouble(Self.statement, reason: "r"),
        .suppressed(SuppressedMessages(id: .stopped, level: .info, count: 1)),
    ]

    private static let statement = {
        var facts = RequestFacts(connection: 1, peer: nil, request: "1", type: "query")
        facts.database = "d"
        facts.microseconds = 1
        return facts
    }()

    /// `journalctl -x` leaves @FIELD@ as it is where the message has no such field.
    @Test func everyFieldOfTheCatalogIsInTheMessage() throws {
        let entries = try Self.entries()
        for observation in Self.observations {
            let record = observation.record
            let entry = try #require(entries.first { $0.id == record.messageID })
            for field in Self.fields(in: entry.body) {
                #expect(record.fields.contains { $0.name == field }, "\(entry.name): \(field)")
            }
        }
    }

    private static func fields(in body: [Substring]) -> [String] {
        let parts = body.joined(separator: "\n").split(separator: "@", omittingEmptySubsequences: false)
        return parts.filter { $0.hasPrefix("LITEBASE_") && !$0.contains(" ") }.map(String.init)
    }
}
