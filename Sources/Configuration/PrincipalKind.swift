// Lists of users and of groups in the configuration: names of this machine, or numbers.

internal import LinuxSystem
internal import Server

/// Whether a list names users or groups.
enum PrincipalKind: Sendable {
    case users, groups

    /// For people.
    var type: String {
        switch self {
        case .users: "array of strings, names or numbers of users"
        case .groups: "array of strings, names or numbers of groups"
        }
    }

    /// Reads a list. A name that is not known is an error: skipped, it would lock its user out, or, in a list for reading
    /// only, let it write.
    /// - Returns: what is wrong with it and what would be right; `nil` when it was taken.
    func assign(_ names: [String], to place: inout Principals?) -> String? {
        do throws(UnknownPrincipal) {
            place = try Principals(names, resolve: number)
            return nil
        } catch {
            let shown = LogText.escaped(error.name, byteCountMax: 64)
            switch self {
            case .users:
                return "names \"\(shown)\", which is no user of this machine; correct it, or write the user's number"
            case .groups:
                return "names \"\(shown)\", which is no group of this machine; correct it, or write the group's number"
            }
        }
    }

    private func number(_ name: String) -> UInt32? {
        switch self {
        case .users: Process.userID(name)
        case .groups: Process.groupID(name)
        }
    }

    /// The list as TOML writes it.
    static func literal(_ list: Principals) -> String {
        "[" + list.names.map(TOMLDocument.quote).joined(separator: ", ") + "]"
    }
}
