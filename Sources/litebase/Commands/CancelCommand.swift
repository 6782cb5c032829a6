// `litebase cancel`: ends requests, sessions and connections.

import ArgumentParser
import LiteBaseClient

struct CancelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "End a request, a session or a connection.",
        usage: "litebase cancel <target> ... [<options>]",
        discussion: """
            A target is what "litebase top" shows: 12.3 is request 3 of connection
            12, s12-1 a session, 12 a connection with all that it has. Its client
            is told; an open transaction of what ends is rolled back. You end your
            own; root, the daemon's user and administrators (access.admins) end
            everybody's. The daemon's log says who has ended what.
            """)

    @Argument(help: "Connection, connection.request, or session.")
    var targets: [String]

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        for text in targets where TerminationTarget(text: text) == nil {
            throw ValidationError(
                "\"\(text)\" is no target: give a connection (12), a request (12.3) or a session (s12-1).")
        }
    }

    func run() throws {
        let client = try connection.connect()
        let output = StandardOutput()
        var status = ExitStatus.success
        for target in targets.compactMap(TerminationTarget.init(text:)) {
            do throws(ClientError) {
                let result = try client.terminate(target)
                try? output.print(result.line(target))
                try? output.flush()
            } catch {
                // The others may still be there.
                guard error.serverError != nil else { throw error }
                ErrorReport.print(error)
                status = ExitStatus.of(error)
            }
        }
        try output.flush()
        if status != ExitStatus.success { throw ExitCode(status) }
    }
}
