// The table of requests: names are found, the documentation has what the table has, and one row is all that a new type needs.

import LinuxSystem
import Testing
import WireProtocol

@testable import Server

/// A type of request that the daemon does not have: it answers with what it was sent.
private struct EchoRequest: RequestContent {
    typealias Reply = EchoReply
    static var type: RequestType { RequestType("echo", reply: "echo_response") }

    var text: String

    init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        guard let data else { throw DecodeError(.missing(field: "text"), at: 0) }
        var reader = MessagePackReader(data)
        text = ""
        for _ in 0..<(try reader.readMap("data")) {
            guard try reader.readText("key").elementsEqual("text".utf8) else {
                try reader.skip()
                continue
            }
            text = String(decoding: try reader.readText("text"), as: UTF8.self)
        }
    }
}

private struct EchoReply: ReplyData {
    var text = ""
    var count: Int64 = 0

    init() {}

    mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("text", &text)
        visitor.field("count", &count)
    }
}

/// One that answers with a constant.
private struct ConstantRequest: EmptyRequest {
    typealias Reply = EchoReply
    static var type: RequestType { RequestType("constant", reply: "constant_response") }

    init() {}
}

extension EchoRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        let content = try connection.content(EchoRequest.self, of: request.head)
        var reply = EchoReply()
        reply.text = content.text
        reply.count = Int64(content.text.utf8.count)
        return connection.reply(reply, to: request)
    }
}

extension ConstantRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        connection.reply(EchoReply(), to: request)
    }
}

/// Two types whose names have one hash.
private struct FirstNamed: EmptyRequest, DirectlyAnsweredRequest {
    typealias Reply = EmptyReply
    static var type: RequestType { RequestType("axb", reply: "x") }

    init() {}

    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        .passedOn
    }
}

private struct SecondNamed: EmptyRequest, DirectlyAnsweredRequest {
    typealias Reply = EmptyReply
    static var type: RequestType { RequestType("ayb", reply: "y") }

    init() {}

    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        .passedOn
    }
}

@Suite struct RequestTableTests {
    private func row(_ name: String, in table: RequestTable) -> RequestRow? {
        var name = name
        return name.withUTF8 { table.row(named: UnsafeRawBufferPointer($0)) }
    }

    @Test func everyTypeIsFoundByItsName() {
        let table = RequestTable(RequestTable.standard)
        #expect(table.rows.count == 21)
        for (number, expected) in RequestTable.standard.enumerated() {
            let found = row("\(expected.type.name)", in: table)
            #expect(found.map { "\($0.type.name)" } == "\(expected.type.name)")
            #expect(found?.number == UInt8(number))
            let isHealthCheck = "\(expected.type.name)" == "health_check"
            #expect(
                "\(expected.type.replyName)" == (isHealthCheck ? "health_response" : "\(expected.type.name)_response"))
        }
    }

    /// They are in memory that a later version reads.
    @Test func numbersStayWhatTheyAre() {
        let names = RequestTable(RequestTable.standard).rows.map { "\($0.type.name)" }
        #expect(
            names.prefix(15) == [
                "health_check", "hello", "list_databases", "db_connect", "db_disconnect", "query", "batch", "describe",
                "fetch", "cancel", "stats", "reload", "activity", "backup", "export",
            ])
    }

    @Test(arguments: [
        "", "q", "Query", "querx", "quer", "statz", "sxxxx", "cancelled", "health_response", "db_konnect",
    ])
    func unknownTypes(name: String) {
        #expect(row(name, in: RequestTable(RequestTable.standard)).map(\.number) == nil)
    }

    /// They lie one behind the other.
    @Test func namesWithTheSameHashAreFound() {
        let table = RequestTable([
            RequestRow(FirstNamed.self, for: .everybody), RequestRow(SecondNamed.self, for: .everybody),
        ])
        #expect(row("axb", in: table)?.number == 0)
        #expect(row("ayb", in: table)?.number == 1)
        #expect(row("azb", in: table).map(\.number) == nil)
    }

    // MARK: A new type

    @Test func aRowIsAllThatANewTypeNeeds() throws {
        let server = try ServerHarness(
            requests: RequestTable.standard + [
                RequestRow(EchoRequest.self, for: .everybody), RequestRow(ConstantRequest.self, for: .everybody),
            ])
        defer { server.stop() }
        let client = try server.client()
        #expect(client.ask(#"{"id":1,"type":"constant"}"#)?.contains(#""type":"constant_response""#) == true)
        let echoed = client.ask(#"{"id":"e","type":"echo","data":{"text":"Zoë"}}"#)
        #expect(echoed?.contains(#""id":"e","type":"echo_response""#) == true)
        #expect(echoed?.contains(#""data":{"text":"Zoë","count":4}"#) == true)
        let refused = client.ask(#"{"id":2,"type":"echo"}"#)
        #expect(refused?.contains(#""type":"error""#) == true && refused?.contains("text") == true)
        // What is told of types comes from the table, too.
        let unknown = client.ask(#"{"id":3,"type":"echoes"}"#)
        #expect(unknown?.contains(", echo, constant.") == true)
        #expect(client.ask(#"{"id":4,"type":"stats"}"#)?.contains(#""echo":2,"constant":1"#) == true)
        #expect(server.log.contains { $0.contains(": echo 2 failed with bad_request") })
        // The worker that decodes long requests finds it as well.
        let long = String(repeating: "x", count: 2 * LongRequest.byteCountMin)
        let answer = client.ask(#"{"id":5,"type":"echo","data":{"text":""# + long + #""}}"#)
        #expect(answer?.contains(#""count":\#(long.utf8.count)"#) == true)
    }

    @Test func aTypeOfOneTableIsUnknownToAnother() throws {
        let server = try ServerHarness()
        defer { server.stop() }
        #expect(try server.client().ask(#"{"id":1,"type":"echo"}"#)?.contains("unknown_type") == true)
    }

    // MARK: The documentation

    /// The third column of the table of requests, by type, and what the row's links lead to.
    private static func documented() throws -> [String: (row: Set<String>, linked: Set<String>)] {
        let root = #filePath.components(separatedBy: "/").dropLast(3).joined(separator: "/")
        let bytes = try Files.read("\(root)/docs/protocol.md", byteCountMax: 1 << 20)
        let text = String(decoding: bytes, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var found: [String: (row: Set<String>, linked: Set<String>)] = [:]
        for line in Self.body("Requests", of: lines) where line.hasPrefix("| `") {
            let cells = String(line.dropFirst(2).dropLast(2)).components(separatedBy: " | ")
            guard cells.count == 3, let name = Self.words(cells[0]).first else { continue }
            var linked = Set<String>()
            for anchor in Self.anchors(cells[2]) {
                if let title = lines.first(where: { $0.lowercased() == "## \(anchor)" }) {
                    linked.formUnion(Self.body(String(title.dropFirst(3)), of: lines).flatMap(Self.words))
                } else {
                    for line in lines where line.contains("<a id=\"\(anchor)\">") { linked.formUnion(Self.words(line)) }
                }
            }
            found[name] = (Set(Self.words(cells[2])), linked)
        }
        return found
    }

    /// The lines of a section.
    private static func body(_ title: String, of lines: [String]) -> [String] {
        Array(lines.drop { $0 != "## \(title)" }.dropFirst().prefix { !$0.hasPrefix("## ") })
    }

    /// What stands between backquotes.
    private static func words(_ text: String) -> [String] {
        text.components(separatedBy: "`").enumerated().filter { !$0.offset.isMultiple(of: 2) }.map(\.element)
    }

    private static func anchors(_ text: String) -> [String] {
        text.components(separatedBy: "](#").dropFirst().compactMap { $0.components(separatedBy: ")").first }
    }

    @Test func everyTypeAndEveryFieldIsDocumented() throws {
        let documented = try Self.documented()
        #expect(Set(documented.keys) == Set(RequestTable.standard.map { "\($0.type.name)" }))
        for row in RequestTable.standard {
            let name = "\(row.type.name)"
            let fields = Set(row.content.replyFieldNames)
            let (inRow, linked) = try #require(documented[name])
            // Of users, what is counted is told with its peak.
            let undocumented = fields.filter {
                !inRow.contains($0) && !linked.contains($0)
                    && !linked.contains($0.replacingSuffix("_peak", with: ""))
            }
            #expect(undocumented.isEmpty, "\(name): comes, and is not documented")
            let types = Set(documented.keys).union(["query_response"])
            // `fetch` has the reply of its query.
            let missing = name == "fetch" ? [] : inRow.subtracting(fields).subtracting(types)
            #expect(missing.isEmpty, "\(name): documented, and does not come")
        }
    }
}

extension String {
    fileprivate func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = Substring(self)
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }

    fileprivate func replacingSuffix(_ suffix: String, with other: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) + other : self
    }
}
