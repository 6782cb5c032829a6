// Checks a script before any of it runs: unsupported parts are refused before anything is changed. That requires a
// file; the rest of a pipe is unknown.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient
import SQLText

enum ScriptCheck {
    /// The first statement of a file that will be refused, and why.
    struct Refusal {
        var line: Int
        var reason: String
        /// The exit status of the program.
        var status: Int32
    }

    private static let chunkByteCount = 1 << 16

    /// - Parameters:
    ///   - descriptor: a file, whose position is not changed.
    ///   - language: of the script.
    ///   - rules: how the server reads quotes at its beginning.
    ///   - session: in which it would be run.
    /// - Returns: `nil` if nothing is refused, or if it is not a file.
    static func refusal(
        in descriptor: Int32, _ language: StatementSplitter.Language, _ rules: StatementSplitter.Rules,
        _ session: BlockingSession
    ) -> Refusal? {
        var offset = lseek(descriptor, 0, SEEK_CUR)
        guard offset >= 0, language != .commandLines else { return nil }
        var splitter = StatementSplitter(language, rules)
        var dump = VirtualTableDump()
        var isFirst = true
        while let chunk = read(descriptor, offset) {
            offset += off_t(chunk.count)
            var rest = isFirst ? ByteOrderMark.dropped(chunk[...]) : chunk[...]
            isFirst = false
            if splitter.isInData { _ = splitter.takeData(&rest) }
            while let statement = splitter.next(&rest) {
                if ScriptText.isFulfilled(statement, language, session) { continue }
                if let refusal = refusal(of: statement, language, rules, &dump) { return refusal }
                // Looking at each byte of the data would take long.
                if splitter.isInData { _ = splitter.takeData(&rest) }
                // From here on it may be for another database, or quotes mean something else, which only the server can say.
                if statement.bytes.first == UInt8(ascii: ".") || changesQuotes(statement.bytes, language) { return nil }
            }
        }
        return nil
    }

    private static func read(_ descriptor: Int32, _ offset: off_t) -> [UInt8]? {
        let chunk = [UInt8](unsafeUninitializedCapacity: chunkByteCount) { buffer, count in
            count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, offset))
        }
        return chunk.isEmpty ? nil : chunk
    }

    private static func refusal(
        of statement: StatementSplitter.Statement, _ language: StatementSplitter.Language,
        _ rules: StatementSplitter.Rules, _ dump: inout VirtualTableDump
    ) -> Refusal? {
        if let reason = ScriptText.refusal(of: statement) {
            return Refusal(line: statement.line, reason: reason, status: ExitStatus.statementFailed)
        }
        do throws(InputError) {
            let sql = try RawText.sql(of: statement, language, rules)
            if language == .sqlite { _ = try dump.steps(for: sql) }
            return nil
        } catch {
            return Refusal(line: statement.line, reason: error.message, status: error.status)
        }
    }

    private static func changesQuotes(_ statement: [UInt8], _ language: StatementSplitter.Language) -> Bool {
        guard statement.count < 4096 else { return false }
        let text = String(decoding: statement, as: UTF8.self).lowercased()
        return switch language {
        case .postgresql: text.contains("standard_conforming_strings") && text.contains("off")
        case .mysql: text.contains("no_backslash_escapes") || text.contains("ansi_quotes") || text.contains("'ansi'")
        case .sqlite, .commandLines: false
        }
    }
}
