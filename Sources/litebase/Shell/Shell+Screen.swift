// Where results are shown: on the screen, by a pager, or in a file.

internal import LinuxSystem
import LiteBaseClient

extension Shell {
    /// How a result looks in the place where it goes now.
    var style: OutputStyle {
        var style = settings.style
        if outputFile != nil {
            (style.isTerminal, style.hasColor, style.width) = (false, false, nil)
        } else if isInteractive {
            style.width = Terminal.size?.width
            style.cutAdvice = "\\x or .mode record"
        }
        return style
    }

    /// Runs something whose output goes to the screen, or where `.output` says. A pager that is left before its end is no error:
    /// what was asked for was seen.
    func withScreen(_ body: () throws -> Void) throws {
        guard output.destination == nil else { return try body() }
        if outputFile == nil, isInteractive, settings.hasPager, let size = Terminal.size { pager = Pager(size) }
        defer { leaveScreen() }
        guard let destination: any OutputDestination = outputFile ?? pager else {
            try body()
            return try output.endResult()
        }
        try output.run(to: destination, body, leave: leave)
    }

    private func leave(_ error: OutputError) throws {
        if let pager {
            try? pager.endResult()
            if error.errno == .brokenPipe { return }
            if error.errno == .interrupted { return Terminal.complain("litebase: the statement was cancelled") }
        }
        guard let file = outputFile else { throw error }
        closeOutput(file)
        // A command that has read enough.
        if error.errno == .brokenPipe { return }
        throw InputError(message: "cannot write the output: \(error.errno)", status: ExitStatus.ioError)
    }

    /// Runs something that writes into the file of `.output` by itself.
    func writingOutput(_ body: () throws -> Void) throws {
        defer { leaveScreen() }
        do {
            try body()
        } catch let error as OutputError {
            try leave(error)
        }
    }

    private func leaveScreen() {
        output.destination = nil
        pager = nil
        if let file = outputFile, file.isForOne { closeOutput(file) }
        for notice in heldNotices { notice.complain() }
        heldNotices = []
    }

    private func closeOutput(_ file: OutputFile) {
        output.destination = nil
        file.close()
        outputFile = nil
    }

    /// Shows a notice, not in the middle of what a pager shows.
    func show(_ notice: Notice) {
        if pager?.isRunning ?? false { heldNotices.append(notice) } else { notice.complain() }
    }

    /// Sends results to a file, or to a command behind a bar.
    /// - Throws: `UsageError`
    func redirect(_ name: String, isForOne: Bool) throws {
        if let file = outputFile { closeOutput(file) }
        guard !name.isEmpty, name != "stdout" else { return }
        var path = Self.unquoted(name)
        if path.hasPrefix("~/"), let home = Process.homeDirectory { path = home + path.dropFirst(1) }
        do throws(Errno) {
            outputFile = try OutputFile(path, isForOne: isForOne)
        } catch {
            throw UsageError("cannot write \(path): \(error)")
        }
    }

    /// Shows a result that was made here.
    /// - Parameters:
    ///   - names: of its columns.
    ///   - rows: as long as these.
    ///   - nullText: what stands for NULL, if not what is set.
    /// - Throws: `OutputError`
    func show(_ names: [String], _ rows: [[Value]], nullText: String? = nil) throws {
        try withScreen {
            var style = style
            style.nullText = nullText ?? style.nullText
            let columns = Columns(names.map { Column(name: $0) })
            var formatter = settings.format.formatter(style)
            formatter.begin(columns, into: &output.buffer)
            for row in RowBatch(columns: columns, rows: rows) { formatter.row(row, into: &output.buffer) }
            formatter.end(StatementSummary(rowCount: rows.count), into: &output.buffer)
            try output.flush()
        }
    }
}
