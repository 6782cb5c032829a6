// Who may open a database: the decision alone, case by case.

import LinuxSystem
import Testing

@testable import Server

@Suite struct AccessRulesTests {
    private static let alice: UInt32 = 1001
    private static let bob: UInt32 = 1002
    private static let sales: UInt32 = 2001
    private static let analysts: UInt32 = 2002

    private static func list(_ ids: UInt32...) throws -> Principals {
        Principals(ids.map { "\($0)" }) { UInt32($0) }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var what: String
        var users: [UInt32]?
        var groups: [UInt32]?
        var readOnlyUsers: [UInt32]?
        var readOnlyGroups: [UInt32]?
        var uid: UInt32? = alice
        var memberOf: [UInt32] = []
        var most = DatabaseAccess.readWrite
        var expected: DatabaseAccess?

        var testDescription: String { what }

        func rules() throws -> AccessRules {
            func list(_ ids: [UInt32]?) throws -> Principals? {
                ids.map { Principals($0.map { "\($0)" }) { UInt32($0) } }
            }
            return try AccessRules(
                users: list(users), groups: list(groups), readOnlyUsers: list(readOnlyUsers),
                readOnlyGroups: list(readOnlyGroups))
        }
    }

    static let cases: [Case] = [
        Case(what: "no list: everybody", expected: .readWrite),
        Case(what: "no list: everybody, no more than allowed", most: .readOnly, expected: .readOnly),
        Case(what: "no list: TCP too", uid: nil, expected: .readWrite),
        Case(what: "a list: TCP never", users: [alice], uid: nil, memberOf: [sales], expected: nil),
        Case(what: "an empty list: nobody", users: [], expected: nil),
        Case(what: "an empty list of readers: nobody", readOnlyGroups: [], memberOf: [sales], expected: nil),
        Case(what: "named", users: [bob, alice], expected: .readWrite),
        Case(what: "named, no more than allowed", users: [alice], most: .readOnly, expected: .readOnly),
        Case(what: "not named", users: [bob], expected: nil),
        Case(what: "not named, a group of the same number", groups: [alice], expected: nil),
        Case(what: "a user of a group's number", users: [sales], memberOf: [sales], expected: nil),
        Case(what: "member", groups: [analysts, sales], memberOf: [7, sales], expected: .readWrite),
        Case(what: "no member", groups: [analysts], memberOf: [sales], expected: nil),
        Case(what: "named reader", readOnlyUsers: [alice], expected: .readOnly),
        Case(what: "only readers are named: others may not", readOnlyUsers: [bob], expected: nil),
        Case(what: "member of readers", readOnlyGroups: [sales], memberOf: [sales], expected: .readOnly),
        Case(what: "both lists name the user: reads", users: [alice], readOnlyUsers: [alice], expected: .readOnly),
        Case(
            what: "both lists name a group: reads", groups: [sales], readOnlyGroups: [analysts],
            memberOf: [sales, analysts], expected: .readOnly),
        Case(
            what: "the user's name says more than a group of readers", users: [alice], readOnlyGroups: [sales],
            memberOf: [sales], expected: .readWrite),
        Case(
            what: "the reader's name says more than a group", groups: [sales], readOnlyUsers: [alice],
            memberOf: [sales], expected: .readOnly),
        Case(what: "root's number, as any other", users: [bob], uid: 0, expected: nil),
    ]

    @Test(arguments: cases)
    func decides(_ one: Case) throws {
        let peer = one.uid.map { PeerCredentials(pid: 1, uid: $0, gid: 9) }
        let rules = try one.rules()
        #expect(rules.access(of: peer, most: one.most) { one.memberOf } == one.expected)
    }

    @Test func groupsAreAskedForOnlyWhereTheyDecide() throws {
        let peer = PeerCredentials(pid: 1, uid: Self.alice, gid: 9)
        for rules in [
            AccessRules(), AccessRules(users: try Self.list(Self.bob)),
            AccessRules(users: try Self.list(Self.alice), groups: try Self.list(Self.sales)),
            AccessRules(groups: try Self.list(Self.sales), readOnlyUsers: try Self.list(Self.alice)),
        ] {
            _ = rules.access(of: peer, most: .readWrite) {
                Issue.record("nobody needs to know the groups")
                return []
            }
        }
    }

    @Test func rightsOfTheServiceAreForWhoIsNamed() throws {
        let peer = PeerCredentials(pid: 1, uid: Self.alice, gid: 9)
        let set = PrincipalSet(users: try Self.list(Self.bob), groups: try Self.list(Self.sales))
        #expect(!PrincipalSet().contains(peer) { [Self.sales] })
        #expect(!set.contains(peer) { [Self.analysts] })
        #expect(set.contains(peer) { [Self.sales] })
        #expect(set.contains(PeerCredentials(pid: 1, uid: Self.bob, gid: 9)) { [] })
        #expect(!set.contains(nil) { [Self.sales] })
    }

    /// Of whatever list it is: one that is short of a name says something else than its author meant.
    @Test func aNameThatIsNotKnownIsRemembered() {
        let names = Principals(["3", "x", "1", "y"]) { UInt32($0) }
        #expect(names.ids == [1, 3])
        #expect(names.unknownNames == ["x", "y"])
        let places: [(inout AccessRules) -> Void] = [
            { $0.users = names }, { $0.groups = names }, { $0.readOnlyUsers = names }, { $0.readOnlyGroups = names },
        ]
        for place in places {
            var rules = AccessRules(users: Principals(["1"]) { UInt32($0) })
            #expect(rules.problem == nil)
            place(&rules)
            #expect(rules.problem?.contains("names \"x\"") == true)
        }
    }

    @Test func limitsOfADatabaseReplaceThoseOfAll() {
        var own = DatabaseLimits()
        #expect(Limits().with(own) == Limits())
        own.poolConnectionCountMax = 3
        own.statementTimeMillisecondsMax = 7
        var expected = Limits()
        expected.poolConnectionCountMax = 3
        expected.statementTimeMillisecondsMax = 7
        #expect(Limits().with(own) == expected)
        let fieldCount = Mirror(reflecting: own).children.count
        #expect(fieldCount == 10, "a new one belongs into Limits.with and the table of keys")
    }
}
