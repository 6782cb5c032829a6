// JSON: what is read, what is refused, what is written.

import ByteBuffers
import Testing
import WireProtocol

@Suite struct JSONReadingTests {
    static func value(_ text: String) throws -> Value? {
        try Value(json: "{\"v\":\(text)}")["v"]
    }

    @Test(
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("false", .bool(false)),
            ("0", .integer(0)), ("-0", .integer(0)), ("-1", .integer(-1)),
            ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("9223372036854775808", .unsigned(1 << 63)), ("18446744073709551615", .unsigned(.max)),
            ("9007199254740993", .integer(9_007_199_254_740_993)),
            ("-0.0", .double(-0.0)), ("1.0", .double(1)), ("1e2", .double(100)), ("1E+2", .double(100)),
            ("0.1", .double(0.1)), ("-1.5e-3", .double(-0.0015)), ("5e-324", .double(.leastNonzeroMagnitude)),
            ("1.7976931348623157e308", .double(.greatestFiniteMagnitude)),
            ("2.2250738585072011e-308", .real(0x000f_ffff_ffff_ffff)),
            ("1e-400", .double(0)), ("-1e-400", .double(-0.0)), ("0e999999999999", .double(0)),
            ("0.0000000000000000000000000000000000000000000000000000001e55", .double(1)),
            ("\"\"", .string("")), ("\"a\"", .string("a")), ("\"ä€😀\"", .string("ä€😀")),
            ("\"\\u0000\"", .string("\0")), ("\"\\ud83d\\uDE00\"", .string("😀")), ("\"\\u20ac\"", .string("€")),
            ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", .string("\"\\/\u{8}\u{c}\n\r\t")),
            ("\"\u{7f}\"", .string("\u{7f}")), ("\"\\uffff\"", .string("\u{ffff}")),
            ("[]", .array([])), ("[ 1 , [ ] ]", .array([.integer(1), .array([])])),
            ("{}", .map([])), ("{ \"a\" : { \"b\" : 1 } }", .dictionary(["a": .dictionary(["b": .integer(1)])])),
            ("{\"$int\":\"9223372036854775807\"}", .integer(.max)),
            ("{\"$int\":\"-9223372036854775808\"}", .integer(.min)),
            ("{\"$int\":\"18446744073709551615\"}", .unsigned(.max)), ("{\"\\u0024int\":\"007\"}", .integer(7)),
            ("{\"$real\":\"NaN\"}", .double(.nan)), ("{\"$real\":\"Infinity\"}", .double(.infinity)),
            ("{\"$real\":\"-Infinity\"}", .double(-.infinity)),
            ("{\"$blob\":\"\"}", .binary([])), ("{\"$blob\":\"AAEC/w==\"}", .binary([0, 1, 2, 255])),
            ("{\"$blob\":\"+/+/\"}", .binary([0xfb, 0xff, 0xbf])),
            ("{\"$other\":\"x\"}", .dictionary(["$other": .string("x")])),
            ("{\"$int\":\"1\",\"a\":2}", .dictionary(["$int": .string("1"), "a": .integer(2)])),
            ("[{\"$int\":\"1\"},{\"$int\":\"2\"}]", .array([.integer(1), .integer(2)])),
        ] as [(String, Value)])
    func accepted(json: String, expected: Value) throws {
        #expect(try Self.value(json) == expected)
    }

    @Test func theMessageItselfIsNeverTagged() throws {
        #expect(try Value(json: "{\"$int\":\"1\"}") == .dictionary(["$int": .string("1")]))
        #expect(try Value(json: " \t{ } \r") == .map([]))
    }

    @Test func blobsOfEveryLengthAndAfterEscapes() throws {
        var random = SeededRandom(seed: 4)
        for count in 0...300 {
            let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let json = appendedText { output in bytes.withUnsafeBytes { output.appendJSONBlob($0) } }
            #expect(try Self.value(json) == .binary(bytes))
            // An escaped slash makes the transcoder take its other way.
            #expect(try Self.value("[\(json.replacing("/", by: "\\/")),1]") == .array([.binary(bytes), .integer(1)]))
        }
    }

    static func defect(_ json: [UInt8]) -> DecodeError? {
        do {
            _ = try transcoded(json)
            return nil
        } catch let error as DecodeError {
            return error
        } catch {
            Issue.record("\(error)")
            return nil
        }
    }

    @Test(
        arguments: [
            ("", 0, "is empty"), (" \n", 0, "is empty"), ("[1]", 0, "must be a map"), ("1", 0, "must be a map"),
            ("{", 1, "ends before"), ("{\"a\"", 4, "ends before"), ("{\"a\":", 5, "ends before"),
            ("{\"a\":1", 6, "ends before"), ("{\"a", 1, "ends before"), ("{\"a\":\"\\", 6, "ends before"),
            ("{\"a\":\"\\u00", 6, "ends before"), ("{\"a\":[1", 7, "ends before"), ("{\"a\":-", 5, "ends before"),
            ("{}x", 2, "follows after"), ("{} {}", 3, "follows after"),
            ("{a:1}", 1, "a key in double quotes"), ("{'a':1}", 1, "a key in double quotes"),
            ("{\"a\":1,}", 7, "a key in double quotes"), ("{,}", 1, "a key in double quotes"),
            ("{\"a\" 1}", 5, "a colon"), ("{\"a\":1 \"b\":2}", 7, "a comma or a closing brace"),
            ("{\"a\":1]", 6, "a comma or a closing brace"), ("{\"a\":[1 2]}", 8, "a comma or a closing bracket"),
            ("{\"a\":[1,]}", 8, "a value"), ("{\"a\":}", 5, "a value"), ("{\"a\":nul}", 5, "a value"),
            ("{\"a\":True}", 5, "a value"), ("{\"a\":NaN}", 5, "a value"), ("{\"a\":+1}", 5, "a value"),
            ("{\"a\":01}", 5, "not a JSON number"), ("{\"a\":-}", 5, "not a JSON number"),
            ("{\"a\":1.}", 5, "not a JSON number"), ("{\"a\":1e}", 5, "not a JSON number"),
            ("{\"a\":1e+}", 5, "not a JSON number"), ("{\"a\":-a}", 5, "not a JSON number"),
            ("{\"a\":.5}", 5, "a value"), ("{\"a\":0x10}", 6, "a comma or a closing brace"),
            ("{\"a\":18446744073709551616}", 5, "64 bits"), ("{\"a\":-9223372036854775809}", 5, "64 bits"),
            ("{\"a\":1e309}", 5, "too large"), ("{\"a\":-1e999999999999999999999}", 5, "too large"),
            ("{\"a\":\"\n\"}", 6, "control character"), ("{\"a\":\"x\u{1f}\"}", 7, "control character"),
            ("{\"a\":\"\\x\"}", 6, "backslash"), ("{\"a\":\"\\u00g0\"}", 6, "backslash"),
            ("{\"a\":\"\\ud800\"}", 6, "surrogate"), ("{\"a\":\"\\udc00\"}", 6, "surrogate"),
            ("{\"a\":\"\\ud800\\n\"}", 6, "surrogate"), ("{\"a\":\"\\ud800\\u0041\"}", 6, "surrogate"),
            ("{\"a\":1,\"a\":2}", 0, "twice"), ("{\"a\":1,\"\\u0061\":2}", 0, "twice"),
            ("{\"x\":[{\"a\":1,\"b\":1,\"a\":2}]}", 6, "twice"),
            ("{\"a\":{\"$int\":5}}", 5, "$int takes"), ("{\"a\":{\"$int\":\"\"}}", 5, "$int takes"),
            ("{\"a\":{\"$int\":\"-\"}}", 5, "$int takes"), ("{\"a\":{\"$int\":\"1.0\"}}", 5, "$int takes"),
            ("{\"a\":{\"$int\":\"18446744073709551616\"}}", 5, "$int takes"),
            ("{\"a\":{\"$int\":\"-9223372036854775809\"}}", 5, "$int takes"),
            ("{\"a\":{\"$real\":\"1.5\"}}", 5, "$real takes"), ("{\"a\":{\"$real\":null}}", 5, "$real takes"),
            ("{\"a\":{\"$blob\":\"A\"}}", 5, "$blob takes"), ("{\"a\":{\"$blob\":\"AAA\"}}", 5, "$blob takes"),
            ("{\"a\":{\"$blob\":\"AAAA=\"}}", 5, "$blob takes"), ("{\"a\":{\"$blob\":\"A===\"}}", 5, "$blob takes"),
            ("{\"a\":{\"$blob\":\"====\"}}", 5, "$blob takes"), ("{\"a\":{\"$blob\":\"AA=A\"}}", 5, "$blob takes"),
            ("{\"a\":{\"$blob\":\"AB==\"}}", 5, "$blob takes"), ("{\"a\":{\"$blob\":\"AAB=\"}}", 5, "$blob takes"),
            ("{\"a\":{\"$blob\":\"AA-_\"}}", 5, "$blob takes"), ("{\"a\":{\"$blob\":[]}}", 5, "$blob takes"),
            ("{\"a\":{\"$blob\":\"AA==AAAA\"}}", 5, "$blob takes"),
        ] as [(String, Int, String)])
    func refused(json: String, offset: Int, words: String) throws {
        let error = try #require(Self.defect(Array(json.utf8)))
        #expect(error.message.contains(words), "\(error.message)")
        #expect(error.offset == offset)
        #expect(error.code == .badFrame)
    }

    @Test func notUTF8() {
        #expect(Self.defect(Array("{\"a\":\"".utf8) + [0xff] + Array("\"}".utf8))?.offset == 6)
        #expect(Self.defect([0xef, 0xbb, 0xbf] + Array("{}".utf8))?.message.contains("must be a map") == true)
    }

    @Test func depthIsLimited() {
        func nested(_ depth: Int) -> [UInt8] {
            Array("{\"a\":".utf8) + [UInt8](repeating: UInt8(ascii: "["), count: depth - 1)
                + [UInt8](repeating: UInt8(ascii: "]"), count: depth - 1) + [UInt8(ascii: "}")]
        }
        #expect(Self.defect(nested(WireLimits.nestingDepthMax)) == nil)
        #expect(Self.defect(nested(WireLimits.nestingDepthMax + 1))?.message.contains("deeper") == true)
        #expect(Self.defect(nested(1_000_000))?.message.contains("deeper") == true)
    }

    @Test func everyTruncationIsRefused() throws {
        let whole = Array("{\"a\":[1,2.5e1,\"\\u00e4\\n\",{\"$blob\":\"AAE=\"},null,true],\"b\":{\"c\":-1}}".utf8)
        _ = try transcoded(whole)
        for count in 0..<whole.count { #expect(Self.defect(Array(whole[..<count])) != nil) }
    }

    @Test func refusalLeavesNothingBehind() {
        var output = ByteBuffer()
        output.append("kept")
        withBytes(utf8("{\"a\":1,\"b\":}")) { json in
            #expect(throws: DecodeError.self) { try JSONTranscoder.transcode(json, into: &output) }
        }
        #expect(Array(output.readable) == Array("kept".utf8))
    }

    @Test func tooManyKeys() {
        let pairs = (0...WireLimits.openMapKeyCountMax).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(Self.defect(Array("{\(pairs)}".utf8))?.message.contains("use arrays") == true)
    }
}

@Suite struct JSONWritingTests {
    @Test(
        arguments: [
            (0, "0"), (7, "7"), (10, "10"), (-99, "-99"), (100, "100"), (12345, "12345"), (-1_234_567, "-1234567"),
            (9_007_199_254_740_991, "9007199254740991"), (-9_007_199_254_740_991, "-9007199254740991"),
        ] as [(Int64, String)])
    func exactIntegers(value: Int64, text: String) {
        for style in [Int64Style.tagged, .number, .string] {
            #expect(appendedText { $0.appendJSONInteger(value, style: style) } == text)
        }
    }

    @Test(
        arguments: [9_007_199_254_740_992, -9_007_199_254_740_992, .max, .min] as [Int64])
    func largeIntegers(value: Int64) {
        #expect(appendedText { $0.appendJSONInteger(value, style: .tagged) } == "{\"$int\":\"\(value)\"}")
        #expect(appendedText { $0.appendJSONInteger(value, style: .number) } == "\(value)")
        #expect(appendedText { $0.appendJSONInteger(value, style: .string) } == "\"\(value)\"")
    }

    @Test func integersOfEveryLength() {
        var random = SeededRandom(seed: 3)
        var power: UInt64 = 1
        for _ in 0..<20 {
            for value in [power - 1, power, power + 1] {
                #expect(appendedText { $0.appendJSONUnsigned(value, style: .number) } == "\(value)")
            }
            power = power.multipliedReportingOverflow(by: 10).partialValue
        }
        for _ in 0..<2000 {
            let value = random.integer()
            #expect(appendedText { $0.appendJSONInteger(value, style: .number) } == "\(value)")
        }
    }

    @Test(
        arguments: [
            (0.0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (-1.5, "-1.5"), (0.1, "0.1"), (100000, "100000.0"),
            (1e15, "1000000000000000.0"), (1e16, "1e+16"), (1e300, "1e+300"), (0.00001, "0.00001"), (1e-6, "1e-06"),
            (.leastNonzeroMagnitude, "5e-324"), (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
            (1.0 / 3, "0.3333333333333333"),
            (9_007_199_254_740_992, "9007199254740992.0"),
            (.nan, "{\"$real\":\"NaN\"}"), (.infinity, "{\"$real\":\"Infinity\"}"),
            (-.infinity, "{\"$real\":\"-Infinity\"}"),
        ] as [(Double, String)])
    func reals(value: Double, text: String) {
        #expect(appendedText { $0.appendJSONReal(value) } == text)
    }

    @Test func everyASCIICharacter() throws {
        for byte in UInt8(0)..<0x80 {
            // At each place of the eight bytes that are looked at together.
            for before in 0...9 {
                let text = [UInt8](repeating: UInt8(ascii: "a"), count: before) + [byte, UInt8(ascii: "b")]
                let json = appended { output in text.withUnsafeBytes { output.appendJSONText($0) } }
                #expect(
                    try Value(messagePack: transcoded(Array("{\"v\":".utf8) + json + Array("}".utf8)))["v"]
                        == .text(text))
                let isSpecial = byte < 0x20 || byte == 0x22 || byte == 0x5c
                #expect((json.count > text.count + 2) == isSpecial)
            }
        }
        #expect(appendedText { $0.appendJSONText("a\"\\\n\u{1}é") } == "\"a\\\"\\\\\\n\\u0001é\"")
    }

    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy"),
    ])
    func blobs(bytes: String, base64: String) {
        let json = appendedText { output in
            Array(bytes.utf8).withUnsafeBytes { output.appendJSONBlob($0) }
        }
        #expect(json == "{\"$blob\":\"\(base64)\"}")
    }
}

extension String {
    fileprivate func replacing(_ character: Character, by text: String) -> String {
        reduce(into: "") { $0 += $1 == character ? text : String($1) }
    }
}
