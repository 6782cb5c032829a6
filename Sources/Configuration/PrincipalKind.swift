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

    /// Reads a list.
    func list(_ names: [String]) -> Principals { Principals(names, resolve: number) }

    /// What is wrong with a name that is not known. It is never skipped without a word: that would lock its user out, or, in a
    /// list for reading only, let it write.
    func problem(ofUnknown name: String) -> String {
        let shown = LogText.escaped(name, byteCountMax: 64)
        if known(name) != nil {
            return "names \"\(shown)\", whom the daemon cannot tell from others: it is in a user namespace of its own, "
                + "as with PrivateUsers=yes of the drop-in sqlite-only.conf; remove that, or the list"
        }
        return switch self {
        case .users: "names \"\(shown)\", which is no user of this machine; correct it, or write the user's number"
        case .groups: "names \"\(shown)\", which is no group of this machine; correct it, or write the group's number"
        }
    }

    /// The number of a name by which a peer can be recognised; `nil` where there is none.
    func number(_ name: String) -> UInt32? {
        guard let number = known(name) else { return nil }
        let visible = self == .users ? VisibleIDs.users : VisibleIDs.groups
        return visible?.contains(number) ?? true ? number : nil
    }

    private func known(_ name: String) -> UInt32? {
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

extension Configuration {
    /// The same with those names looked up again that nobody had: whoever keeps them, such as a directory service, may have
    /// started after the daemon.
    /// - Returns: `nil` when nobody has them still.
    public func withNamesLookedUpAgain() -> Configuration? {
        let found = unknownNames.filter { $0.kind.number($0.name) != nil }
        if found.isEmpty { return nil }
        var again = self
        again.unknownNames.removeAll { found.contains($0) }
        for setting in Setting.all { setting.lookUpAgain(in: &again.settings) }
        for index in again.databases.indices {
            for key in DatabaseKey.all { key.lookUpAgain(in: &again.databases[index]) }
        }
        return again
    }
}
