// Who may open a database, and how: a pure decision on numbers of users and groups. Where these come from, and who asks,
// is in Connection+Access.swift.

internal import LinuxSystem

/// Users, or groups, as the configuration names them.
public struct Principals: Sendable, Equatable {
    /// Names and decimal numbers, as written.
    public let names: [String]
    /// The numbers of those that have one, in ascending order.
    public let ids: [UInt32]
    /// The names without a number, as of somebody who was deleted. A list that has some says less than it should: whoever it
    /// was to keep from writing may write.
    public let unknownNames: [String]

    /// - Parameters:
    ///   - names: as written.
    ///   - resolve: the number of a name; `nil` where there is none.
    public init(_ names: [String], resolve: (String) -> UInt32?) {
        self.names = names
        let found = names.map { (name: $0, id: resolve($0)) }
        ids = found.compactMap(\.id).sorted()
        unknownNames = found.filter { $0.id == nil }.map(\.name)
    }

    func contains(_ id: UInt32) -> Bool { ids.contains(id) }
    func contains(anyOf others: [UInt32]) -> Bool { others.contains { ids.contains($0) } }
}

/// Users and groups who are given a right.
public struct PrincipalSet: Sendable, Equatable {
    /// `nil`: not given. An empty list names nobody, which is not the same.
    public var users: Principals?
    public var groups: Principals?

    public init(users: Principals? = nil, groups: Principals? = nil) {
        self.users = users
        self.groups = groups
    }

    /// Whether somebody is among them; without a peer (TCP) nobody is. Groups are asked for only where a list of them is
    /// given.
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

    /// Why nobody can say whom the lists are for; `nil` when they are complete. Then the database is nobody's, of whatever list
    /// the name is: one list decides what another one says.
    var problem: String? {
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
    var areOpen: Bool { users == nil && groups == nil && readOnlyUsers == nil && readOnlyGroups == nil }

    /// Whether somebody may read who may not write.
    var nameReaders: Bool { readOnlyUsers != nil || readOnlyGroups != nil }

    /// What somebody may do who is neither root nor the daemon's own user. A list that names the user says more than one
    /// that names a group of his, and of two such lists that for reading decides.
    ///
    /// - Parameters:
    ///   - peer: who asks; `nil` (TCP) is nobody.
    ///   - most: what nobody may exceed.
    ///   - groupIDs: the peer's groups; asked for only where lists of groups decide.
    /// - Returns: `nil` when the peer may not even know of the database.
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

/// Who may do what concerns the whole service; root and the daemon's own user may always.
public struct ServiceAccess: Sendable, Equatable {
    /// Who sees what everybody does, and may make the daemon read its configuration again.
    public var administrators = PrincipalSet()
    /// Who may open databases by a URL.
    public var adHoc = PrincipalSet()

    public init() {}
}
