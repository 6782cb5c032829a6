// An engine that the server has never heard of is registered, and answers queries through a real server.

import DatabaseContract
import Glibc
import LinuxSystem
import Testing

@testable import Server

@Suite("An engine from outside")
struct ToyEngineTests {
    private static func harness() throws -> ServerHarness {
        try ServerHarness(engines: EngineRegistry([.toy]), url: "toy:counter")
    }

    /// Without the time that it took, which is the last of its fields.
    private static func rows(_ reply: String?) -> String? {
        reply.flatMap { $0.split(separator: #""rows":"#).dropFirst().first }.map { String($0.prefix { $0 != "}" }) }
            .flatMap { $0.split(separator: #","elapsed_us""#).first.map(String.init) }
    }

    @Test func rowsComeFromIt() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let client = try harness.client()
        let reply = client.ask(#"{"id":1,"type":"query","data":{"sql":"count 3"}}"#)
        #expect(reply?.contains(#""columns":[{"name":"n","type":"integer","declared_type":null}]"#) == true)
        #expect(Self.rows(reply)?.hasPrefix(#"[[1],[2],[3]],"more":false,"row_count":3"#) == true, "\(reply ?? "")")
        // Page by page: it is resumed.
        let first = client.ask(#"{"id":2,"type":"query","data":{"sql":"count 3","page_rows":2}}"#)
        #expect(Self.rows(first)?.hasPrefix(#"[[1],[2]],"more":true"#) == true, "\(first ?? "")")
        let second = client.ask(#"{"id":3,"type":"fetch","data":{"request":2}}"#)
        #expect(Self.rows(second)?.hasPrefix(#"[[3]],"more":false,"row_count":3"#) == true, "\(second ?? "")")
    }

    /// It has the next rows at once: they are made within the end of a turn, which decided what to wait for before.
    @Test func aClientThatReadsLateGetsAllRows() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let client = try harness.client()
        client.send(#"{"id":1,"type":"query","data":{"sql":"count 400000"}}"# + "\n")
        // Until the output is full, and then each time that some of it was read.
        var frameCount = 0
        while let frame = client.line() {
            frameCount += 1
            if frameCount % 4 == 1 { usleep(20_000) }
            if frame.contains(#""more":false"#) {
                #expect(frame.contains(#""row_count":400000"#), "\(frame.suffix(200))")
                return
            }
        }
        Issue.record("the rest never came, after \(frameCount) frames")
    }

    @Test func itsErrorsAreTold() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let reply = try harness.client().ask(#"{"id":1,"type":"query","data":{"sql":"SELECT 1"}}"#)
        for part in [#""code":"syntax_error""#, "A toy counts or waits.", "Try count 3.", "42601"] {
            #expect(reply?.contains(part) == true, "\(part): \(reply ?? "")")
        }
    }

    @Test func whatItDoesIsCancelled() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let client = try harness.client()
        client.send(#"{"id":1,"type":"query","data":{"sql":"wait"}}"# + "\n")
        client.send(#"{"id":2,"type":"cancel","data":{"request":1}}"# + "\n")
        let replies = [client.line(), client.line()].compactMap(\.self)
        #expect(replies.contains { $0.contains(#""id":1,"#) && $0.contains(#""code":"cancelled""#) }, "\(replies)")
        #expect(replies.contains { $0.contains(#""id":2,"#) && $0.contains(#""cancelled":true"#) }, "\(replies)")
        #expect(Self.rows(client.ask(#"{"id":3,"type":"query","data":{"sql":"count 1"}}"#))?.hasPrefix("[[1]]") == true)
    }

    @Test func sessionsAndListsNameIt() throws {
        let harness = try Self.harness()
        defer { harness.stop() }
        let client = try harness.client()
        let opened = client.ask(#"{"id":1,"type":"db_connect","data":{"database":"default"}}"#)
        #expect(opened?.contains(#""engine":"toy","server_version":"1.0""#) == true, "\(opened ?? "")")
        #expect(client.ask(#"{"id":2,"type":"list_databases"}"#)?.contains(#""engine":"toy""#) == true)
        // What no engine of this server knows, and what its own engine refuses.
        let unknown = client.ask(#"{"id":3,"type":"db_connect","data":{"url":"sqlite:/tmp/x"}}"#)
        #expect(unknown?.contains("Use toy:NAME.") == true, "\(unknown ?? "")")
        let refused = client.ask(#"{"id":4,"type":"db_connect","data":{"url":"toy:"}}"#)
        #expect(refused?.contains("A toy has a name.") == true, "\(refused ?? "")")
    }
}

@Suite struct EngineRegistryTests {
    @Test func aURLLeadsToOneEngine() throws {
        let registry = EngineRegistry([.toy])
        #expect(try registry.location(url: "toy:x").label == "toy:x")
        #expect(!registry.isRemote("toy:x") && !registry.isRemote("mysql://h/d"))
        let error = #expect(throws: DriverError.self) { try registry.location(url: "mysql://h/d") }
        #expect(error?.details.message == "The URL scheme \"mysql\" is not known.")
        #expect(error?.details.hint == "Use toy:NAME.")
    }

    /// A word in front of a colon is a user's name unless it is the scheme of a server.
    @Test func secretsAreHiddenWhateverIsRegistered() {
        let registry = EngineRegistry([.toy])
        #expect(registry.withoutSecrets("mysql://joe:secret@h/d") == "mysql://joe:***@h/d")
        #expect(registry.withoutSecrets("joe:secret@h") == "joe:***@h")
        #expect(registry.withoutSecrets("toy:joe@x") == "toy:joe@x")
        #expect(registry.withoutSecrets("/a:b@c") == "/a:b@c")
    }
}
