// The place of a statement in a script, and how its error affects the rest.

import ArgumentParser

/// A line of a script.
struct ScriptPlace: CustomStringConvertible {
    /// The file as it was named; `nil` for standard input.
    var file: String?
    /// From 1.
    var line: Int

    var description: String { "\(file.map(TerminalEscaping.visible) ?? "stdin"), line \(line)" }
}

/// What happens to the rest of a script when one of its statements fails.
enum ErrorPolicy: String, CaseIterable, ExpressibleByArgument {
    case stop, `continue`
}

/// How scripts are run.
struct ScriptOptions: ParsableArguments {
    @Option(
        name: .customLong("on-error"),
        help: ArgumentHelp(
            "What a statement that fails does to the rest of its script: stop it (the default) or continue.",
            valueName: "policy"))
    var errorPolicy = ErrorPolicy.stop
}
