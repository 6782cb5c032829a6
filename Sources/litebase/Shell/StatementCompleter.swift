// What the daemon proposes for the statement that is typed.

internal import LinuxSystem
import LiteBaseClient

/// Asks the daemon, in the shell's session, what may come next (`complete`), and which names there are.
///
/// It is asked while a line is edited: then nothing runs in the session. What fails proposes nothing: the next statement says why.
/// - Thread: the one that reads lines.
final class StatementCompleter: @unchecked Sendable {
    private let connection: ShellConnection
    /// The lines of the statement before the one that is edited.
    var before: [[UInt8]] = []
    /// A statement may have changed what a session sees that others do not.
    private var hasDefined = false

    private static let proposalCountMax: Int64 = 200
    /// While the daemon reads its catalog for the first time.
    private static let patienceMilliseconds: Int64 = 300
    /// A daemon that does not answer proposes nothing.
    private static let timeout = Duration.seconds(1)

    init(_ connection: ShellConnection) { self.connection = connection }

    /// Notes a statement that may have made a temporary table.
    func note(statement: String) {
        let word = statement.prefix(64).lowercased().drop { !$0.isLetter }.prefix { $0.isLetter }
        let defining = ["create", "alter", "drop", "rename", "use", "attach", "detach"]
        if defining.contains(String(word)) { hasDefined = true }
    }

    /// Completes a line of a statement.
    func completion(_ line: [UInt8], cursor: Int) -> Completion {
        let before =
            Array(before.joined(separator: [UInt8(ascii: "\n")])) + (before.isEmpty ? [] : [UInt8(ascii: "\n")])
        let text = String(decoding: before + line, as: UTF8.self)
        // Bytes that are no text would have another length.
        guard text.utf8.count == before.count + line.count else { return Completion() }
        let place = CompletionPlace(text, cursor: before.count + cursor, limit: Self.proposalCountMax)
        guard let result = proposals(place), result.replaced.lowerBound >= before.count else { return Completion() }
        let from = result.replaced.lowerBound - before.count
        let to = min(result.replaced.upperBound - before.count, line.count)
        guard from <= cursor, cursor <= to else { return Completion() }
        return Completion(
            word: String(decoding: line[from..<cursor], as: UTF8.self),
            behind: String(decoding: line[cursor..<to], as: UTF8.self), result.proposals)
    }

    /// Relations whose names begin with a word.
    func relations(_ word: String) -> [String] {
        let text = "SELECT * FROM " + word
        let found = proposals(CompletionPlace(text, limit: Self.proposalCountMax))?.proposals ?? []
        return found.filter { ["relation", "namespace"].contains($0.kind) }.map(\.text)
    }

    /// Databases that may be opened.
    func databases() -> [String] {
        guard connection.presentSession != nil else { return [] }
        let databases = connection.within(Self.timeout) { try? connection.reachableClient().listDatabases() }
        return (databases ?? []).map(\.name).sorted()
    }

    private func proposals(_ place: CompletionPlace) -> CompletionResult? {
        connection.within(Self.timeout) { proposalsInTime(place) }
    }

    private func proposalsInTime(_ place: CompletionPlace) -> CompletionResult? {
        guard let session = connection.presentSession else { return nil }
        // The daemon was asked to cancel; the line is to be dropped, too.
        defer { Interrupts.tellAgain() }
        if hasDefined, connection.transaction == .none {
            var options = CatalogOptions()
            options.maxRows = 1
            do throws(ClientError) {
                _ = try session.catalog("namespaces", options: options)
            } catch .timedOut {
                return nil
            } catch {}
            hasDefined = false
        }
        let end = MonotonicInstant.now.advanced(byMilliseconds: Self.patienceMilliseconds)
        while true {
            guard let result = try? session.complete(place) else { return nil }
            if !result.isIncomplete || Interrupts.isRaised || MonotonicInstant.now >= end { return result }
            Process.sleep(microseconds: 20_000)
        }
    }
}
