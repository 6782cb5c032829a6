// `litebase import`: the rows of a file into a table, which the daemon reads.

import ArgumentParser
internal import Glibc
internal import LinuxSystem
import LiteBaseClient

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Write the rows of a file into a table.",
        usage: "litebase import <file> <table> [<options>]",
        discussion: """
            The daemon reads the file itself, by the descriptor that litebase has
            opened. Rows are committed as they go, so that nobody else waits; with
            --atomic all of them are, or none.

            EXAMPLES:
              litebase import --create city.csv city
              litebase import --create --dry-run city.csv city
              litebase import --create city.arrow city
              curl -s https://example.org/log.jsonl | litebase import - log --format jsonl
            """)

    @Argument(help: ArgumentHelp("The file; - is standard input.", valueName: "file"), completion: .file())
    var file: String

    @Argument(help: ArgumentHelp("The table, or schema.table.", valueName: "table"))
    var table: String

    @Option(name: .shortAndLong, help: ArgumentHelp("The database, by name. Default: the daemon's.", valueName: "name"))
    var database: String?

    @Option(help: ArgumentHelp("How rows stand in the file. Default: by its name, or csv.", valueName: "format"))
    var format: FileFormat?

    @Option(
        help: ArgumentHelp(
            "Columns for the fields of a line, with commas between; of json and arrow, those to take.",
            valueName: "names"))
    var columns: String?

    @Flag(name: .customLong("no-header"), help: "The first line is a row (csv, tsv).")
    var hasNoHeader = false

    @Option(help: ArgumentHelp("What is between two fields (csv, tsv).", valueName: "character"))
    var delimiter: String?

    @Option(help: ArgumentHelp("What stands for null (csv, tsv).", valueName: "text"))
    var null: String?

    @Option(help: ArgumentHelp("utf-8, utf-16le, utf-16be or latin-1. Default: by its first bytes.", valueName: "name"))
    var encoding: String?

    @Flag(help: "Make the table, with types by the first rows, or by the schema (arrow).")
    var create = false

    @Flag(name: .customLong("dry-run"), help: "Only say what is in the file.")
    var isDryRun = false

    @Flag(help: "All rows or none. On SQLite other writers wait until the end.")
    var atomic = false

    @Option(
        name: .customLong("max-rejected"),
        help: ArgumentHelp("Go on behind that many lines, or rows, that are refused.", valueName: "n"))
    var rejectedCountMax: Int64 = 0

    @Option(help: ArgumentHelp("Give up after that time of work.", valueName: "seconds"))
    var timeout: Double?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if table.isEmpty { throw ValidationError("The name of the table is empty.") }
        if rejectedCountMax < 0 { throw ValidationError("The number of lines must not be negative.") }
        if let timeout, !(timeout > 0 && timeout <= 86_400_000) {
            throw ValidationError("The timeout must be a positive number of seconds.")
        }
    }

    func run() throws {
        let descriptor = try opened()
        let client = try connection.connect()
        try client.introduce(as: "litebase import")
        client.givesUpWhenCancelledAgain = true
        client.cancellationDescriptor = Interrupts.install()
        let (options, relation) = wanted()
        let start = MonotonicInstant.now
        let result: ImportResult
        do throws(ClientError) {
            result = try client.importRows(from: descriptor, into: relation, options: options) {
                LiveLine.show(TransferProgressText.line($0, since: start))
            }
        } catch {
            LiveLine.clear()
            throw StatementError(error: error, sql: "", place: nil)
        }
        LiveLine.clear()
        ImportText.complain(result, options.format.placeNoun)
        let output = StandardOutput()
        for line in ImportText.lines(result, isDryRun: isDryRun) { try output.print(line) }
        try output.flush()
    }

    private func opened() throws -> Int32 { file == "-" ? STDIN_FILENO : try ImportText.open(file) }

    private func wanted() -> (ImportOptions, String) {
        var options = ImportOptions()
        options.database = database
        options.format = (format ?? FileFormat(ofFile: file) ?? .csv).forDaemon
        options.hasHeader = !hasNoHeader
        options.columns = columns?.split(separator: ",").map(String.init) ?? []
        options.delimiter = delimiter == "\\t" ? "\t" : delimiter
        options.null = null
        options.encoding = encoding
        options.createsTable = create
        options.isDryRun = isDryRun
        options.isAtomic = atomic
        options.rejectedCountMax = rejectedCountMax
        options.timeout = timeout.map { .milliseconds(Int64(($0 * 1000).rounded(.up))) }
        let (namespace, name) = ImportText.parts(of: table)
        options.namespace = namespace
        return (options, name)
    }
}

/// What the command and the shell have in common.
enum ImportText {
    /// Opens a file to be read.
    static func open(_ path: String) throws(InputError) -> Int32 {
        try requireUTF8(path)
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw InputError(message: "\(path) cannot be read: \(Errno.current)", status: ExitStatus.noInput)
        }
        return descriptor
    }

    /// A name with other bytes has come as another one, of which there may be a file, too.
    static func requireUTF8(_ path: String) throws(InputError) {
        guard path.unicodeScalars.contains("\u{fffd}") else { return }
        throw InputError(
            message: "\(path): the name of a file has to be UTF-8 here; use a redirection of the shell",
            status: ExitStatus.usage)
    }

    /// The schema, if there is one, and the name of a table.
    static func parts(of table: String) -> (namespace: String?, name: String) {
        let parts = table.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return parts.count == 2 ? (parts[0], parts[1]) : (nil, table)
    }

    /// Says which lines were refused.
    static func complain(_ result: ImportResult, _ noun: String = "line") {
        for line in result.rejected { Terminal.complain("litebase: \(noun) \(line.line): \(line.reason)") }
        let untold = result.rejectedCount - Int64(result.rejected.count)
        if untold > 0 { Terminal.complain("litebase: \(counted(untold, "more \(noun)")) refused") }
    }

    /// What was done, or would be.
    static func lines(_ result: ImportResult, isDryRun: Bool) -> [String] {
        guard isDryRun else { return ["\(counted(result.rowCount, "row")) imported"] }
        let columns =
            result.sql.map { ["\($0);"] }
            ?? result.columns.map { "\(TerminalEscaping.visible($0.name))\t\($0.type ?? "unknown")" }
        return columns + ["\(counted(result.rowCount, "row")) found"]
    }
}

/// The line that shows how far a transfer is.
enum TransferProgressText {
    private static let barWidth = 24

    static func line(_ status: TransferStatus, since start: MonotonicInstant) -> String {
        let rate = rate(status.byteCount, since: start)
        guard let total = status.totalByteCount, total > 0 else {
            let text = "\(megabytes(Double(status.byteCount))), \(megabytes(rate))/s"
            return status.rowCount > 0 ? text + ", \(status.rowCount) rows" : text
        }
        return bar(status.byteCount, of: total)
            + " of \(megabytes(Double(total))), \(megabytes(rate))/s, \(secondsLeft(status.byteCount, of: total, rate)) s left"
    }

    /// The same where rows are counted; `total` is `nil` if it is not known.
    static func rows(_ count: Int64, of total: Int64?, since start: MonotonicInstant) -> String {
        let rate = rate(count, since: start)
        guard let total, total > 0 else { return "\(count) rows, \(Int(rate))/s" }
        return bar(count, of: total)
            + " of \(total) rows, \(Int(rate))/s, \(secondsLeft(count, of: total, rate)) s left"
    }

    /// In a second.
    private static func rate(_ done: Int64, since start: MonotonicInstant) -> Double {
        Double(done) / max(0.001, Double(MonotonicInstant.now.nanoseconds(since: start)) / 1e9)
    }

    private static func bar(_ done: Int64, of total: Int64) -> String {
        let part = min(1, Double(done) / Double(total))
        let filled = Int(part * Double(barWidth))
        return "[" + String(repeating: "#", count: filled) + String(repeating: ".", count: barWidth - filled)
            + "] \(Int(part * 100)) %"
    }

    private static func secondsLeft(_ done: Int64, of total: Int64, _ rate: Double) -> Int64 {
        // A source that is faster than the clock has no rate yet.
        rate > 0 ? Int64(min(1e9, max(0, Double(total - done)) / rate)) : 0
    }

    static func megabytes(_ byteCount: Double) -> String {
        let tenths = Int(byteCount / 100_000)
        return "\(tenths / 10).\(tenths % 10) MB"
    }
}

/// What the daemon reads.
enum FileFormat: String, CaseIterable, ExpressibleByArgument {
    case csv, tsv, json, jsonl, arrow

    var forDaemon: RowFileFormat {
        switch self {
        case .csv: .csv
        case .tsv: .tsv
        case .json: .json
        case .jsonl: .jsonl
        case .arrow: .arrow
        }
    }
}

extension FileFormat {
    /// By the end of a file's name.
    init?(ofFile path: String) {
        switch FileEnding.of(path) {
        // What the documentation of Arrow and its programs call streams and files.
        case "arrows", "ipc", "feather": self = .arrow
        case "ndjson": self = .jsonl
        case let ending:
            guard let format = FileFormat(rawValue: ending) else { return nil }
            self = format
        }
    }
}

extension RowFileFormat {
    /// What the parts of a file are called of which each is a row.
    var placeNoun: String { self == .arrow ? "row" : "line" }
}
