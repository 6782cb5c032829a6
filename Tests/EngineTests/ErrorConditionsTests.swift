// The table of conditions is the one that docs/errors.md shows.

import LinuxSystem
import Testing

@testable import DatabaseContract

@Suite("Error conditions")
struct ErrorConditionsTests {
    /// Rows of the document: states, and the name of a code.
    private static func documented() throws -> [String: String] {
        let path = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/docs/errors.md"
        let text = String(decoding: try Files.read(path, byteCountMax: 1 << 20), as: UTF8.self)
        var codes: [String: String] = [:]
        for line in text.split(separator: "\n") where line.hasPrefix("| `") && !line.contains("`sqlstate`") {
            let cells = line.split(separator: "|").map {
                $0.split(separator: "`").filter { $0 != " " }.map(String.init)
            }
            for state in cells[0] { codes[state] = cells[1].first }
        }
        return codes
    }

    @Test func theDocumentHasTheTable() throws {
        let documented = try Self.documented()
        #expect(documented.count == ErrorConditions.table.count)
        for (state, code) in ErrorConditions.table {
            let name = "\(code)".map { $0.isUppercase ? "_\($0.lowercased())" : String($0) }.joined()
            #expect(documented[state] == name, "\(state)")
        }
    }

    @Test(arguments: [
        ("42P01", DriverError.Code.syntaxError), ("42P07", .databaseError), ("23505", .constraintViolation),
        ("HY000", .databaseError), ("40001", .busy), ("40002", .constraintViolation), ("", .databaseError),
        ("57P01", .connectFailed), ("57000", .databaseError), ("22012", .databaseError),
    ])
    func aStateGoesBeforeItsClass(state: String, code: DriverError.Code) {
        #expect(ErrorConditions.code(state) == code)
    }
}
