import LiteBaseClient
import Testing

@testable import litebase

@Suite struct ParameterParsingTests {
    @Test(arguments: [
        ("null", Value.null), ("NULL", .null), ("0", 0), ("-5", -5), ("42", 42),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", "9223372036854775808"), ("007", "007"), ("+1", "+1"), ("-0", "-0"), ("-", "-"),
        ("1.5", 1.5), ("-1e-3", -0.001), (".5", 0.5), ("1.", 1.0), ("1e400", "1e400"), ("1e", "1e"), ("e5", "e5"),
        (".", "."), ("1.2.3", "1.2.3"), ("nan", "nan"), ("inf", "inf"), ("0x10", "0x10"), ("1_000", "1_000"),
        ("99999999999999999.99", "99999999999999999.99"), ("0.1", 0.1), ("-0.0", -0.0), ("100.0", 100.0), ("1.50", 1.5),
        ("0.10000000000000000001", "0.10000000000000000001"), ("123456789.123456789", "123456789.123456789"),
        ("9007199254740993.0", "9007199254740993.0"), ("1e22", 1e22), ("1e23", 1e23), ("12e-1", 1.2), ("0e5", 0.0),
        ("5e-324", .real(.leastNonzeroMagnitude)), ("4e-324", "4e-324"), ("1e-400", "1e-400"), ("0.00012", 0.00012),
        ("x'00fF'", .blob([0, 0xff])), ("x''", .blob([])), ("x'0'", "x'0'"), ("x'zz'", "x'zz'"),
        ("'007'", "007"), ("'it''s'", "it's"), ("''", ""), ("'", "'"), ("'a'b'", "'a'b'"), ("'a''", "'a''"),
        ("", ""), ("true", "true"), ("Oslo", "Oslo"), ("٣", "٣"),
    ])
    func values(word: String, value: Value) {
        #expect(ParameterParsing.value(word) == value)
    }

    @Test func positionalParameters() throws {
        #expect(try ParameterParsing.parameters(["1", "x"], allText: false) == [1, "x"])
        #expect(try ParameterParsing.parameters([], allText: false) == .none)
    }

    @Test func namedParameters() throws {
        let words = [":a=1", "@b=x=y", "$c="]
        #expect(try ParameterParsing.parameters(words, allText: false) == ["a": 1, "b": "x=y", "c": ""])
    }

    /// What only looks like a name is a value.
    @Test(arguments: [":a", ":=1", "a=1", "::x=1", ":a b=1", "=", "@"])
    func notNamed(word: String) throws {
        #expect(try ParameterParsing.parameters([word], allText: false) == [.text(word)])
    }

    @Test(arguments: [[":a=1", "2"], ["2", ":a=1"], [":a=1", "@a=2"]])
    func refused(words: [String]) {
        #expect(throws: UsageError.self) { try ParameterParsing.parameters(words, allText: false) }
    }

    @Test func allText() throws {
        #expect(try ParameterParsing.parameters(["1", ":a=1", "null"], allText: true) == ["1", ":a=1", "null"])
    }

    @Test func negativeNumbersAreNoOptions() throws {
        let marked = ParameterParsing.protectDashes([
            "query", "-x", "-5", "-.5", "--port", "-1", "--text", "-2", "--", "-7",
        ])
        let mark = String(ParameterParsing.dashMark)
        #expect(
            marked == ["query", "-x", mark + "-5", mark + "-.5", "--port=-1", "--text", mark + "-2", "--", "-7"])
        #expect(try ParameterParsing.parameters([mark + "-5", mark + "-.5"], allText: false) == [-5, -0.5])
    }
}
