// JSON and JSON Lines: one object for each row, with every bit of every value.

internal import ByteBuffers
import LiteBaseClient
internal import WireProtocol

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
        let (keys, isTerminal) = (keys, style.isTerminal)
        var column = 0
        row.forEachBorrowed { value in
            if column > 0 { output.append(UInt8(ascii: ",")) }
            output.append(keys[column])
            column += 1
            JSONText.append(value, isTerminal: isTerminal, into: &output)
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

/// Spells values in JSON, by the protocol's own writer.
enum JSONText {
    static func append(_ value: BorrowedValue, isTerminal: Bool, into output: inout ByteBuffer) {
        switch value {
        case .text(let text) where !isTerminal: output.appendJSONText(text)
        case .blob(let bytes): output.appendJSONBlob(bytes)
        case .null, .bool, .integer, .unsigned, .real, .text:
            append(Value(value), isTerminal: isTerminal, into: &output)
        }
    }

    static func append(_ value: Value, isTerminal: Bool, into output: inout ByteBuffer) {
        switch value {
        case .null: output.appendJSONNull()
        case .bool(let flag): output.appendJSONBool(flag)
        case .integer(let number): output.appendJSONInteger(number, style: .tagged)
        case .unsigned(let number): output.appendJSONUnsigned(number, style: .tagged)
        case .real(let number): output.appendJSONReal(number)
        case .text(let text): append(text, isTerminal: isTerminal, into: &output)
        case .blob(let bytes): bytes.withUnsafeBytes { output.appendJSONBlob($0) }
        }
    }

    /// A string in quotes.
    /// - Parameters:
    ///   - text: the text to quote.
    ///   - isTerminal: also escapes characters that are legal in JSON but would control a terminal.
    ///   - output: the buffer to append to.
    static func append(_ text: String, isTerminal: Bool, into output: inout ByteBuffer) {
        guard isTerminal, text.unicodeScalars.contains(where: isLegalButHarmful) else {
            return output.appendJSONText(text)
        }
        var escaped = ByteBuffer()
        escaped.appendJSONText(text)
        for scalar in String(decoding: escaped.readable, as: UTF8.self).unicodeScalars {
            if isLegalButHarmful(scalar) {
                let hex = String(scalar.value, radix: 16)
                output.append("\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex)
            } else {
                output.append(String(scalar))
            }
        }
    }

    /// A value, a list or a map, as standard output gets it.
    static func append(_ value: StructuredValue, into output: inout ByteBuffer) {
        switch value {
        case .value(let value): append(value, isTerminal: Terminal.outputIsTerminal, into: &output)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                append(element, into: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .map(let members):
            output.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                append(member.key, isTerminal: Terminal.outputIsTerminal, into: &output)
                output.append(UInt8(ascii: ":"))
                append(member.value, into: &output)
            }
            output.append(UInt8(ascii: "}"))
        }
    }

    /// None of these is above U+FFFF.
    private static func isLegalButHarmful(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value >= 0x7f && TerminalEscaping.isHarmful(scalar)
    }
}
