// The server's own description of its commands: which of them only read.

internal import CHiredis
internal import DatabaseContract
internal import RemoteDatabases

/// The server's commands by name, with their properties.
///
/// - Source: https://redis.io/docs/latest/commands/command/
final class RedisCommandTable: Sendable {
    struct Flags: OptionSet {
        let rawValue: UInt8

        static let readOnly = Flags(rawValue: 1)
        /// It has subcommands with flags of their own.
        static let container = Flags(rawValue: 2)
        /// It runs a client's program.
        static let script = Flags(rawValue: 4)
    }

    /// In capitals, subcommands as CONTAINER|SUBCOMMAND.
    private let flags: [String: Flags]

    /// Reads the reply to COMMAND.
    init(_ reply: RedisReply) {
        var flags: [String: Flags] = [:]
        for command in reply.elements { Self.add(command, to: &flags) }
        self.flags = flags
    }

    private static func add(_ command: RedisReply, to flags: inout [String: Flags]) {
        let parts = command.elements
        guard parts.count >= 3, let name = parts[0].text else { return }
        var own: Flags = []
        for flag in parts[2].elements where flag.text == "readonly" { own.insert(.readOnly) }
        // Since version 6: categories of access.
        if parts.count >= 7, parts[6].elements.contains(where: { $0.text == "@scripting" }) { own.insert(.script) }
        // Since version 7: tips, key specifications and subcommands.
        if parts.count >= 10, !parts[9].elements.isEmpty {
            own.insert(.container)
            for subcommand in parts[9].elements { add(subcommand, to: &flags) }
        }
        flags[name.uppercased()] = own
    }

    var isEmpty: Bool { flags.isEmpty }

    func isKnown(_ command: RedisCommand) -> Bool { flags[command.name] != nil }

    /// Whether it runs a program, according to the server or by its name.
    func isScript(_ command: RedisCommand) -> Bool {
        command.isScript || flags[command.name]?.contains(.script) ?? false
    }

    /// Whether the server says that a command only reads.
    func isReadOnly(_ command: RedisCommand) -> Bool {
        guard let own = flags[command.name] else { return false }
        guard own.contains(.container) else { return own.contains(.readOnly) }
        return flags["\(command.name)|\(command.subcommand)"]?.contains(.readOnly) ?? false
    }
}
