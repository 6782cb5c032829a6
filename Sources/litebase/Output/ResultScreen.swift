// Where `litebase query` and `litebase run` show results: by a pager if they do not fit the terminal, else directly.

import ArgumentParser
internal import LinuxSystem
import LiteBaseClient

/// Whether results go through a pager.
struct PagerOptions: ParsableArguments {
    @Flag(name: .customLong("no-pager"), help: "Show long results without a pager.")
    var isOff = false

    /// Somebody looks at the results, and can leave a pager.
    var isWanted: Bool { !isOff && Terminal.outputIsTerminal && Terminal.inputIsTerminal }
}

/// The place for the results of one command.
final class ResultScreen {
    let output = StandardOutput()
    /// What the client gets notices by, which are not to be shown in the middle of what a pager shows.
    private(set) lazy var notices: (Notice) -> Void = { [weak self] in self?.show($0) }
    private let hasPager: Bool
    private var pager: Pager?
    private var heldNotices: [Notice] = []

    init(_ options: PagerOptions) { hasPager = options.isWanted }

    /// Shows the results of one statement. A pager that is left before their end is no error: what was asked for was seen.
    /// - Throws: the error of `body`.
    func show(_ body: () throws -> Void) throws {
        guard hasPager, let size = Terminal.size, let pager = Pager(size, takesWide: true) else { return try body() }
        self.pager = pager
        defer {
            self.pager = nil
            for notice in heldNotices { notice.complain() }
            heldNotices = []
        }
        try output.run(to: pager, body) { error in
            try? pager.endResult()
            if error.errno != .brokenPipe { throw error }
        }
    }

    private func show(_ notice: Notice) {
        if pager?.isRunning ?? false { heldNotices.append(notice) } else { notice.complain() }
    }
}
