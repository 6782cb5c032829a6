// `litebase history`: what was typed in the shell.

import ArgumentParser
import LiteBaseClient

struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Show statements that were typed in the shell.",
        usage: "litebase history [<words> ...] [<options>]",
        discussion: """
            One row for each statement, whatever its values: when it was typed last,
            how often, how long it took (the median), and why it failed the last time.
            With words, only those that have all of them, or words that begin so.
            """)

    @Argument(help: "What to look for.")
    var words: [String] = []

    @Option(name: .shortAndLong, help: ArgumentHelp("Only this database.", valueName: "name"))
    var database: String?

    @Flag(help: "Only those that have failed.")
    var failed = false

    @Option(help: ArgumentHelp("last (the default), count or slow: what comes first.", valueName: "order"))
    var order: String = HistoryStore.Order.last.rawValue

    @Option(help: ArgumentHelp("How many, at most.", valueName: "count"))
    var limit: Int64 = 50

    @OptionGroup var output: OutputOptions

    func run() throws {
        guard let order = HistoryStore.Order(rawValue: order) else {
            throw UsageError("--order takes \(HistoryStore.Order.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard limit > 0 else { throw UsageError("--limit takes a positive number") }
        var search = HistoryStore.Search(words: words.joined(separator: " "))
        (search.database, search.onlyFailed, search.countMax, search.order) = (database, failed, limit, order)
        var rows: [[Value]] = []
        if let store = HistoryStore.openExisting() {
            guard let found = store.find(search) else {
                throw InputError(
                    message: "the history cannot be read: \(HistoryStore.standardPath ?? "")",
                    status: ExitStatus.noInput)
            }
            rows = found
        }
        try StandardOutput().write(HistoryStore.columns, rows, output)
    }
}
