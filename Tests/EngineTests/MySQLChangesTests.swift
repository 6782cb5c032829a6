// What is told of the changes that connections to MySQL commit: what a text says, what the server's definitions add to it, and what becomes
// of both in transactions. A random sequence of steps is compared with a server that is played.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import MySQLEngine
@testable import SQLText

private func changes(_ sql: String) -> MySQLTextChanges {
    Array(sql.utf8).withUnsafeBytes { MySQLTextChanges($0) }
}

private func rows(_ name: String, in namespace: String? = nil, cascades: Bool = false) -> MySQLTextChanges.Scope {
    .rows(MySQLName(namespace: namespace, name: name), cascades: cascades)
}

private func relations(_ names: String...) -> MySQLTextChanges.Scope { .relations(names.map { MySQLName(name: $0) }) }

@Suite("Changes of MySQL")
struct MySQLChangesTests {
    // MARK: Texts

    @Test(arguments: [
        ("INSERT INTO item VALUES (1)", rows("item")), ("insert item set a = 1", rows("item")),
        ("INSERT LOW_PRIORITY IGNORE INTO `it``em`(a) SELECT * FROM other", rows("it`em")),
        ("/* x */ INSERT -- y\n INTO lb . item() VALUES ()", rows("item", in: "lb")),
        ("INSERT INTO `lb`.\"item\" VALUES (1)", rows("item", in: "lb")),
        ("INSERT INTO item VALUES (1) ON DUPLICATE KEY UPDATE a = 2", rows("item", cascades: true)),
        ("INSERT INTO item PARTITION (p0) VALUES (1)", rows("item")), ("INSERT INTO größe VALUES (1)", rows("größe")),
        ("REPLACE item VALUES (1)", rows("item", cascades: true)),
        ("UPDATE item SET a = 1", rows("item", cascades: true)),
        ("UPDATE LOW_PRIORITY IGNORE item AS i SET i.a = 1", rows("item", cascades: true)),
        ("UPDATE lb.item i SET a = 1", rows("item", in: "lb", cascades: true)),
        ("UPDATE item, other SET a = 1", .namedRelations),
        ("UPDATE item JOIN other USING (a) SET b = 1", .namedRelations),
        ("UPDATE item i JOIN other SET b = 1", .namedRelations),
        ("UPDATE (item) JOIN other SET b = 1", .namedRelations),
        ("DELETE FROM item", rows("item", cascades: true)), ("DELETE QUICK FROM item;", rows("item", cascades: true)),
        ("DELETE FROM item WHERE a IN (SELECT a FROM other)", rows("item", cascades: true)),
        ("DELETE FROM item USING item JOIN other", .namedRelations), ("DELETE item FROM item, other", .namedRelations),
        ("DELETE FROM item.* USING item", .namedRelations),
        ("WITH a AS (SELECT 1) UPDATE item SET x = 1", .namedRelations), ("WITH a AS (SELECT 1) SELECT 2", .nothing),
        ("LOAD DATA INFILE '/x' INTO TABLE item", .namedRelations), ("SELECT 1", .nothing), ("(SELECT 1)", .nothing),
        ("TRUNCATE item", relations("item")), ("TRUNCATE TABLE item", relations("item")),
        ("CREATE TABLE IF NOT EXISTS item(a int)", relations("item")),
        ("CREATE OR REPLACE TABLE item(a int)", relations("item")),
        ("DROP TABLE IF EXISTS item, other", relations("item", "other")),
        ("ALTER TABLE item ADD b int", relations("item")),
        ("ALTER TABLE item RENAME TO other", .anything), ("RENAME TABLE item TO other", .anything),
        ("ALTER TABLE item EXCHANGE PARTITION p WITH TABLE other", .anything), ("DROP DATABASE lb", .anything),
        ("CREATE INDEX i ON item(a)", relations()),
        ("CREATE DATABASE lb", relations()),
        ("CREATE OR REPLACE DATABASE lb", .anything), ("CREATE OR REPLACE SCHEMA lb", .anything),
        (
            "CREATE OR REPLACE DEFINER = a@b TRIGGER t AFTER INSERT ON item FOR EACH ROW CALL p()",
            relations()
        ),
        ("CREATE LOGFILE GROUP g ADD UNDOFILE 'u'", .anything), ("DROP INDEX i ON item", relations()),
        ("DROP TABLESPACE t", .anything), ("ALTER DATABASE lb CHARACTER SET utf8", relations()),
        ("ALTER DATABASE `#mysql50#lb` UPGRADE DATA DIRECTORY NAME", .anything),
        ("ALTER INSTANCE ROTATE x", .anything),
        ("DROP PREPARE p", .nothing), ("REPAIR TABLE item", .anything),
        ("DROP TEMPORARY TABLE item", .nothing),
        ("CREATE TEMPORARY nonsense", .anything),
        ("CREATE TRIGGER t AFTER INSERT ON item FOR EACH ROW CALL p()", relations()),
        ("CREATE TEMPORARY TABLE item(a int)", .nothing), ("CALL p()", .anything), ("EXECUTE p", .anything),
        ("EXECUTE IMMEDIATE 'DELETE FROM item'", .anything), ("BEGIN NOT ATOMIC DELETE FROM item; END", .anything),
        ("SET STATEMENT max_statement_time = 1 FOR DELETE FROM item", .anything), ("SET @a = 1", .nothing),
        ("ANALYZE DELETE FROM item", .anything), ("EXPLAIN ANALYZE DELETE item FROM item", .anything),
        ("EXPLAIN DELETE FROM item", .nothing), ("XA COMMIT 'x'", .anything), ("XA START 'x'", .nothing),
        ("UPDATE item /*!999999 SET a = 1, */ , other SET other.a = 5", .anything),
        ("DELETE FROM item /*!999999 WHERE */ USING item JOIN other", .anything),
        ("SET /*!999999 @a = 1, */ STATEMENT max_statement_time = 1 FOR DELETE FROM item", .anything),
        ("BEGIN <<a>> DELETE FROM item; END", .anything), ("BEGIN WORK", .nothing),
        ("/*! DELETE FROM item */", .anything), ("INSERT /*!50000 IGNORE */ INTO item VALUES (1)", .anything),
        ("", .anything),
        ("DELETE FROM `item", .namedRelations), ("UPDATE", .namedRelations), ("nonsense", .anything),
    ])
    func aTextSaysWhatItChanges(_ sql: String, _ scope: MySQLTextChanges.Scope) {
        #expect(changes(sql).scope == scope, "\(sql)")
    }

    @Test(arguments: [
        ("BEGIN", MySQLTextChanges.Ending.commits), ("START TRANSACTION", .commits), ("COMMIT AND CHAIN", .commits),
        ("ROLLBACK", .rollsBack), ("ROLLBACK WORK", .rollsBack), ("ROLLBACK AND CHAIN", .rollsBack),
        ("ROLLBACK TO a", .none), ("ROLLBACK WORK TO SAVEPOINT a", .none), ("SAVEPOINT a", .none),
        ("RELEASE SAVEPOINT a", .none),
        ("SET autocommit = 1", .mayCommit), ("SET @a = 1", .mayCommit),
        ("LOCK TABLES a WRITE", .commits),
        ("SET autocommit = 1, @a = (SELECT 1)", .mayCommitAndBegin),
        ("LOCK INSTANCE FOR BACKUP", .mayCommitAndBegin),
        ("UNLOCK TABLES", .mayCommit),
        ("CALL p()", .mayCommitAndBegin),
        ("EXECUTE p", .mayCommitAndBegin),
        ("nonsense", .mayCommitAndBegin),
        ("CREATE TABLE a(b int) START TRANSACTION", .mayCommitAndBegin),
        ("SET STATEMENT a = 1 FOR SELECT 1", .mayCommitAndBegin), ("DROP DATABASE a", .mayCommit),
        ("CREATE TABLE a(b int)", .mayCommit), ("GRANT SELECT ON a TO b", .mayCommit),
        ("INSERT INTO a VALUES (1)", .none),
        ("XA PREPARE 'x'", .rollsBack), ("USE other", .none),
    ])
    func aTextSaysWhatBecomesOfATransaction(_ sql: String, _ ending: MySQLTextChanges.Ending) {
        #expect(changes(sql).ending == ending, "\(sql)")
    }

    @Test(arguments: [
        ("INSERT INTO item VALUES (1)", MySQLTextChanges.Aftermath.none), ("SELECT 1", .none), ("BEGIN", .none),
        ("SET @a = 1, autocommit = 0", .none), ("SET NAMES utf8mb4", .none),
        ("SET NAMES 'utf8' COLLATE 'utf8_bin';", .none), ("SET NAMES gbk", .everything),
        ("SET NAMES utf8, character_set_client = gbk", .everything), ("SET CHARACTER SET utf8", .everything),
        ("SET character_set_client = sjis", .everything), ("SET session_track_schema = 0", .everything),
        ("CALL p()", .names), ("EXECUTE p", .everything), ("EXECUTE IMMEDIATE 'USE a'", .everything),
        ("BEGIN NOT ATOMIC SET NAMES gbk; END", .everything), ("/*! USE a */", .everything),
        ("CREATE TEMPORARY TABLE a(b int)", .none), ("CREATE TEMPORARY TABLE a LIKE b", .names),
        ("CREATE TEMPORARY TABLE a(b int) ENGINE = MERGE UNION = (c)", .names), ("ALTER TABLE a UNION (b)", .names),
        ("USE a", .none), ("RENAME TABLE a TO b", .none), ("XA START 'x'", .none),
        ("SET ROLE a", .none),
        ("SET SESSION AUTHORIZATION a@b", .account),
    ])
    func aTextSaysWhatItDoesToThoseBehindIt(_ sql: String, _ aftermath: MySQLTextChanges.Aftermath) {
        #expect(changes(sql).aftermath == aftermath, "\(sql)")
    }

    /// Whatever the bytes are, it ends; what it finds is only looked at for being there.
    @Test func anyBytesAreAText() {
        var random = SeededGenerator.fresh
        let pieces = [
            "INSERT ", "INTO ", "UPDATE ", "SET ", "`", "\"", "'", "/*", "/*!", "*/", "--", "#", "\n", ".", ",", "(",
            ")", ";", "a", "ü", "\0", "\\", "DELETE FROM ",
        ]
        for _ in 0..<5_000 {
            let text = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                pieces.randomElement(using: &random) ?? ""
            }.joined()
            _ = changes(text)
        }
        let long = String(repeating: "(", count: 1 << 20) + "INSERT INTO item VALUES (1)"
        #expect(changes(long).scope == .anything)
        let values = "INSERT INTO item VALUES (1)" + String(repeating: ", (1)", count: 1 << 20)
        #expect(changes(values).scope == rows("item", cascades: true))
    }

    // MARK: Definitions

    private static func facts(_ change: (inout MySQLFacts.Rows) -> Void = { _ in }) -> MySQLFacts {
        var rows = MySQLFacts.Rows()
        rows.triggerNamespaces = ["*"]
        rows.tables = [
            ["lb", "item", "BASE TABLE", "InnoDB"], ["lb", "parent", "BASE TABLE", "InnoDB"],
            ["lb", "child", "BASE TABLE", "InnoDB"],
            ["lb", "grandchild", "BASE TABLE", "InnoDB"], ["lb", "seen", "VIEW", ""],
            ["lb", "traced", "BASE TABLE", "InnoDB"],
            ["other", "item", "BASE TABLE", "InnoDB"], ["lb", "remote", "BASE TABLE", "FEDERATED"],
        ]
        rows.triggers = [["lb", "traced"]]
        rows.foreignKeys = [["lb", "child", "lb", "parent"], ["lb", "grandchild", "lb", "child"]]
        rows.views = [["lb", "seen", "select `lb`.`item`.`a` AS `a` from `lb`.`item`"]]
        change(&rows)
        return MySQLFacts(rows, fingerprint: "1", database: "lb")
    }

    private static func effect(_ sql: String, _ facts: MySQLFacts, in namespace: String? = "lb") -> MySQLEffect {
        Array(sql.utf8).withUnsafeBytes { facts.effect(of: MySQLTextChanges($0), $0, in: namespace) }
    }

    @Test(arguments: [
        ("INSERT INTO ITEM VALUES (1)", ["item"], false), ("INSERT INTO lb.item SELECT * FROM child", ["item"], false),
        ("INSERT INTO other.item VALUES (1)", [], false), ("INSERT INTO mine VALUES (1)", [], true),
        ("INSERT INTO sys.item VALUES (1)", [], true), ("UPDATE item JOIN mine SET a = 1", [], true),
        ("DELETE item FROM item, hidden.child", [], true),
        ("LOAD DATA INFILE '\\t' INTO TABLE item", ["item"], false),
        ("LOAD DATA INFILE 'x' INTO TABLE mine", [], true),
        ("INSERT INTO größe VALUES (1)", [], true), ("INSERT INTO parent VALUES (1)", ["parent"], false),
        ("DELETE FROM parent", ["parent", "child", "grandchild"], false),
        ("DELETE FROM child", ["child", "grandchild"], false),
        ("INSERT INTO traced VALUES (1)", [], true), ("INSERT INTO seen VALUES (1)", [], true),
        ("INSERT INTO remote VALUES (1)", [], true),
        ("UPDATE item, child SET a = 1", ["item", "child", "grandchild"], false),
        ("UPDATE item, traced SET a = 1", [], true), ("UPDATE /*!1item*/, child SET a = 1", [], true),
        ("CALL p()", [], true),
        ("SELECT * FROM seen", [], false), ("SELECT f()", [], false), ("TRUNCATE item", ["item"], false),
        ("DROP TABLE item, other.item", ["item"], false),
    ])
    func definitionsSayWhatElseIsChanged(_ sql: String, _ told: [String], _ isUnknown: Bool) {
        let effect = Self.effect(sql, Self.facts())
        #expect(
            Set(effect.relations + effect.relationsAtOnce).isSuperset(of: told), "\(sql): \(effect)")
        if !isUnknown {
            #expect(
                effect.relations.count + effect.relationsAtOnce.count == told.count, "\(sql): \(effect)")
        }
        #expect((effect.gap == .unknownRelations) == isUnknown, "\(sql): \(effect)")
    }

    /// With lower_case_table_names, `ÉTÉ` is `été` to the server, by rules that are not those of ASCII.
    @Test(arguments: [
        ("TRUNCATE `été`", ["été"], false), ("TRUNCATE `ÉTÉ`", [], true), ("TRUNCATE e\u{301}te\u{301}", [], true),
        ("DROP TABLE item, `ÉTÉ`", ["item"], true), ("CREATE TABLE `neu ü`(a int)", [], true),
        ("TRUNCATE `OTHER`.`ÉTÉ`", [], false), ("TRUNCATE `dé`.t", [], false), ("TRUNCATE `DÉ`.t", [], true),
        ("DROP TABLE `DÉ`.t", [], true), ("INSERT INTO `DÉ`.t VALUES (1)", [], true),
        ("INSERT INTO `ÉTÉ` VALUES (1)", [], true), ("INSERT INTO `été` VALUES (1)", ["été"], false),
    ])
    func namesOutsideOfASCIIAreThoseOfTheServerOrUnknown(_ sql: String, _ told: [String], _ isUnknown: Bool) {
        let facts = Self.facts {
            $0.tables += [["lb", "été", "BASE TABLE", "InnoDB"], ["dé", "t", "BASE TABLE", "InnoDB"]]
        }
        let effect = Self.effect(sql, facts)
        #expect(
            (effect.relations + effect.relationsAtOnce).map { Array($0.utf8) } == told.map { Array($0.utf8) }, "\(sql)")
        #expect((effect.gap == .unknownRelations) == isUnknown, "\(sql): \(effect)")
    }

    /// The URL has the name of the database as the server would take it, which need not be its own.
    @Test(arguments: [("dé", false), ("DÉ", true)])
    func aDatabaseThatTheServerCallsOtherwiseIsUnknown(_ database: String, _ isUnknown: Bool) {
        var rows = MySQLFacts.Rows()
        rows.triggerNamespaces = ["*"]
        rows.tables = [["dé", "t", "BASE TABLE", "InnoDB"], ["dé", "numbers", "SEQUENCE", "InnoDB"]]
        let facts = MySQLFacts(rows, fingerprint: "1", database: database)
        for sql in ["INSERT INTO t VALUES (1)", "TRUNCATE t", "CREATE TABLE u(a int)", "SELECT NEXT VALUE FOR numbers"]
        {
            #expect((Self.effect(sql, facts, in: "dé").gap == .unknownRelations) == isUnknown, "\(sql)")
        }
        #expect(Self.effect("SELECT 1", facts, in: "dé").isEmpty)
    }

    @Test func functionsMayDoAnything() {
        let facts = Self.facts { $0.functions = ["writes"] }
        for sql in [
            "SELECT Writes()", "SELECT `writes` ()", "INSERT INTO item SELECT lb.writes()", "DO writes()",
            "SET @a = writes()", "UPDATE item SET a = /*!writes()*/ 1",
        ] {
            #expect(Self.effect(sql, facts).gap == .unknownRelations, "\(sql)")
        }
        for sql in [
            "SELECT * FROM item", "SELECT writes2()", "PREPARE p FROM 'SELECT writes()'",
            "CREATE VIEW v AS SELECT writes()",
        ] {
            #expect(Self.effect(sql, facts).gap == nil, "\(sql)")
        }
    }

    @Test func viewsMayCallFunctions() {
        func isUnknown(_ definition: String, functions: [String] = []) -> Bool {
            let facts = Self.facts {
                $0.functions = functions
                $0.views = [
                    ["lb", "seen", definition], ["lb", "outer", "select `seen`.`a` AS `a` from `lb`.`seen`"],
                ]
            }
            #expect(
                (Self.effect("SELECT * FROM outer", facts).gap != nil)
                    == (Self.effect("SELECT * FROM seen", facts).gap != nil))
            return Self.effect("SELECT * FROM seen", facts).gap != nil
        }
        #expect(!isUnknown("select `lb`.`item`.`a` AS `a` from `lb`.`item`"))
        #expect(
            !isUnknown(
                "select `i`.`a` AS `a` from (`lb`.`item` `i` join `other`.`item` `o` on(`i`.`a` = `o`.`a`))"
            ))
        #expect(!isUnknown("select count(0) AS `n` from `lb`.`item`"))
        #expect(isUnknown("select `lb`.`writes`() AS `a`"))
        #expect(isUnknown("select `lb`.`writes`() AS `a`", functions: ["writes"]))
        #expect(isUnknown(""))
        #expect(isUnknown("select `hidden`.`v`.`a` AS `a` from `hidden`.`v`"))
        #expect(isUnknown("select `lb`.`hidden`.`a` AS `a` from `lb`.`hidden`"))
        #expect(isUnknown("select 1 AS `a` from `sys`.`v`"))
        #expect(!isUnknown("select 1 AS `a` from `information_schema`.`TABLES`"))
        #expect(isUnknown("select 1 from (`lb`.`item` join (`hidden`.`v`))"))
    }

    @Test func sequencesAreRelations() {
        let facts = Self.facts { $0.tables.append(["lb", "numbers", "SEQUENCE", "InnoDB"]) }
        #expect(Self.effect("SELECT NEXT VALUE FOR numbers", facts).relationsAtOnce == ["numbers"])
        let insertion = Self.effect("INSERT INTO item VALUES (1)", facts)
        #expect(insertion.relations == ["item"] && insertion.relationsAtOnce == ["numbers"])
        // By a default of another database.
        #expect(Self.effect("INSERT INTO other.item VALUES (1)", facts).relationsAtOnce == ["numbers"])
        #expect(Self.effect("UPDATE item, child SET a = 1", facts).relationsAtOnce == ["numbers"])
        let addition = Self.effect("ALTER TABLE item ADD b INT DEFAULT NEXTVAL(numbers)", facts)
        #expect(Set(addition.relationsAtOnce) == ["item", "numbers"] && addition.facts != nil)
        // A trigger may take one.
        #expect(Self.effect("INSERT INTO traced VALUES (1)", facts).gapIsAtOnce)
        #expect(Self.effect("SELECT 1", facts).isEmpty)
    }

    /// Those that the connection has made, by exactly that name.
    @Test func temporaryTablesAreThoseThatWereMade() {
        func isUnknown(_ sql: String, _ temporaries: MySQLName...) -> Bool {
            Array(sql.utf8).withUnsafeBytes {
                Self.facts().effect(of: MySQLTextChanges($0), $0, in: "lb", temporaries: Set(temporaries))
                    .gap != nil
            }
        }
        let mine = MySQLName(namespace: "lb", name: "mine")
        #expect(!isUnknown("INSERT INTO mine VALUES (1)", mine))
        #expect(!isUnknown("UPDATE mine JOIN item SET item.a = 1", mine))
        #expect(isUnknown("INSERT INTO MINE VALUES (1)", mine))
        #expect(isUnknown("INSERT INTO other.mine VALUES (1)", mine))
        #expect(changes("CREATE OR REPLACE TEMPORARY TABLE lb.mine(a INT)").madeTemporary == mine)
        #expect(
            changes("CREATE TEMPORARY TABLE IF NOT EXISTS `mine`(a INT)").madeTemporary
                == MySQLName(name: "mine"))
        #expect(
            changes("DROP TEMPORARY TABLE IF EXISTS lb.mine, a").dropped == [mine, MySQLName(name: "a")])
        #expect(changes("DROP TABLE lb.mine").dropped == [mine])
        #expect(changes("CREATE TABLE mine(a INT)").madeTemporary == nil)
    }

    @Test(
        arguments: [
            ("UPDATE a JOIN b USING (c) SET a.d = 1, b.d = 2", ["a", "b"]),
            ("UPDATE LOW_PRIORITY a, x.b AS c SET c.d = 1", ["a", "x.b"]),
            (
                "DELETE c FROM a AS c LEFT JOIN (b, `d``e`) ON c.x = b.x WHERE c.x IN (1, 2)",
                ["a", "b", "d`e"]
            ),
            ("DELETE FROM c USING a AS c STRAIGHT_JOIN b", ["a", "b"]),
            ("DELETE FROM a.* USING a", ["a"]),
            ("DELETE FROM a PARTITION (p, q) WHERE x = 1", ["a"]),
            (
                "UPDATE a, (SELECT x, y FROM b, c WHERE z) AS d SET a.e = EXTRACT(YEAR FROM f), g = (SELECT 1 FROM h)",
                ["a", "b", "c", "h"]
            ),
            (
                "LOAD DATA INFILE 'x' IGNORE INTO TABLE a FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' (b, @c) SET d = @c",
                ["a"]
            ),
            ("UPDATE a, b USE INDEX (i, j) SET a.c = 'd, e FROM f'", ["a", "b"]),
            ("UPDATE a/* , c */, b -- , d\n SET e = 1", ["a", "b"]),
            (
                "UPDATE a, b SET a.from = 1 WHERE a.x > (SELECT MAX(x) FROM c FOR UPDATE)", ["a", "b", "c"]
            ),
            ("UPDATE a, 'b' SET c = 1", nil), ("UPDATE a, b SET c = 'd\\' , e = ' '", nil),
            ("UPDATE a, /*!1 c, */ b SET d = 1", nil),
            ("UPDATE a, b) SET c = 1", nil), ("UPDATE a, (b SET c = 1", nil), ("UPDATE a,", nil),
            ("UPDATE a, `b", nil),
            ("UPDATE { OJ a LEFT JOIN b ON 1 } SET c = 1", nil), ("INSERT INTO a SELECT 1", nil),
            ("UPDATE .a, b SET c = 1", nil),
        ] as [(String, [String]?)])
    func tablesAreFoundWhereTheyStand(_ sql: String, _ names: [String]?) {
        let found = Array(sql.utf8).withUnsafeBytes { MySQLTableNames.find(in: $0) }
        #expect(found?.map { ($0.namespace.map { $0 + "." } ?? "") + $0.name } == names, "\(sql)")
    }

    @Test func triggersThatAreNotSeenMayBeThere() {
        let facts = Self.facts { $0.triggerNamespaces = ["l\\b"] }
        #expect(Self.effect("INSERT INTO item VALUES (1)", facts).relations == ["item"])
        #expect(Self.effect("INSERT INTO other.item VALUES (1)", facts).gap == .unknownRelations)
        let none = Self.facts { $0.triggerNamespaces = [] }
        #expect(Self.effect("INSERT INTO item VALUES (1)", none).gap == .unknownRelations)
    }

    @Test func tablesThatAreNotSeenMayPassOnADeletion() {
        let facts = Self.facts { $0.foreignKeys.append(["lb", "item", "hidden", "between"]) }
        #expect(
            Set(Self.effect("DELETE FROM child", facts).relations) == ["child", "grandchild", "item"])
        #expect(Self.effect("INSERT INTO child VALUES (1)", facts).relations == ["child"])
    }

    @Test func newDefinitionsMayHaveWritten() {
        let news: [(mayHave: Bool, change: (inout MySQLFacts.Rows) -> Void)] = [
            (true, { $0.triggers.append(["lb", "item"]) }),
            (true, { $0.foreignKeys.append(["lb", "item", "lb", "child"]) }),
            (true, { $0.functions.append("f") }), (true, { $0.views.append(["lb", "v", "select 1"]) }),
            (true, { $0.triggerNamespaces = ["lb"] }), (true, { $0.tables[0][3] = "MyISAM" }),
            (true, { $0.tables.append(["lb", "s", "SEQUENCE", "InnoDB"]) }),
            (false, { $0.tables.append(["lb", "new", "BASE TABLE", "InnoDB"]) }), (false, { $0.triggers = [] }),
        ]
        for (index, new) in news.enumerated() {
            #expect(Self.facts(new.change).mayWriteMore(than: Self.facts()) == new.mayHave, "\(index)")
        }
    }

    @Test func aNewTableIsNotTakenForATemporaryOne() {
        let former = Self.facts()
        let found = Self.facts { $0.tables.append(["lb", "new", "BASE TABLE", "InnoDB"]) }
        #expect(Self.effect("INSERT INTO new VALUES (1)", former).gap == .unknownRelations)
        #expect(!found.mayWriteMore(than: former))
    }

    @Test func whatRolesSeeIsAdded() {
        var rows = Self.facts().rows
        let own = rows
        rows.formUnion(own)
        #expect(rows == own)
        var others = MySQLFacts.Rows()
        others.tables = [["lb", "item", "BASE TABLE", "InnoDB"], ["hidden", "v", "VIEW", ""]]
        others.functions = ["g", "g"]
        rows.formUnion(others)
        #expect(rows.tables == own.tables + [["hidden", "v", "VIEW", ""]])
        #expect(rows.functions == ["g"])
    }

    @Test func aTextIsClearOnlyOnAConnectionThatIs() {
        func isClear(_ sql: String, _ aftermath: MySQLTextChanges.Aftermath, _ facts: MySQLFacts) -> Bool {
            Array(sql.utf8).withUnsafeBytes { facts.isClear($0, after: aftermath) }
        }
        let facts = Self.facts()
        #expect(isClear("INSERT INTO größe VALUES (1)", .none, facts))
        #expect(isClear("INSERT INTO item VALUES (1)", .names, facts))
        #expect(!isClear("INSERT INTO größe VALUES (1)", .names, facts))
        #expect(!isClear("INSERT INTO item VALUES (1)", .everything, facts))
        let mergeable = Self.facts { $0.tables.append(["lb", "old", "BASE TABLE", "MyISAM"]) }
        #expect(!isClear("INSERT INTO item VALUES (1)", .names, mergeable))
    }

    @Test func lostConnectionsThatAreManyBecomeOne() {
        var lost: [MySQLLostConnection] = []
        for number: UInt in 1...1_000 {
            MySQLChanges.add(
                MySQLLostConnection(numbers: number...number, hostIndex: Int(number % 2), opened: .now), to: &lost)
        }
        #expect(lost.count <= 101)
        for number: UInt in 1...1_000 { #expect(lost.contains { $0.numbers.contains(number) }) }
    }

    @Test func namesOfAnotherDatabase() {
        #expect(Self.effect("INSERT INTO item VALUES (1)", Self.facts(), in: "other").relations == [])
        #expect(
            Self.effect("INSERT INTO item VALUES (1)", Self.facts(), in: "LB").relations == ["item"])
        #expect(
            Self.effect("INSERT INTO item VALUES (1)", Self.facts(), in: nil).gap == .unknownRelations)
        #expect(
            Self.effect("INSERT INTO lb.item VALUES (1)", Self.facts(), in: "other").relations == ["item"]
        )
    }

    // MARK: Transactions

    /// A server with tables that are numbers: what is committed to each is counted, and so is what a listener has seen of it, which
    /// looks at a table when it is told.
    private struct Played {
        var committed: [String: Int] = [:]
        var pending: [String: Int] = [:]
        var seen: [String: Int] = [:]
        var isInTransaction = false
        var hasAutocommit = true
        var savepoint: [String: Int] = [:]
        var rolledBack = 0
        var told = 0
        /// A name was told while its change was not committed yet, and nothing else of it.
        var early: [String] = []

        mutating func commit() {
            committed.merge(pending, uniquingKeysWith: +)
            pending = [:]
            savepoint = [:]
            isInTransaction = false
        }

        mutating func rollBack() {
            pending = [:]
            savepoint = [:]
            isInTransaction = false
        }

        mutating func write(_ names: [String]) {
            for name in names {
                if name.hasPrefix("at once") {
                    committed[name, default: 0] += 1
                } else {
                    pending[name, default: 0] += 1
                }
            }
            if isInTransaction || !hasAutocommit { isInTransaction = true } else { commit() }
        }

        mutating func look(_ commit: MySQLCommit) {
            if commit.gap != nil { seen = committed }
            for name in commit.relations {
                if pending[name] != nil, seen[name] == committed[name], commit.gap == nil {
                    early.append(name)
                }
                seen[name] = committed[name]
            }
            if !commit.isEmpty { told += 1 }
        }
    }

    @Test func aRandomSequenceOfSteps() {
        var random = SeededGenerator.fresh
        let message: Comment = "LITEBASE_TEST_SEED=\(random.seed)"
        let tables = ["a", "b", "at once"]
        for _ in 0..<400 {
            var server = Played()
            var tracker = MySQLChangeTracker()
            var isResolved = true
            func step(_ effect: MySQLEffect, _ body: (inout Played) -> Void) {
                tracker.begin(effect, epoch: 1, isInTransaction: server.isInTransaction)
                body(&server)
                server.look(tracker.end(.success(isInTransaction: server.isInTransaction)))
            }
            func failing(_ effect: MySQLEffect, _ body: (inout Played) -> Void) {
                tracker.begin(effect, epoch: 1, isInTransaction: server.isInTransaction)
                body(&server)
                server.look(tracker.end(.failure))
                // As the exchange does: DO 0 asks for the state.
                step(MySQLEffect()) { _ in }
            }
            for _ in 0..<60 {
                let name = tables.randomElement(using: &random) ?? "a"
                var write = MySQLEffect()
                if name == "at once" { write.relationsAtOnce = [name] } else { write.relations = [name] }
                switch Int.random(in: 0..<15, using: &random) {
                case 0:
                    step(MySQLEffect(ending: .commits)) {
                        $0.commit()
                        $0.isInTransaction = true
                    }
                case 1: step(MySQLEffect(ending: .commits)) { $0.commit() }
                case 2:
                    step(MySQLEffect(ending: .commits)) {
                        $0.commit()
                        $0.isInTransaction = true
                    }
                case 3: step(MySQLEffect(ending: .rollsBack)) { $0.rollBack() }
                case 4:
                    let hasAutocommit = Bool.random(using: &random)
                    step(MySQLEffect(ending: .mayCommit)) {
                        if hasAutocommit { $0.commit() }
                        $0.hasAutocommit = hasAutocommit
                    }
                case 5:
                    // A procedure: commits, begins, writes.
                    let (commits, begins) = (Bool.random(using: &random), Bool.random(using: &random))
                    let play: (inout Played) -> Void = {
                        $0.write([name])
                        if commits { $0.commit() }
                        if begins { $0.isInTransaction = true }
                        $0.write([name])
                    }
                    if Bool.random(using: &random) { step(.unknown, play) } else { failing(.unknown, play) }
                case 6:
                    // A definition.
                    step(
                        MySQLEffect(
                            relationsAtOnce: ["made"], changesSchema: true, ending: .mayCommit, isDivisible: true,
                            isDefinition: true)
                    ) {
                        $0.commit()
                        $0.committed["made", default: 0] += 1
                    }
                case 11:
                    // One that is refused before it begins, or in its middle.
                    let begins = Bool.random(using: &random)
                    failing(
                        MySQLEffect(
                            relationsAtOnce: ["made"], changesSchema: true, ending: .mayCommit, isDivisible: true,
                            isDefinition: true)
                    ) {
                        if !begins { return }
                        $0.commit()
                        $0.committed["made", default: 0] += 1
                    }
                case 12:
                    // SET, UNLOCK TABLES and the like commit, or not.
                    let commits = Bool.random(using: &random)
                    let play: (inout Played) -> Void = { if commits { $0.commit() } }
                    let effect = MySQLEffect(ending: .mayCommit, isDivisible: true)
                    if Bool.random(using: &random) { step(effect, play) } else { failing(effect, play) }
                case 7:
                    // A deadlock.
                    failing(write) { $0.rollBack() }
                case 8:
                    failing(write) { if name == "at once" { $0.committed[name, default: 0] += 1 } }
                case 9:
                    // A trigger that nobody knows.
                    step(MySQLEffect(gap: .unknownRelations, gapIsAtOnce: true)) {
                        $0.write(["a", "at once", "hidden"])
                    }
                case 10: step(MySQLEffect()) { _ in }
                default: step(write) { $0.write([name]) }
                }
                #expect(server.seen == server.committed, message)
                #expect(server.early == [], message)
                isResolved = isResolved && server.seen == server.committed
                if !isResolved { return }
            }
        }
    }

    @Test func whatWasRolledBackIsNotTold() {
        var tracker = MySQLChangeTracker()
        let write = MySQLEffect(relations: ["a"])
        func step(_ effect: MySQLEffect, _ isInTransaction: Bool, _ before: Bool) -> MySQLCommit {
            tracker.begin(effect, epoch: 1, isInTransaction: before)
            return tracker.end(.success(isInTransaction: isInTransaction))
        }
        #expect(step(MySQLEffect(ending: .commits), true, false).isEmpty)
        #expect(step(write, true, true).isEmpty)
        #expect(step(MySQLEffect(ending: .rollsBack), false, true).isEmpty)
        #expect(step(MySQLEffect(ending: .commits), false, false).isEmpty)
        // A deadlock takes the transaction, and DO 0 finds out.
        #expect(step(write, true, true).isEmpty)
        tracker.begin(write, epoch: 1, isInTransaction: true)
        #expect(tracker.end(.failure).isEmpty)
        #expect(step(MySQLEffect(), false, true).isEmpty)
        #expect(step(MySQLEffect(relations: ["b"]), false, false) == MySQLCommit(relations: ["b"]))
    }

    /// What may have committed the transaction, of which the server says the state behind it.
    @Test func noNameIsToldBeforeItIsKnown() {
        let write = MySQLEffect(relations: ["a"])
        func tracker() -> MySQLChangeTracker {
            var tracker = MySQLChangeTracker()
            tracker.begin(write, epoch: 1, isInTransaction: false)
            _ = tracker.end(.success(isInTransaction: true))
            return tracker
        }
        func step(
            _ tracker: inout MySQLChangeTracker, _ effect: MySQLEffect, _ end: MySQLChangeTracker.End
        ) -> MySQLCommit {
            tracker.begin(effect, epoch: 1, isInTransaction: true)
            return tracker.end(end)
        }
        var definition = MySQLEffect(
            relationsAtOnce: ["b"], changesSchema: true, ending: .mayCommit, isDivisible: true)
        definition.isDefinition = true
        let (setting, procedure) = (MySQLEffect(ending: .mayCommit, isDivisible: true), MySQLEffect.unknown)

        // The server says that it is open still.
        for effect in [setting, procedure, definition] {
            var open = tracker()
            let told = step(&open, effect, .success(isInTransaction: true))
            #expect(!told.relations.contains("a"), "\(effect)")
            #expect((told.gap != nil) == (effect == procedure), "\(effect)")
            #expect(
                step(&open, MySQLEffect(ending: .commits), .success(isInTransaction: false)).relations.first
                    == "a")
        }
        // It is not.
        var ended = tracker()
        #expect(
            step(&ended, setting, .success(isInTransaction: false)) == MySQLCommit(relations: ["a"]))
        ended = tracker()
        #expect(step(&ended, procedure, .success(isInTransaction: false)).relations == [])
        // It was refused, and the state is asked for.
        for effect in [
            setting, definition, procedure, MySQLEffect(ending: .commits, isDivisible: true),
        ] {
            for isOpen in [true, false] {
                var refused = tracker()
                var told = step(&refused, effect, .failure)
                #expect(told.relations == [] && !told.changesSchema)
                #expect(refused.mayStayWhenLost(isInTransaction: true))
                told.add(step(&refused, MySQLEffect(), .success(isInTransaction: isOpen)))
                #expect(!told.relations.contains("a"))
                #expect(told.changesSchema == (effect == definition && !isOpen))
                #expect((told.gap != nil) == (!isOpen || effect == procedure), "\(effect)")
                let atEnd = step(&refused, MySQLEffect(ending: .commits), .success(isInTransaction: false))
                #expect(atEnd.relations.contains("a") == isOpen)
            }
        }
        // Rolled back before anybody has asked.
        var refused = tracker()
        _ = step(&refused, procedure, .failure)
        #expect(
            step(&refused, MySQLEffect(ending: .rollsBack), .success(isInTransaction: false)).relations
                == [])
    }

    @Test func aTransactionThatHadBegunBefore() {
        var tracker = MySQLChangeTracker()
        tracker.begin(MySQLEffect(relations: ["a"]), epoch: 7, isInTransaction: true)
        #expect(tracker.end(.success(isInTransaction: true)).isEmpty)
        tracker.begin(MySQLEffect(ending: .commits), epoch: 7, isInTransaction: true)
        #expect(
            tracker.end(.success(isInTransaction: false)) == MySQLCommit(relations: ["a"], gap: .begunBefore))
        // Nobody has listened for some time.
        tracker.begin(MySQLEffect(ending: .commits), epoch: 8, isInTransaction: true)
        #expect(tracker.end(.success(isInTransaction: false)) == MySQLCommit(gap: .begunBefore))
        #expect(tracker.endUnseen(epoch: 9, isInTransaction: false) == MySQLCommit(gap: .begunBefore))
    }

    @Test(arguments: [
        (MySQLEffect(relations: ["a"]), false, true), (MySQLEffect(relations: ["a"]), true, false),
        (MySQLEffect(relationsAtOnce: ["a"]), true, true), (MySQLEffect(), false, false),
        (MySQLEffect.unknown, true, true),
        (MySQLEffect(ending: .rollsBack), true, false), (MySQLEffect(ending: .commits), true, true),
    ])
    func whatMayStayOfALostConnection(_ effect: MySQLEffect, _ isInTransaction: Bool, _ mayStay: Bool) {
        var tracker = MySQLChangeTracker()
        if isInTransaction {
            tracker.begin(MySQLEffect(relations: ["b"]), epoch: 1, isInTransaction: false)
            _ = tracker.end(.success(isInTransaction: true))
        }
        #expect(!tracker.mayStayWhenLost(isInTransaction: isInTransaction))
        tracker.begin(effect, epoch: 1, isInTransaction: isInTransaction)
        #expect(tracker.mayStayWhenLost(isInTransaction: isInTransaction) == mayStay)
    }
}
