// `litebase catalog`: what is in a database.

import ArgumentParser
internal import ByteBuffers
import LiteBaseClient

struct CatalogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "catalog",
        abstract: "Show what is in a database.",
        usage: "litebase catalog [<level>] [<options>]",
        discussion: """
            <level> is namespaces, relations (the default), columns, keys,
            foreign_keys, indexes, triggers, routines or types. Lists of names and
            what only one engine has are shown as JSON.
            """)

    @Argument(help: "What to show.")
    var level: String = "relations"

    @Option(help: ArgumentHelp("Only names that fit this text, the best first.", valueName: "text"))
    var match: String?

    @Option(
        name: .customLong("kind"),
        help: ArgumentHelp("Only this kind, such as view; several may be given.", valueName: "kind"))
    var kinds: [String] = []

    @Option(help: ArgumentHelp("Only this namespace: a schema, an attached database.", valueName: "name"))
    var namespace: String?

    @Option(help: ArgumentHelp("Only this relation and what belongs to it.", valueName: "name"))
    var relation: String?

    @Flag(help: "Also the texts that make objects.")
    var definitions = false

    @Flag(help: "Have the daemon read it again.")
    var refresh = false

    @Option(name: .shortAndLong, help: ArgumentHelp("The database, by name. Default: the daemon's.", valueName: "name"))
    var database: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var limits: StatementLimits
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        var options = CatalogOptions(database: database)
        options.match = match
        options.kinds = kinds
        options.namespace = namespace
        options.relation = relation
        options.definitions = definitions
        options.refresh = refresh
        options.maxRows = limits.maxRows
        options.timeout = limits.queryOptions(database: nil).timeout
        let result = try connection.connect().catalog(level, options: options)
        let rows = result.rows.map { Array($0) }
        try StandardOutput().write(result.columns.names, rows, output)
        if result.isTruncated { Terminal.complain("litebase: there are more rows than --max-rows lets through") }
    }
}
