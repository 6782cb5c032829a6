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
        /// It is a module's.
        static let module = Flags(rawValue: 8)
    }

    /// In capitals, subcommands as CONTAINER|SUBCOMMAND.
    private let flags: [String: Flags]

    /// What follows from the properties of a command.
    struct Properties: Equatable {
        var isReadOnly = false
        /// What it answers may be anything at all, word for word that of a client, after whatever it has done: it is a script, a module's,
        /// or one that the server has not told.
        var answersFreely = false
    }

    /// Where a command goes in a cluster.
    struct Destination: Equatable, Sendable {
        var keys: [RedisKeySpec] = []
        /// It has keys, and where they are is not understood.
        var hasOtherKeys = false

        var hasKeys: Bool { hasOtherKeys || !keys.isEmpty }
    }

    /// The same names. Only of a cluster.
    private let destinations: [String: Destination]

    /// Reads the reply to COMMAND; `withKeys`: also which arguments are keys.
    init(_ reply: RedisReply, withKeys: Bool = false) {
        var flags: [String: Flags] = [:]
        var destinations: [String: Destination] = [:]
        for command in reply.elements {
            Self.add(command, to: &flags)
            if withKeys { Self.add(command, to: &destinations) }
        }
        self.flags = flags
        self.destinations = destinations
    }

    /// Of a cluster whose commands are known otherwise.
    init(destinations: [String: Destination], modules: [String] = []) {
        flags = Dictionary(
            uniqueKeysWithValues: destinations.keys.map { name -> (String, Flags) in
                (name, modules.contains(name) ? .module : RedisCommand.scriptNames.contains(name) ? .script : [])
            })
        self.destinations = destinations
    }

    /// Commands and subcommands that a server may have; Redis 7 has 370.
    static let commandCountMax = 8_192
    private static let nameByteCountMax = 128

    private static func name(_ reply: RedisReply?) -> String? {
        guard let name = reply?.text, name.utf8.count <= nameByteCountMax else { return nil }
        return name.uppercased()
    }

    func saysTheSame(as other: RedisCommandTable) -> Bool {
        flags == other.flags && destinations == other.destinations
    }

    /// Descriptions of keys that one command has; no server's has more than three.
    private static let specCountMax = 8

    private static func add(_ command: RedisReply, to destinations: inout [String: Destination]) {
        let parts = command.elements
        guard parts.count >= 6, destinations.count < commandCountMax, let name = name(parts[0]) else { return }
        var own = Destination()
        if parts.count >= 9 {
            own.keys = parts[8].elements.prefix(specCountMax).compactMap { RedisKeySpec($0) }
            own.hasOtherKeys = own.keys.isEmpty && !parts[8].elements.isEmpty
        } else if let movable = RedisKeySpec.movable[name] {
            own.keys = movable
        } else if name == "MEMORY" {
            // Such servers do not tell subcommands.
            destinations["MEMORY|USAGE"] = Destination(keys: RedisKeySpec.memoryUsage)
        } else {
            let numbers = parts[3...5].map { $0.integer.flatMap { Int(exactly: $0) } ?? 0 }
            own.keys = [RedisKeySpec(first: numbers[0], last: numbers[1], step: numbers[2])].compactMap(\.self)
            let isMovable = parts[2].elements.contains { $0.text == "movablekeys" }
            own.hasOtherKeys = own.keys.isEmpty && (isMovable || numbers[0] != 0)
        }
        if parts.count >= 10 { for subcommand in parts[9].elements { add(subcommand, to: &destinations) } }
        destinations[name] = own
    }

    /// Where a command goes; `nil` if the server does not know it.
    func destination(of command: RedisCommand) -> Destination? {
        destinations["\(command.name)|\(command.subcommand)"] ?? destinations[command.name]
    }

    /// The words of a command that the server has told: its name, or that and the one of a subcommand.
    func words(of command: RedisCommand) -> String {
        destinations["\(command.name)|\(command.subcommand)"] == nil
            ? command.name : "\(command.name) \(command.subcommand)"
    }

    private static func add(_ command: RedisReply, to flags: inout [String: Flags]) {
        let parts = command.elements
        guard parts.count >= 3, flags.count < commandCountMax, let name = name(parts[0]) else { return }
        var own: Flags = []
        for flag in parts[2].elements {
            switch flag.text {
            case "readonly": own.insert(.readOnly)
            case "module": own.insert(.module)
            default: break
            }
        }
        // Since version 6: categories of access.
        if parts.count >= 7, parts[6].elements.contains(where: { $0.text == "@scripting" }) { own.insert(.script) }
        if RedisCommand.scriptNames.contains(name) { own.insert(.script) }
        // Since version 7: tips, key specifications and subcommands.
        if parts.count >= 10, !parts[9].elements.isEmpty {
            own.insert(.container)
            for subcommand in parts[9].elements { add(subcommand, to: &flags) }
        }
        flags[name] = own
    }

    var isEmpty: Bool { flags.isEmpty }

    func isKnown(_ command: RedisCommand) -> Bool { flags[command.name] != nil }

    /// Whether it runs a program, according to the server or by its name.
    func isScript(_ command: RedisCommand) -> Bool {
        command.isScript || flags[command.name]?.contains(.script) ?? false
    }

    /// By one look into the table, since each command that is sent needs them.
    func properties(of command: RedisCommand) -> Properties {
        guard let own = flags[command.name] else { return Properties(answersFreely: true) }
        let isFree = !own.isDisjoint(with: [.script, .module])
        guard own.contains(.container) else {
            return Properties(isReadOnly: own.contains(.readOnly), answersFreely: isFree)
        }
        let subcommand = flags["\(command.name)|\(command.subcommand)"]
        return Properties(isReadOnly: subcommand?.contains(.readOnly) ?? false, answersFreely: isFree)
    }

    /// Whether the server says that a command only reads.
    func isReadOnly(_ command: RedisCommand) -> Bool { properties(of: command).isReadOnly }
}
