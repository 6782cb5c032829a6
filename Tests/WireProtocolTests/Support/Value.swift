// A tree of values, and plain conversions between it and bytes: the model that the tests compare the codecs with.

import ByteBuffers
import WireProtocol

/// A value as a tree; maps keep their order.
indirect enum Value: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    /// By its bits, so that NaN equals itself and −0.0 differs from 0.0.
    case real(UInt64)
    case text([UInt8])
    case binary([UInt8])
    case array([Value])
    case map([Pair])
    case ext(Int8, [UInt8])

    struct Pair: Equatable, Sendable {
        let key: [UInt8]
        let value: Value
    }

    static func string(_ text: String) -> Value { .text(Array(text.utf8)) }
    static func double(_ value: Double) -> Value { .real(value.bitPattern) }
    static func dictionary(_ pairs: KeyValuePairs<String, Value>) -> Value {
        .map(pairs.map { Pair(key: Array($0.key.utf8), value: $0.value) })
    }
}

extension Value {
    /// Reads one whole value.
    init(_ reader: inout MessagePackReader) throws(DecodeError) {
        switch try reader.next() {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .unsigned(let value): self = .unsigned(value)
        case .real(let value): self = .real(value.bitPattern)
        case .text(let bytes): self = .text(Array(bytes))
        case .binary(let bytes): self = .binary(Array(bytes))
        case .ext(let type, let bytes): self = .ext(type, Array(bytes))
        case .array(let count):
            var elements: [Value] = []
            for _ in 0..<count { elements.append(try Value(&reader)) }
            self = .array(elements)
        case .map(let count):
            var pairs: [Pair] = []
            for _ in 0..<count {
                let key = try reader.readText("key")
                pairs.append(Pair(key: Array(key), value: try Value(&reader)))
            }
            self = .map(pairs)
        }
    }

    /// Decodes MessagePack that is one value, after it has passed validation.
    init(messagePack bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { raw throws(DecodeError) in
            try MessagePackReader.validate(raw)
            var reader = MessagePackReader(raw)
            return try Value(&reader)
        }
    }

    /// Transcodes and decodes a JSON message.
    init(json: String) throws {
        self = try Value(messagePack: try transcoded(json))
    }

    /// The value of a key of this map.
    subscript(_ key: String) -> Value? {
        guard case .map(let pairs) = self else { return nil }
        return pairs.first { $0.key == Array(key.utf8) }?.value
    }

    var messagePack: [UInt8] {
        var output = ByteBuffer()
        appendMessagePack(to: &output)
        return Array(output.readable)
    }

    private func appendMessagePack(to output: inout ByteBuffer) {
        switch self {
        case .null: output.appendMessagePackNull()
        case .bool(let value): output.appendMessagePackBool(value)
        case .integer(let value): output.appendMessagePackInteger(value)
        case .unsigned(let value): output.appendMessagePackUnsigned(value)
        case .real(let bits): output.appendMessagePackReal(Double(bitPattern: bits))
        case .text(let bytes): bytes.withUnsafeBytes { output.appendMessagePackText($0) }
        case .binary(let bytes): bytes.withUnsafeBytes { output.appendMessagePackBinary($0) }
        case .ext(let type, let bytes):
            output.append(tag: 0xc7, bigEndian: UInt8(bytes.count))
            output.append(UInt8(bitPattern: type))
            output.append(bytes)
        case .array(let elements):
            output.appendMessagePackArrayHeader(elements.count)
            for element in elements { element.appendMessagePack(to: &output) }
        case .map(let pairs):
            output.appendMessagePackMapHeader(pairs.count)
            for pair in pairs {
                pair.key.withUnsafeBytes { output.appendMessagePackText($0) }
                pair.value.appendMessagePack(to: &output)
            }
        }
    }

    /// Writes this value by a writer, in the writer's encoding.
    func write(by writer: inout MessageWriter, into output: inout ByteBuffer) {
        switch self {
        case .null: writer.null(into: &output)
        case .bool(let value): writer.bool(value, into: &output)
        case .integer(let value): writer.integer(value, into: &output)
        case .unsigned(let value): writer.unsigned(value, into: &output)
        case .real(let bits): writer.real(Double(bitPattern: bits), into: &output)
        case .text(let bytes): bytes.withUnsafeBytes { writer.text($0, into: &output) }
        case .binary(let bytes): bytes.withUnsafeBytes { writer.blob($0, into: &output) }
        case .ext: preconditionFailure("the writer has no extension types")
        case .array(let elements):
            writer.beginArray(into: &output)
            for element in elements { element.write(by: &writer, into: &output) }
            writer.endArray(into: &output)
        case .map(let pairs):
            writer.beginMap(into: &output)
            for pair in pairs {
                writer.key(String(decoding: pair.key, as: UTF8.self), into: &output)
                pair.value.write(by: &writer, into: &output)
            }
            writer.endMap(into: &output)
        }
    }
}

/// The MessagePack of a JSON message.
func transcoded(_ json: [UInt8]) throws -> [UInt8] {
    try json.withUnsafeBytes { raw throws(DecodeError) in
        var output = ByteBuffer()
        try JSONTranscoder.transcode(raw, into: &output)
        return Array(output.readable)
    }
}

func transcoded(_ json: String) throws -> [UInt8] {
    try transcoded(Array(json.utf8))
}

/// Lets one value be appended to a buffer; returns the bytes.
func appended(_ body: (inout ByteBuffer) -> Void) -> [UInt8] {
    var output = ByteBuffer()
    body(&output)
    return Array(output.readable)
}

func appendedText(_ body: (inout ByteBuffer) -> Void) -> String {
    String(decoding: appended(body), as: UTF8.self)
}

/// Calls `body` with the memory of some bytes.
func withBytes(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
    try bytes.withUnsafeBytes { try body($0) }
}

func utf8(_ text: String) -> [UInt8] {
    Array(text.utf8)
}

func joined(_ parts: [UInt8]...) -> [UInt8] {
    parts.flatMap { $0 }
}
