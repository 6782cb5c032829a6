// What docs/protocol.md shows is what the module reads and writes.

import ByteBuffers
import LiteBaseTesting
import Testing
import WireProtocol

@Suite struct DocumentationTests {
    /// The contents of the fenced blocks of one kind.
    static func blocks(_ kind: String) throws -> [[Substring]] {
        let text = String(decoding: try readFile(repositoryRoot + "/docs/protocol.md"), as: UTF8.self)
        var blocks: [[Substring]] = []
        var isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "```\(kind)" {
                isInside = true
                blocks.append([])
            } else if line == "```" {
                isInside = false
            } else if isInside {
                blocks[blocks.count - 1].append(line)
            }
        }
        return blocks
    }

    /// The bytes at the start of each line.
    static func bytes(_ block: [Substring]) -> [UInt8] {
        block.flatMap { line in
            line.split(separator: " ").prefix { $0.count == 2 }.compactMap { UInt8($0, radix: 16) }
        }
    }

    @Test func everyRequestIsUnderstood() throws {
        let lines = try #require(try Self.blocks("jsonl").first)
        #expect(lines.count >= 8)
        for line in lines {
            try withBytes(try transcoded(String(line))) {
                let head = try RequestHead.decode($0)
                let types: [any RequestContent.Type] = [
                    QueryRequest.self, BatchRequest.self, DescribeRequest.self, CatalogRequest.self,
                    CompleteRequest.self,
                    ConnectRequest.self, CancelRequest.self,
                    ListDatabasesRequest.self, StatsRequest.self, ReloadRequest.self, ActivityRequest.self,
                    TerminateRequest.self,
                ]
                guard let content = types.first(where: { head.isOf($0.type) }) else {
                    Issue.record("\(line)")
                    return
                }
                _ = try content.init(head.data)
            }
        }
    }

    @Test func bytesAreThoseOfTheWriter() throws {
        let blocks = try Self.blocks("hex")
        try #require(blocks.count == 2)
        let request = Self.bytes(blocks[0])
        var decoder = FrameDecoder(frameByteCountMax: 1000, formats: .all)
        try withBytes(request) {
            guard case .frame(let body, let consumed) = decoder.next(in: $0) else {
                Issue.record("no frame")
                return
            }
            #expect(consumed == request.count)
            let head = try RequestHead.decode(UnsafeRawBufferPointer(rebasing: $0[body]))
            #expect(head.isOf(HealthRequest.type) && head.id == .integer(1))
        }
        let reply = appended { output in
            var writer = MessageWriter(encoding: .messagePack, framing: .lengthPrefixed)
            let time = WireTimestamp(nanosecondsSince1970: 1_795_385_638_123_456_789)
            writer.begin(type: "health_response", id: .integer(1), timestamp: time, into: &output)
            writer.key("status", into: &output)
            writer.text("healthy", into: &output)
            writer.end(into: &output)
        }
        #expect(Self.bytes(blocks[1]) == reply)
    }
}
