// Envelopes and the data of every request.

import ByteBuffers
import LiteBaseTesting
import Testing
import WireProtocol

/// Calls `body` with the MessagePack of a JSON request.
private func withRequest(_ json: String, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    try withBytes(try transcoded(json), body)
}

/// Calls `body` with the data of a request that has this JSON as its data.
private func withData(_ data: String, _ body: (UnsafeRawBufferPointer?) throws -> Void) throws {
    try withRequest("{\"id\":1,\"type\":\"query\",\"data\":\(data)}") { try body(try RequestHead.decode($0).data) }
}

private func text(_ bytes: UnsafeRawBufferPointer?) -> String? {
    bytes.map { String(decoding: $0, as: UTF8.self) }
}

@Suite struct RequestHeadTests {
    @Test(arguments: ["health_check", "Query", "", "a type that no version knows"])
    func typeNames(name: String) throws {
        try withRequest("{\"id\":1,\"type\":\"\(name)\",\"data\":{}}") {
            let head = try RequestHead.decode($0)
            #expect(text(head.typeName) == name)
            #expect(head.isOf(HealthRequest.type) == (name == "health_check"))
        }
    }

    /// The frame that the clients of the Go backend send: str16 and str8 lengths as its library writes them, a timestamp
    /// of extension type −1, nil data.
    @Test func goClient() throws {
        let body = joined(
            [0x84, 0xa2], utf8("id"), [0xd9, 0x24], utf8("0b0e1f2a-1111-4222-8333-944455566677"),
            [0xa4], utf8("type"), [0xac], utf8("health_check"), [0xa9], utf8("timestamp"),
            [0xd7, 0xff, 0x1d, 0x6f, 0x34, 0x54, 0x6b, 0x03, 0x7e, 0x26], [0xa4], utf8("data"), [0xc0])
        try withBytes(body) {
            #expect(WireFormats.all.encoding(of: $0, in: .lengthPrefixed) == .messagePack)
            let head = try RequestHead.decode($0)
            #expect(head.isOf(HealthRequest.type))
            #expect(head.data == nil)
            guard case .string(let id) = head.id else {
                Issue.record("the id is text")
                return
            }
            #expect(text(id) == "0b0e1f2a-1111-4222-8333-944455566677")
        }
    }

    @Test func unknownFieldsAndOrderDoNotMatter() throws {
        try withRequest("{\"z\":[{\"q\":1}],\"data\":{\"sql\":\"x\"},\"timestamp\":true,\"type\":\"query\",\"id\":5}") {
            let head = try RequestHead.decode($0)
            #expect(head.id == .integer(5))
            #expect(head.data?.first == 0xdf)
        }
    }

    @Test(
        arguments: [
            ("\"\"", Value.string("")), ("\"ä\\u0000\"", .string("ä\0")), ("0", .integer(0)), ("-1", .integer(-1)),
            ("9007199254740993", .integer(9_007_199_254_740_993)), ("-9223372036854775808", .integer(.min)),
            ("18446744073709551615", .unsigned(.max)),
        ])
    func idsAreEchoedExactly(json: String, expected: Value) throws {
        try withRequest("{\"id\":\(json),\"type\":\"stats\"}") {
            let id = try RequestHead.decode($0).id
            for encoding in [WireEncoding.json, .messagePack] {
                var output = ByteBuffer()
                var writer = MessageWriter(encoding: encoding, framing: .lengthPrefixed)
                writer.begin(
                    type: "error", id: id, timestamp: WireTimestamp(nanosecondsSince1970: 0), into: &output)
                writer.end(into: &output)
                let body = Array(output.readable.dropFirst(4))
                let message = try Value(messagePack: encoding == .json ? transcoded(body) : body)
                #expect(message["id"] == expected)
                if encoding == .json { #expect(String(decoding: body, as: UTF8.self).contains("{\"id\":\(json),")) }
            }
        }
    }

    @Test(
        arguments: [
            ("{\"type\":\"stats\"}", nil, "id is missing"),
            ("{\"id\":1}", .integer(1), "type is missing"),
            ("{\"id\":null,\"type\":\"stats\"}", nil, "id must be text or an integer"),
            ("{\"id\":1.5,\"type\":\"stats\"}", nil, "id must be text or an integer"),
            ("{\"id\":[],\"type\":\"stats\"}", nil, "id must be text or an integer"),
            ("{\"id\":{\"$blob\":\"AAAA\"},\"type\":\"stats\"}", nil, "id must be text or an integer"),
            ("{\"type\":5,\"id\":7}", .integer(7), "type must be text"),
            ("{\"data\":[],\"type\":\"stats\",\"id\":7}", .integer(7), "data must be a map or null"),
            ("{\"data\":\"x\",\"type\":\"stats\",\"id\":\"ä\"}", .string("ä"), "data must be a map or null"),
        ] as [(String, Value?, String)])
    func badEnvelopes(json: String, id: Value?, words: String) throws {
        let body = try transcoded(json)
        try Self.expectFailure(body, id: id, words: words, code: .badRequest)
    }

    @Test func idsHaveALength() throws {
        let longest = String(repeating: "i", count: WireLimits.requestIDByteCountMax)
        _ = try withRequest("{\"id\":\"\(longest)\",\"type\":\"stats\"}") { _ = try RequestHead.decode($0).id }
        let body = try transcoded("{\"id\":\"\(longest)i\",\"type\":\"stats\"}")
        try Self.expectFailure(body, id: nil, words: "at most 128 bytes", code: .badRequest)
    }

    /// The error reply carries the id even when what follows it is broken.
    @Test(
        arguments: [
            (
                Value.dictionary(["id": .integer(3), "type": .string("query"), "data": .map([])]).messagePack
                    .dropLast(), nil
            ),
            ([0x82, 0xa2, 0x69, 0x64, 0x03, 0xc1, 0xc1], .integer(3)),
            ([0x83, 0xa1, 0x78, 0x90, 0xa2, 0x69, 0x64, 0xa1, 0x61, 0xa1, 0x78, 0xc1], .string("a")),
            ([0x82, 0xa2, 0x69, 0x64, 0x03, 0xa2, 0x69, 0x64, 0x04], .integer(3)),
            ([0x81, 0xa2, 0x69, 0x64, 0x03, 0xc0], .integer(3)),
            ([0x90], nil), ([], nil), ([0x85, 0xa2], nil), ([0x81, 0x01, 0x02], nil),
        ] as [(ArraySlice<UInt8>, Value?)])
    func brokenBodies(body: ArraySlice<UInt8>, id: Value?) throws {
        let expected = body.count > 20 ? Value.integer(3) : id
        try Self.expectFailure(Array(body), id: expected, words: "Byte ", code: .badFrame)
    }

    static func expectFailure(_ body: [UInt8], id: Value?, words: String, code: ErrorCode) throws {
        withBytes(body) {
            do throws(HeadError) {
                _ = try RequestHead.decode($0)
                Issue.record("accepted")
            } catch {
                #expect(error.error.message.contains(words), "\(error.error.message)")
                #expect(error.error.code == code)
                switch (error.id, id) {
                case (.integer(let found), .integer(let wanted)): #expect(found == wanted)
                case (.string(let found), .text(let wanted)): #expect(Array(found) == wanted)
                case (.none, nil): break
                default: Issue.record("another id: \(error.id)")
                }
            }
        }
    }

    @Test func reply() throws {
        let body = Value.dictionary([
            "id": .integer(3), "type": .string("query_response"), "timestamp": .ext(-1, [0, 0, 0, 1]),
            "data": .dictionary(["more": .bool(false)]),
        ]).messagePack
        try withBytes(body) {
            let head = try ReplyHead.decode($0)
            #expect(head.id == .integer(3))
            #expect(text(head.typeName) == "query_response")
            #expect(try Value(messagePack: Array(head.data ?? $0)) == .dictionary(["more": .bool(false)]))
        }
        for count in 0..<body.count - 6 {
            withBytes(Array(body[..<count])) { cut in
                #expect(throws: DecodeError.self) { _ = try ReplyHead.decode(cut) }
            }
        }
        try withBytes(Value.dictionary(["data": .null, "type": .string("x"), "id": .null]).messagePack) {
            let head = try ReplyHead.decode($0)
            #expect(head.data == nil)
            #expect(head.id == .none)
        }
    }
}

@Suite struct RequestDataTests {
    @Test func hello() throws {
        try withData("{\"client\":\"c\",\"protocol\":[2,1,99999999999999999999e0],\"int64\":\"string\"}") { data in
            #expect(throws: DecodeError.self) { try HelloRequest(data) }
        }
        try withData("{\"client\":\"c\",\"protocol\":[2,1],\"int64\":\"string\"}") {
            let hello = try HelloRequest($0)
            #expect(text(hello.client) == "c")
            #expect(hello.speaksVersion1)
            #expect(hello.int64 == .string)
        }
        try withData("{\"protocol\":[18446744073709551615],\"int64\":\"number\"}") {
            let hello = try HelloRequest($0)
            #expect(!hello.speaksVersion1 && hello.int64 == .number)
        }
        let empty = try HelloRequest(nil)
        #expect(empty.client == nil && empty.speaksVersion1 && empty.int64 == .tagged)
    }

    @Test func connect() throws {
        try withData("{\"database\":\"d\",\"read_only\":true,\"x\":{}}") {
            let connect = try ConnectRequest($0)
            #expect(text(connect.database) == "d")
            #expect(connect.url == nil && connect.readOnly)
        }
        try withData("{\"url\":\"sqlite:x\",\"database\":null,\"read_only\":null}") {
            let connect = try ConnectRequest($0)
            #expect(text(connect.url) == "sqlite:x")
            #expect(!connect.readOnly)
        }
        try withData("{\"session\":\"s\"}") {
            let disconnect = try DisconnectRequest($0)
            #expect(text(disconnect.session) == "s")
        }
    }

    @Test func query() throws {
        try withData("{\"sql\":\"S\",\"session\":\"s\",\"timeout_ms\":5,\"max_rows\":6,\"page_rows\":7}") {
            let query = try QueryRequest($0)
            #expect(text(query.sql) == "S")
            #expect(text(query.target.session) == "s")
            #expect(query.target.database == nil)
            #expect(query.timeoutMilliseconds == 5 && query.maxRows == 6 && query.pageRows == 7)
            #expect(query.parameters.count == 0)
        }
        try withData("{\"sql\":\"\",\"database\":\"d\",\"params\":null,\"timeout_ms\":null}") {
            let query = try QueryRequest($0)
            #expect(query.sql.count == 0 && query.timeoutMilliseconds == nil)
            #expect(text(query.target.database) == "d")
        }
    }

    @Test func parametersByPosition() throws {
        let json = "[null,true,-1,18446744073709551615,1.5,\"t\\u0000\",{\"$blob\":\"AAE=\"}]"
        try withData("{\"sql\":\"S\",\"params\":\(json)}") {
            let list = try QueryRequest($0).parameters
            #expect(list.count == 7 && !list.isNamed)
            let expected = ["null", "true", "-1", "u18446744073709551615", "1.5", "'t\0'", "x[0, 1]"]
            // As often as needed.
            for _ in 0..<2 { #expect(Self.values(of: list) == expected) }
        }
    }

    @Test func parametersByName() throws {
        try withData("{\"sql\":\"S\",\"params\":{\":a\":1,\"b\":null}}") {
            let list = try QueryRequest($0).parameters
            #expect(list.count == 2 && list.isNamed)
            var reader = list.makeReader()
            var names: [String?] = []
            while let parameter = reader.next() { names.append(text(parameter.name)) }
            #expect(names == [":a", "b"])
        }
    }

    static func values(of list: ParameterList) -> [String] {
        var reader = list.makeReader()
        var values: [String] = []
        while let parameter = reader.next() {
            switch parameter.value {
            case .null: values.append("null")
            case .bool(let value): values.append("\(value)")
            case .integer(let value): values.append("\(value)")
            case .unsigned(let value): values.append("u\(value)")
            case .real(let value): values.append("\(value)")
            case .text(let bytes): values.append("'\(String(decoding: bytes, as: UTF8.self))'")
            case .blob(let bytes): values.append("x\(Array(bytes))")
            }
        }
        return values
    }

    @Test func batch() throws {
        let statements = """
            [{"sql":"A"},{"sql":"B","params":[1,2]},{"sql":"C","param_rows":[[1],[],["x",null]]},{"params":{"n":1},"sql":"D"}]
            """
        try withData("{\"statements\":\(statements),\"atomic\":false,\"session\":\"s\"}") {
            let batch = try BatchRequest($0)
            #expect(batch.statementCount == 4 && !batch.isAtomic)
            #expect(text(batch.target.session) == "s")
            var seen: [String] = []
            var reader = batch.makeReader()
            while let statement = reader.next() {
                let sql = text(statement.sql) ?? ""
                switch statement.parameters {
                case .once(let list): seen.append("\(sql) \(Self.values(of: list))")
                case .rows(let rows):
                    var rowReader = rows.makeReader()
                    var all: [[String]] = []
                    while let row = rowReader.next() { all.append(Self.values(of: row)) }
                    #expect(all.count == rows.count)
                    seen.append("\(sql) \(all)")
                }
            }
            #expect(
                seen == [
                    "A []", "B [\"1\", \"2\"]", "C [[\"1\"], [], [\"\\'x\\'\", \"null\"]]", "D [\"1\"]",
                ])
        }
        try withData("{\"statements\":[]}") {
            let batch = try BatchRequest($0)
            #expect(batch.statementCount == 0 && batch.isAtomic)
        }
    }

    @Test func describeAndReferences() throws {
        try withData("{\"sql\":\"S\",\"database\":\"d\"}") {
            let describe = try DescribeRequest($0)
            #expect(text(describe.target.database) == "d" && text(describe.sql) == "S")
        }
        try withData("{\"request\":\"x\"}") { data in
            withBytes(utf8("x")) { id in
                #expect((try? RequestReference(data).request) == .string(id))
            }
        }
        try withData("{\"request\":18446744073709551615}") {
            let reference = try RequestReference($0)
            #expect(reference.request == .unsigned(.max))
        }
    }

    /// Which decoder refuses which data, and what it says.
    enum Decoder: CaseIterable { case hello, connect, disconnect, query, batch, describe, reference }

    static func decode(_ decoder: Decoder, _ data: UnsafeRawBufferPointer?) throws {
        switch decoder {
        case .hello: _ = try HelloRequest(data)
        case .connect: _ = try ConnectRequest(data)
        case .disconnect: _ = try DisconnectRequest(data)
        case .query: _ = try QueryRequest(data)
        case .batch: _ = try BatchRequest(data)
        case .describe: _ = try DescribeRequest(data)
        case .reference: _ = try RequestReference(data)
        }
    }

    @Test(
        arguments: [
            (.hello, "{\"client\":1}", "client must be text"),
            (.hello, "{\"protocol\":1}", "protocol must be an array"),
            (.hello, "{\"protocol\":[\"1\"]}", "protocol must be an array of integers"),
            (.hello, "{\"int64\":\"x\"}", "int64 must be \"tagged\", \"number\" or \"string\""),
            (.connect, "{\"read_only\":1}", "read_only must be true or false"),
            (.connect, "{\"database\":\"a\",\"url\":\"b\"}", "either database or url"),
            (.disconnect, "{}", "session is missing"), (.disconnect, "null", "session is missing"),
            (.disconnect, "{\"session\":7}", "session must be text"),
            (.query, "{}", "sql is missing"), (.query, "{\"sql\":null}", "sql is missing"),
            (.query, "{\"sql\":1}", "sql must be text"),
            (.query, "{\"sql\":\"S\",\"params\":1}", "params must be an array, or a map of names"),
            (.query, "{\"sql\":\"S\",\"params\":[[1]]}", "params must be made of"),
            (.query, "{\"sql\":\"S\",\"params\":{\"a\":{}}}", "params must be made of"),
            (.query, "{\"sql\":\"S\",\"timeout_ms\":0}", "timeout_ms must be a positive integer"),
            (.query, "{\"sql\":\"S\",\"timeout_ms\":1.5}", "timeout_ms must be a positive integer"),
            (.query, "{\"sql\":\"S\",\"max_rows\":-1}", "max_rows must be a positive integer"),
            (.query, "{\"sql\":\"S\",\"page_rows\":18446744073709551615}", "page_rows must be a positive integer"),
            (.query, "{\"sql\":\"S\",\"session\":\"s\",\"database\":\"d\"}", "either session or database"),
            (.describe, "{}", "sql is missing"), (.describe, "{\"sql\":\"S\",\"session\":1}", "session must be text"),
            (.reference, "{}", "request is missing"),
            (.reference, "{\"request\":null}", "request must be text or an integer"),
            (.batch, "{}", "statements is missing"), (.batch, "{\"statements\":{}}", "statements must be an array"),
            (.batch, "{\"statements\":[1]}", "statements[] must be a map"),
            (.batch, "{\"statements\":[{}]}", "statements[].sql is missing"),
            (
                .batch, "{\"statements\":[{\"sql\":\"S\",\"params\":[],\"param_rows\":[]}]}",
                "either statements[].params or"
            ),
            (.batch, "{\"statements\":[{\"sql\":\"S\",\"param_rows\":[1]}]}", "param_rows must be an array of arrays"),
            (
                .batch, "{\"statements\":[{\"sql\":\"S\",\"param_rows\":[{\"a\":1}]}]}",
                "param_rows must be an array of arrays"
            ),
            (.batch, "{\"statements\":[],\"atomic\":0}", "atomic must be true or false"),
        ] as [(Decoder, String, String)])
    func refused(decoder: Decoder, data: String, words: String) throws {
        try withData(data) { data in
            do {
                try Self.decode(decoder, data)
                Issue.record("accepted")
            } catch let error as DecodeError {
                #expect(error.message.contains(words), "\(error.message)")
                #expect(error.code == .badRequest)
            }
        }
    }

    @Test func batchErrorsNameTheStatement() throws {
        try withData("{\"statements\":[{\"sql\":\"A\"},{\"sql\":\"B\",\"params\":[{}]}]}") { data in
            do throws(DecodeError) {
                _ = try BatchRequest(data)
                Issue.record("accepted")
            } catch {
                #expect(error.statementIndex == 1)
            }
        }
    }
}
