// What is run that nobody types: the startup file, and what the command line names.

internal import LinuxSystem
import LiteBaseClient
import SQLText

/// Statements and commands to be run instead of what is typed.
enum ShellSource {
    /// Which is complete without a semicolon at its end.
    case text(String)
    case file(path: String)
}

/// `$XDG_CONFIG_HOME/litebase/shellrc`: what somebody wants to have set whenever he types.
enum StartupFile {
    /// `nil` where there is none.
    static var path: String? {
        let place = Process.environment("XDG_CONFIG_HOME") ?? Process.homeDirectory.map { $0 + "/.config" }
        guard let path = place.map({ $0 + "/litebase/shellrc" }), (try? Files.status(path)) != nil else { return nil }
        return path
    }
}

extension Shell {
    /// Runs the startup file. What is wrong with it is said, and one can type all the same.
    /// - Throws: `OutputError`.
    func start() throws {
        guard let path = StartupFile.path else { return }
        try attempt { try self.read(path: path) }
        failureStatus = nil
    }

    /// Runs sources one after the other, as one script.
    /// - Throws: `OutputError`, `InputError`, `InterruptedError`.
    func run(_ sources: [ShellSource]) throws {
        for source in sources {
            var isDone = true
            switch source {
            case .text(let text):
                let end = try language() == .commandLines ? "" : "\n;"
                try process(TextLines(text + end, history: nil), script: ScriptPlace(file: "--command", line: 0))
                isDone = !endsScript
            case .file(let path):
                place = nil
                isDone = try attempt { try self.read(path: path) }
            }
            if isOver || (!isDone && errorPolicy == .stop) { return }
        }
    }
}
