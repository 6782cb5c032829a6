// Names behind a dot command.

import Testing

@testable import litebase

@Suite struct ObjectNameTests {
    @Test(arguments: [
        ("t", ["t"]), ("\"t\"", ["t", "\"t\""]), ("`a``b`", ["a`b", "`a``b`"]), ("[a b]", ["a b", "[a b]"]),
        ("\"", ["\""]),
        ("\"a", ["\"a"]), ("\"\"\"\"", ["\"", "\"\"\"\""]), ("", [""]),
    ])
    func quotesAreTakenAway(text: String, names: [String]) {
        #expect(ObjectName.spellings(of: text) == names)
    }

    @Test(arguments: [
        ("t", [["t"]]), ("T", [["t"], ["T"]]), ("\"T\"", [["T"], ["\"T\""]]), ("S.T", [["s", "t"], ["S.T"]]),
        ("s.\"T.u\"", [["s", "T.u"], ["s.\"T.u\""]]), ("\"a\"\"b\"", [["a\"b"], ["\"a\"\"b\""]]), ("a b", [["a b"]]),
        ("odd \"name", [["odd \"name"]]), ("a.b.c", [["a.b.c"]]), ("a.", [["a."]]), ("", [[""]]),
        ("GRÖSSE", [["grÖsse"], ["GRÖSSE"]]),
        ("\"\"", [["\"\""]]), ("'t'", [["'t'"]]),
    ])
    func postgreSQLReadsThemAsSQL(text: String, names: [[String]]) {
        let read = ObjectName.postgreSQLNames(of: text).map { [$0.schema, $0.name].compactMap(\.self) }
        #expect(read == names)
    }
}
