// What the daemon writes into a reply is what a client reads: every field of every reply, with whatever may be in it.

import ByteBuffers
import LiteBaseTesting
import Testing
import WireProtocol

@testable import LiteBaseClient

/// Fills the fields of a reply.
private struct Filler: FieldVisitor {
    var generator: SeededGenerator

    mutating func field<Value: FieldValue>(_ key: StaticString, _ value: inout Value) {
        if let made = make(Value.self) { value = made }
    }

    mutating func optional<Value: FieldValue>(_ key: StaticString, _ value: inout Value?) {
        value = Bool.random(using: &generator) ? make(Value.self) : nil
    }

    mutating func make<Value: FieldValue>(_ type: Value.Type) -> Value? {
        switch type {
        case is Int64.Type: Int64.random(in: .min ... .max, using: &generator) as? Value
        case is UInt64.Type: UInt64.random(in: 0...UInt64(Int64.max), using: &generator) as? Value
        case is Bool.Type: Bool.random(using: &generator) as? Value
        case is String.Type: ["", "a", "Zoë \"\\\n", "null"].randomElement(using: &generator) as? Value
        case is TextBytes.Type: TextBytes(Array("column \(Int.random(in: 0...9, using: &generator))".utf8)) as? Value
        case is RequestIDField.Type: RequestIDField(.integer(5)) as? Value
        case is DescribeReply.ParameterName.Type:
            DescribeReply.ParameterName([nil, ":a"].randomElement(using: &generator) ?? nil) as? Value
        case let composed as any Composed.Type: composed.make(&self) as? Value
        case let reply as any ReplyData.Type: fill(reply) as? Value
        default: nil
        }
    }

    mutating func fill<Reply: ReplyData>(_ type: Reply.Type) -> Reply {
        var reply = Reply()
        reply.visit(&self)
        return reply
    }
}

/// What consists of other values.
private protocol Composed {
    static func make(_ filler: inout Filler) -> Self
}

extension Array: Composed where Element: FieldValue {
    fileprivate static func make(_ filler: inout Filler) -> [Element] {
        (0..<Int.random(in: 0...3, using: &filler.generator)).compactMap { _ in filler.make(Element.self) }
    }
}

extension Optional: Composed where Wrapped: FieldValue {
    fileprivate static func make(_ filler: inout Filler) -> Wrapped? {
        Bool.random(using: &filler.generator) ? filler.make(Wrapped.self) : nil
    }
}

extension NamedValues: Composed {
    fileprivate static func make(_ filler: inout Filler) -> NamedValues {
        var values = NamedValues()
        for name in ["a", "b c", "ä"] { if let value = filler.make(Value.self) { values.append(name, value) } }
        return values
    }
}

@Suite struct ReplyDataTests {
    static let types: [any ReplyData.Type] = [
        HealthReply.self, HelloReply.self, ListDatabasesReply.self, ConnectReply.self, EmptyReply.self, QueryReply.self,
        BatchReply.self, DescribeReply.self, CancelReply.self, ActivityReply.self, TerminateReply.self, StatsReply.self,
        ReloadReply.self,
        ErrorReply.self, NoticeMessage.self,
    ]

    private static func frame(_ value: some FieldValue) -> [UInt8] {
        var output = ByteBuffer()
        var writer = MessageWriter(encoding: .messagePack, framing: .lengthPrefixed)
        writer.begin(
            type: "a", id: .integer(1), timestamp: WireTimestamp(nanosecondsSince1970: 0), into: &output)
        writer.field("value", value, into: &output)
        writer.end(into: &output)
        return Array(output.readable[4...])
    }

    private static func check<Value: ReplyData>(_ type: Value.Type, _ filler: inout Filler) throws {
        let seed = filler.generator.seed
        let written = frame(filler.fill(type))
        let reply = try written.withUnsafeBytes { (bytes) throws(ClientError) in try Reply(bytes) }
        let read = Value(try #require(reply.data.member("value")))
        #expect(frame(read) == written, "\(type), seed \(seed)")
        // A later server says more, an older one less.
        #expect(frame(Value(.map([("unknown", .array([]))]))) == frame(Value()), "\(type)")
    }

    @Test func whatIsWrittenIsRead() throws {
        var seeds = SeededGenerator.fresh
        for _ in 0..<50 {
            var filler = Filler(generator: SeededGenerator(seed: seeds.next()))
            for type in Self.types { try Self.check(type, &filler) }
        }
    }

    /// A key that occurs twice in a map could not be read.
    @Test func noKeyOccursTwiceInAMap() {
        struct Keys: FieldVisitor {
            var names: [String] = []
            mutating func field<Value: FieldValue>(_ key: StaticString, _ value: inout Value) { names.append("\(key)") }
            mutating func optional<Value: FieldValue>(_ key: StaticString, _ value: inout Value?) {
                names.append("\(key)")
            }
        }
        func keys(_ type: (some ReplyData).Type) -> [String] {
            var visitor = Keys()
            var value = type.init()
            value.visit(&visitor)
            return visitor.names
        }
        for type in Self.types {
            let names = keys(type)
            #expect(Set(names).count == names.count, "\(type)")
        }
    }
}
