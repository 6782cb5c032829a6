// JSON and JSON Lines: one object for each row, with every bit of every value.

internal import ByteBuffers
import LiteBaseClient

/// Writes rows as JSON objects, values as the protocol's JSON has them.
///
/// Of columns with the same name the second is called `name_2`, and so on. A statement without columns writes nothing.
/// - Source: protocol.md, "Values"; RFC 8259; https://jsonlines.org
struct JSONFormatter: ResultFormatter {
    enum Layout { case array, lines }

    let layout: Layout
    let style: OutputStyle
    /// `"name":` of each column, encoded once.
    private var keys: [[UInt8]] = []
    private var rowCount = 0

    init(layout: Layout, style: OutputStyle) {
        self.layout = layout
        self.style = style
    }

    mutating func begin(_ columns: Columns, into output: inout ByteBuffer) {
        keys = Self.uniqueNames(columns.names).map { name in
            var key = ByteBuffer()
            JSONText.append(name, isTerminal: style.isTerminal, into: &key)
            key.append(UInt8(ascii: ":"))
            return Array(key.readable)
        }
        rowCount = 0
        if layout == .array, !keys.isEmpty { output.append(UInt8(ascii: "[")) }
    }

    mutating func row(_ row: Row, into output: inout ByteBuffer) {
        guard !keys.isEmpty else { return }
        if layout == .array { output.append(rowCount == 0 ? "\n" : ",\n") }
        rowCount += 1
        output.append(UInt8(ascii: "{"))
        for (index, value) in row.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            output.append(keys[index])
            JSONText.append(value, isTerminal: style.isTerminal, into: &output)
        }
        output.append(UInt8(ascii: "}"))
        if layout == .lines { output.append(UInt8(ascii: "\n")) }
    }

    mutating func end(_ summary: StatementSummary?, into output: inout ByteBuffer) {
        // An array that broke off is not closed: what reads it must not take it for the whole.
        guard layout == .array, !keys.isEmpty, summary != nil else { return }
        output.append(rowCount == 0 ? "]\n" : "\n]\n")
    }

    static func uniqueNames(_ names: [String]) -> [String] {
        var taken = Set(names)
        var seen: Set<String> = []
        return names.map { name in
            if seen.insert(name).inserted { return name }
            var number = 2
            while !taken.insert("\(name)_\(number)").inserted { number += 1 }
            return "\(name)_\(number)"
        }
    }
}

/// Spells values in JSON.
enum JSONText {
    /// Integers of a greater magnitude are tagged, for most readers would round them (2^53 − 1).
    static let exactIntegerMax: UInt64 = 9_007_199_254_740_991

    static func append(_ value: Value, isTerminal: Bool, into output: inout ByteBuffer) {
        switch value {
        case .null: output.append("null")
        case .bool(let flag): output.append(flag ? "true" : "false")
        case .integer(let number):
            append(number.description, isTagged: number.magnitude > exactIntegerMax, into: &output)
        case .unsigned(let number):
            append(number.description, isTagged: true, into: &output)
        case .real(let number):
            if number.isFinite {
                output.append(number.description)
            } else {
                output.append("{\"$real\":\"\(ValueText.real(number))\"}")
            }
        case .text(let text):
            append(text, isTerminal: isTerminal, into: &output)
        case .blob(let bytes):
            output.append("{\"$blob\":\"")
            Base64Text.append(bytes, into: &output)
            output.append("\"}")
        }
    }

    private static func append(_ digits: String, isTagged: Bool, into output: inout ByteBuffer) {
        if isTagged { output.append("{\"$int\":\"") }
        output.append(digits)
        if isTagged { output.append("\"}") }
    }

    /// A string in quotes.
    /// - Parameter isTerminal: also escapes what is legal in JSON but would steer a terminal.
    static func append(_ text: String, isTerminal: Bool, into output: inout ByteBuffer) {
        output.append(UInt8(ascii: "\""))
        var text = text
        let isPlain = text.withUTF8 { bytes in
            bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        }
        if isPlain {
            output.append(text)
        } else {
            for scalar in text.unicodeScalars { append(scalar, isTerminal: isTerminal, into: &output) }
        }
        output.append(UInt8(ascii: "\""))
    }

    private static func append(_ scalar: Unicode.Scalar, isTerminal: Bool, into output: inout ByteBuffer) {
        switch scalar {
        case "\"": output.append("\\\"")
        case "\\": output.append("\\\\")
        case "\n": output.append("\\n")
        case "\r": output.append("\\r")
        case "\t": output.append("\\t")
        default:
            if scalar.value < 0x20 || (isTerminal && TerminalEscaping.isHarmful(scalar)) {
                let hex = String(scalar.value, radix: 16)
                output.append("\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex)
            } else {
                for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { output.append(byte) }
            }
        }
    }
}

/// Base64 with padding (RFC 4648, section 4).
enum Base64Text {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func append(_ bytes: [UInt8], into output: inout ByteBuffer) {
        output.reserve((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let second = index + 1 < bytes.count ? bytes[index + 1] : nil
            let third = index + 2 < bytes.count ? bytes[index + 2] : nil
            let group = UInt32(bytes[index]) << 16 | UInt32(second ?? 0) << 8 | UInt32(third ?? 0)
            output.append(alphabet[Int(group >> 18)])
            output.append(alphabet[Int(group >> 12 & 63)])
            output.append(second == nil ? UInt8(ascii: "=") : alphabet[Int(group >> 6 & 63)])
            output.append(third == nil ? UInt8(ascii: "=") : alphabet[Int(group & 63)])
            index += 3
        }
    }
}
