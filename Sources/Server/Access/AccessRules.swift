// Who may open a database, and how: a pure decision on user and group numbers. Connection+Access.swift gets these
// numbers and asks.

internal import LinuxSystem

/// Users, or groups, as the configuration names them.
public struct Principals: Sendable, Equatable {
    /// Names and decimal numbers, as written.
    public let names: [String]
    /// The numbers of the known names, in ascending order.
    public let ids: [UInt32]
    /// The names that have no number, such as that of a deleted user. A list with such a name is incomplete: somebody
    /// whom it was meant to keep from writing might write.
    public let unknownNames: [String]

    /// - Parameters:
    ///   - names: as written.
    ///   - resolve: returns the number of a name; `nil` if there is none.
    public init(_ names: [String], resolve: (String) -> UInt32?) {
        self.names = names
        let found = names.map { (name: $0, id: resolve($0)) }
        ids = found.compactMap(\.id).sorted()
        unknownNames = found.filter { $0.id == nil }.map(\.name)
    }

    func contains(_ id: UInt32) -> Bool { ids.contains(id) }
    func contains(anyOf others: [UInt32]) -> Bool { others.contains { ids.contains($0) } }
}

/// Users and groups who have a right.
public struct PrincipalSet: Sendable, Equatable {
    /// `nil`: not given. An empty list names nobody, which is not the same.
    public var users: Principals?
    public var groups: Principals?

    public init(users: Principals? = nil, groups: Principals? = nil) {
        self.users = users
        self.groups = groups
    }

    /// Whether the peer is among them; without a peer (TCP) it is not. Groups are only looked up if there is a list of
    /// groups.
    func contains(_ peer: PeerCredentials?, groupIDs: () -> [UInt32]) -> Bool {
        guard let peer else { return false }
        return users?.contains(peer.uid) == true || groups?.contains(anyOf: groupIDs()) == true
    }
}

/// Who may open a database.
public struct AccessRules: Sendable, Equatable {
    public var users: Principals?
    public var groups: Principals?
    public var readOnlyUsers: Principals?
    public var readOnlyGroups: Principals?

    public init(
        users: Principals? = nil, groups: Principals? = nil, readOnlyUsers: Principals? = nil,
        readOnlyGroups: Principals? = nil
    ) {
        self.users = users
        self.groups = groups
        self.readOnlyUsers = readOnlyUsers
        self.readOnlyGroups = readOnlyGroups
    }

    /// Why the lists are incomplete; `nil` if they are complete. An unknown name in any list disables the database,
    /// because one list decides what another one means.
    public var problem: String? {
        let lists: [(key: StaticString, list: Principals?)] = [
            ("users", users), ("groups", groups), ("read_only_users", readOnlyUsers),
            ("read_only_groups", readOnlyGroups),
        ]
        for (key, list) in lists {
            guard let name = list?.unknownNames.first else { continue }
            return "\(key) names \"\(LogText.escaped(name, byteCountMax: 64))\", whom the daemon does not know"
        }
        return nil
    }

    /// Whether everybody who may connect may open it.
    public var areOpen: Bool { users == nil && groups == nil && readOnlyUsers == nil && readOnlyGroups == nil }

    /// Whether somebody has read-only access.
    var nameReaders: Bool { readOnlyUsers != nil || readOnlyGroups != nil }

    /// The access of somebody who is neither root nor the daemon's own user. A list that names the user takes
    /// precedence over one that names a group of the user; between two such lists the one for reading decides.
    ///
    /// - Parameters:
    ///   - peer: the client; `nil` (TCP) has no access.
    ///   - most: the highest access that anybody may have.
    ///   - groupIDs: the peer's groups; called only if lists of groups decide.
    /// - Returns: `nil` if the peer may not even know of the database.
    /// - Cost: O(length of the lists); does not allocate.
    func access(
        of peer: PeerCredentials?, most: DatabaseAccess, groupIDs: () -> [UInt32]
    ) -> DatabaseAccess? {
        if areOpen { return most }
        guard let peer else { return nil }
        if readOnlyUsers?.contains(peer.uid) == true { return .readOnly }
        if users?.contains(peer.uid) == true { return most }
        guard groups != nil || readOnlyGroups != nil else { return nil }
        let groupIDs = groupIDs()
        if readOnlyGroups?.contains(anyOf: groupIDs) == true { return .readOnly }
        return groups?.contains(anyOf: groupIDs) == true ? most : nil
    }
}

/// Who may do what concerns the whole service; root and the daemon's own user always may.
public struct ServiceAccess: Sendable, Equatable {
    /// Users who see the data of all users and may make the daemon reload.
    public var administrators = PrincipalSet()
    /// Users who may open databases by a URL.
    public var adHoc = PrincipalSet()
    /// Users who may only watch the daemon.
    public var monitors = PrincipalSet()

    public init() {}
}
