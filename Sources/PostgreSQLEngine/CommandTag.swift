// What a statement was, by the tag with which the server says that it is done.

internal import DatabaseContract
internal import RemoteDatabases

/// A command tag, such as "INSERT 0 5".
///
/// The text stays libpq's; nothing is allocated, since there is one for each statement.
/// - Source: https://www.postgresql.org/docs/15/protocol-message-formats.html, CommandComplete
struct CommandTag {
    private let text: UnsafePointer<CChar>?

    init(_ text: UnsafePointer<CChar>?) { self.text = text }

    var isEmpty: Bool { text == nil || text?[0] == 0 }

    /// Whether its number counts rows that were changed.
    var changesRows: Bool { begins("INSERT") || begins("UPDATE") || begins("DELETE") || begins("MERGE") }

    /// Statements that leave nothing on their connection; functions that they call may, for the same user only.
    var isHarmless: Bool { begins("SELECT") || changesRows || begins("SHOW") || begins("EXPLAIN") }

    /// What a transaction has changed is to stay. Anything else is committed with the end of its pipeline, behind its tag.
    var commits: Bool { begins("COMMIT") || begins("PREPARE TRANSACTION") }

    /// The transaction, or what of it was behind a savepoint, is gone: with COMMIT of a failed one, too.
    var rollsBack: Bool { begins("ROLLBACK") }

    /// The number at its end, at most `Int64.max`; 0 without one.
    var count: Int64 {
        guard let text else { return 0 }
        var number: Int64 = 0
        var index = 0
        while text[index] != 0 {
            let byte = UInt8(bitPattern: text[index])
            if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                let (product, overflow) = number.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
                number = overflow || carry ? .max : sum
            } else {
                number = 0
            }
            index += 1
        }
        return number
    }

    /// Whether the tag begins with that, as whole words.
    private func begins(_ words: StaticString) -> Bool {
        guard let text else { return false }
        for index in 0..<words.utf8CodeUnitCount {
            if UInt8(bitPattern: text[index]) != words.utf8Start[index] { return false }
        }
        let next = text[words.utf8CodeUnitCount]
        return next == 0 || next == CChar(UInt8(ascii: " "))
    }
}
