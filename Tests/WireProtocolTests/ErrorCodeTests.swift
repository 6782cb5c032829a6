// The table of error codes, and the document that is made from it.

import Glibc
import Testing
import WireProtocol

@Suite struct ErrorCodeTests {
    /// The codes of the protocol's text, so that none is lost or renamed by accident.
    static let names: Set<String> = [
        "bad_frame", "frame_too_large", "bad_request", "unknown_type", "permission_denied", "database_not_found",
        "session_not_found", "needs_session", "connect_failed", "driver_missing", "syntax_error",
        "constraint_violation", "read_only", "database_error", "busy", "timeout", "cancelled", "limit_exceeded",
        "shutting_down", "configuration_invalid", "outcome_unknown", "internal",
    ]

    @Test func everyCodeOfTheProtocol() {
        #expect(Set(ErrorCode.allCases.map { "\($0.name)" }) == Self.names)
        #expect(Set(ErrorCode.allCases.map(\.number)).count == ErrorCode.allCases.count)
    }

    @Test(arguments: ErrorCode.allCases)
    func namesAreReadBack(code: ErrorCode) {
        Array("\(code.name)".utf8).withUnsafeBytes { #expect(ErrorCode(name: $0) == code) }
        #expect([1, 2, 3, 4, 5, 9].contains(code.number / 1000))
        Array("\(code.name)x".utf8).withUnsafeBytes { #expect(ErrorCode(name: $0) == nil) }
    }

    static let path = repositoryRoot + "/docs/errors.md"

    /// Run with LITEBASE_UPDATE_DOCS=1 to write the document anew.
    @Test func documentIsCurrent() throws {
        if getenv("LITEBASE_UPDATE_DOCS") != nil { try writeFile(Self.path, Array(Self.document.utf8)) }
        let committed = try String(decoding: readFile(Self.path), as: UTF8.self)
        #expect(committed == Self.document, "docs/errors.md is stale: run the tests with LITEBASE_UPDATE_DOCS=1")
    }

    static var document: String {
        var text = """
            # Error codes

            Every failure is one `error` reply. Its `code` is one of these; `message` says in a sentence what happened, and \
            `hint`, `detail`, `sqlstate`, `vendor_code` and `position` say more where more is known (see \
            [protocol.md](protocol.md#errors)). The numbers are stable, for logs and searches: they are never used again for \
            something else. A client must take a code that it does not know for `database_error`.

            This page is made from the table in `Sources/WireProtocol/ErrorCode.swift`; a test keeps the two the same.

            """
        var family = 0
        for code in ErrorCode.allCases.sorted(by: { $0.number < $1.number }) {
            if code.number / 1000 != family {
                family = code.number / 1000
                text += "\n## \(family)xxx: \(title(ofFamily: family))\n"
            }
            let entry = code.entry
            text += """

                ### \(entry.number) `\(entry.name)`
                \(entry.meaning)

                - Fixed by: \(entry.fixedBy).
                - Again: \(entry.retry)
                - `retryable`, unless the reply says otherwise: \(entry.isRetryable).

                """
        }
        return text
    }

    static func title(ofFamily family: Int) -> String {
        switch family {
        case 1: "frame and protocol"
        case 2: "request"
        case 3: "access and limits"
        case 4: "driver and connection"
        case 5: "the database said no"
        default: "internal"
        }
    }
}
