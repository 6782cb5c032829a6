import SQLText
import Testing

@Suite struct QuotedTextTests {
    /// What is read of a text that begins with a quote: the rest is behind it.
    @Test(arguments: [
        ("'a'b", false, "a", "b", true), ("''", false, "", "", true), ("''''x", false, "'", "x", true),
        ("'a''b' ", false, "a'b", " ", true), ("'a", false, "a", "", false), ("'a''", false, "a'", "", false),
        ("'", false, "", "", false), (#"'a\'b'"#, false, #"a\"#, "b'", true), (#"'a\'b'"#, true, "a'b", "", true),
        (#"'a\"#, true, #"a\"#, "", false), (#"'\\'x"#, true, #"\"#, "x", true),
        (#"'\n\t\r\b\0\Z\%\_\q'"#, true, "\n\t\r\u{8}\0\u{1a}" + #"\%\_q"#, "", true),
        (#""a""b'c"d"#, false, #"a"b'c"#, "d", true), ("`a``b`", false, "a`b", "", true),
    ])
    func reading(source: String, hasEscapes: Bool, text: String, rest: String, isClosed: Bool) {
        let bytes = Array(source.utf8)
        var read: [UInt8] = []
        let made = QuotedText.read(bytes, from: 0, hasEscapes: hasEscapes) { read.append($0) }
        #expect(String(decoding: read, as: UTF8.self) == text)
        #expect(String(decoding: bytes[made.end...], as: UTF8.self) == rest)
        #expect(made.isClosed == isClosed)
    }

    /// A slice has the positions of what it is a slice of.
    @Test func slices() {
        let bytes = Array("x'a'".utf8)[1...]
        var read: [UInt8] = []
        #expect(QuotedText.read(bytes, from: bytes.startIndex) { read.append($0) } == (4, true))
        #expect(read == Array("a".utf8))
    }

    private func hex(_ statement: [UInt8], _ rules: StatementSplitter.Rules) -> String? {
        String(validating: HexLiterals.made(of: statement, rules), as: UTF8.self)
    }

    @Test func bytesThatAreNoTextBecomeHexadecimal() {
        let bytes = Array("INSERT INTO a VALUES ('ä', '".utf8) + [0xff, 0x5c, 0x30] + Array("', \"b\", `c`)".utf8)
        #expect(hex(bytes, .init()) == "INSERT INTO a VALUES ('ä', x'FF00', \"b\", `c`)")
        #expect(hex(bytes, .init(hasBackslashEscapes: false)) == "INSERT INTO a VALUES ('ä', x'FF5C30', \"b\", `c`)")
        // A name has no other notation.
        #expect(hex(Array("`".utf8) + [0xff] + Array("`".utf8), .init()) == nil)
        var isLatin = StatementSplitter.Rules()
        isLatin.isUTF8 = false
        // In another character set these may be a text, but for what says that it is bytes.
        #expect(hex(Array("'".utf8) + [0xff] + Array("'".utf8), isLatin) == nil)
        #expect(hex(Array("_BINARY '".utf8) + [0xff] + Array("'".utf8), isLatin) == "_BINARY x'FF'")
        #expect(hex(Array("_binary'".utf8) + [0xff] + Array("'".utf8), isLatin) == "_binary x'FF'")
        #expect(hex(Array("(_binary'".utf8) + [0xff] + Array("')".utf8), .init()) == "(_binary x'FF')")
    }
}
