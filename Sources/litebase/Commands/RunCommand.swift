// `litebase run`: a statement that was saved.

import ArgumentParser
import LiteBaseClient
import SQLText

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a saved query; without a name, list them.",
        usage: "litebase run [<name> [<parameters> ...]] [<options>]",
        discussion: """
            Saved queries are the files NAME.sql in ~/.config/litebase/queries
            ($XDG_CONFIG_HOME), one statement each. Lines of comment at the beginning
            describe the query and its parameters, with a default in parentheses:

              -- Orders of a customer.
              -- :customer  the customer's number
              -- :since     from this day on (2020-01-01)
              SELECT * FROM orders WHERE customer = :customer AND day >= :since

            Values are given in that order, or as name=value, in the forms that
            litebase query takes.
            """)

    @Argument(help: "The name of the query.")
    var name: String?

    @Argument(help: "Values of its parameters.")
    var parameters: [String] = []

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var pager: PagerOptions
    @OptionGroup var limits: StatementLimits
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        guard let name else { return try list() }
        let query = try SavedQuery.read(name)
        let values = try query.values(parameters)
        let screen = ResultScreen(pager)
        let client = try ConnectionOptions.connectForStatements(
            to: try connection.endpoint(), trusting: connection.trusted, as: "litebase run", notices: screen.notices)
        client.cancellationDescriptor = Interrupts.install(isOnce: true)
        let session = try client.openSession(database.sessionOptions)
        let language = StatementSplitter.Language(engine: session.information.engine)
        let rules = StatementSplitter.Rules.ask(session, language) ?? .init()
        var splitter = StatementSplitter(language, rules)
        var statements = splitter.append(query.sql.utf8)
        if let last = splitter.finish() { statements.append(last) }
        guard statements.count == 1, let text = statements[0].text else {
            throw UsageError(
                "\(name) has \(statements.count) statements; a saved query has one (litebase query - runs scripts)")
        }
        let (sql, bound) = try Self.bound(text, language, rules, values)
        let runner = StatementRunner(
            target: .session(session), options: limits.queryOptions(database: nil), output: screen.output)
        var formatter = output.makeFormatter()
        try QueryCommand.report(sql) { try screen.show { _ = try runner.run(sql, bound, &formatter) } }
        try session.close()
    }

    private static func bound(
        _ text: String, _ language: StatementSplitter.Language, _ rules: StatementSplitter.Rules,
        _ values: [String: String]
    ) throws -> (sql: String, parameters: Parameters) {
        guard let found = Placeholders(text, language, rules) else { return (text, .none) }
        var given = ShellParameters()
        for (name, value) in values { given.set(name, ParameterParsing.value(value)) }
        return try found.bound { name throws(UsageError) in
            guard let value = given[name] else {
                throw UsageError("\(name) has no value; name=value gives it one")
            }
            return value
        }
    }

    private func list() throws {
        let rows: [[Value]] = SavedQuery.all().map { [.text($0.name), .text($0.usage), .text($0.description)] }
        try StandardOutput().write(["name", "parameters", "description"], rows, output)
    }
}
