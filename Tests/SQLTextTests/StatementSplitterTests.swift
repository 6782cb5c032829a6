import LiteBaseTesting
import SQLText
import Testing

@Suite struct StatementSplitterTests {
    private static func split(
        _ sql: String, _ language: StatementSplitter.Language = .sqlite, chunk: Int = .max
    ) -> [String] {
        var splitter = StatementSplitter(language)
        var statements: [StatementSplitter.Statement] = []
        var rest = Array(sql.utf8)[...]
        while !rest.isEmpty {
            statements += splitter.append(rest.prefix(chunk))
            rest = rest.dropFirst(chunk)
        }
        if let last = splitter.finish() { statements.append(last) }
        return statements.map { $0.text ?? "?" }
    }

    @Test func whatClosesAComment() {
        for (text, closing) in [
            ("SELECT 1", ""), ("SELECT 1 -- a", "\n"), ("SELECT 1 -- a\n", ""), ("SELECT 1 /* a", "*/"),
            ("SELECT 1 /* a *", "*/"), ("SELECT 1 /* a */", ""), ("SELECT '-- a'", ""), ("SELECT \"/* a\"", ""),
            ("SELECT [--]", ""), ("SELECT '''' -- '", "\n"), ("SELECT 1 # a", ""),
            ("CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; -- x;\n SELECT 2; END", ""),
        ] {
            #expect(StatementSplitter.closing(text.utf8, .sqlite) == closing, "\(text)")
        }
        #expect(StatementSplitter.closing("SELECT 1 # a".utf8, .mysql) == "\n")
    }

    private static let procedure = """
        CREATE DEFINER = root@localhost PROCEDURE p() BEGIN
        IF a THEN CASE b WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE; END IF;
        l: LOOP SET x = CASE WHEN 1 THEN IF(1, 2, 3) END; LEAVE l; END LOOP l; REPEAT SELECT 1; UNTIL 1 END REPEAT; END
        """

    static let mysql: [(sql: String, statements: [String])] = [
        (#"SELECT 'it\'s; x', "a\"; b"; SELECT 2"#, [#"SELECT 'it\'s; x', "a\"; b""#, "SELECT 2"]),
        (#"SELECT '\\'; SELECT `\`; x"#, [#"SELECT '\\'"#, #"SELECT `\`"#, "x"]),
        ("SELECT 1 # a; b\n, 2; # c;\n x", ["SELECT 1 # a; b\n, 2", "# c;\n x"]),
        ("/*!40101 SET NAMES utf8 */; /* ;! */", ["/*!40101 SET NAMES utf8 */"]),
        // What the server runs is read as it reads it: quotes, comments, bodies.
        ("/*! SELECT '*/;' */; x", ["/*! SELECT '*/;' */", "x"]), ("/*!50003 a; b */; c", ["/*!50003 a; b */", "c"]),
        ("/*!99999 it's */; x", ["/*!99999 it's */", "x"]), ("/* /*! */ ; x", ["x"]),
        ("/*! a # */;\n */; b", ["/*! a # */;\n */", "b"]),
        ("/*M!100100 a /* ' */ ; */; b", ["/*M!100100 a /* ' */ ; */", "b"]),
        (
            "/*!50003 CREATE */ PROCEDURE p() BEGIN SELECT 1; END; x",
            ["/*!50003 CREATE */ PROCEDURE p() BEGIN SELECT 1; END", "x"]
        ),
        ("DELIMITER //\n/*! a // b **/ // c//", ["/*! a // b **/", "c"]),
        ("DELIMITER //\n/*! a *///\nc//", ["/*! a */", "c"]),
        (
            "SELECT 5--3; SELECT 1---1; SELECT 1-- 2;\n, 3; x",
            ["SELECT 5--3", "SELECT 1---1", "SELECT 1-- 2;\n, 3", "x"]
        ),
        (
            "----- head; -----\nSELECT 1;--tail;\nSELECT 2;\n--\n;-- ;\nx --;y",
            ["SELECT 1", "SELECT 2", "-- ;\nx --", "y"]
        ),
        ("SELECT $$; SELECT 1", ["SELECT $$", "SELECT 1"]), ("# nothing;\n", []),
        (procedure + "; SELECT 1", [procedure, "SELECT 1"]),
        (
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.x = 1; SELECT 2",
            ["CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.x = 1", "SELECT 2"]
        ),
        ("BEGIN; SELECT 1; COMMIT", ["BEGIN", "SELECT 1", "COMMIT"]),
        ("BEGIN NOT ATOMIC SELECT 1; SELECT 2; END; x", ["BEGIN NOT ATOMIC SELECT 1; SELECT 2; END", "x"]),
        ("CREATE TABLE event(begin int); x", ["CREATE TABLE event(begin int)", "x"]),
        (
            "a;\nDELIMITER ;;\nb; c ;;\n/* no */ ;;d$;;\ndelimiter ;\ne; f",
            ["a", "b; c", "d$", "e", "f"]
        ),
        ("DELIMITER $$\nSELECT '$$' $$ x END$$\nDELIMITER\ny$$ delimiter ;", ["SELECT '$$'", "x END", "y"]),
        ("DELIMITER //\n\\W\nSELECT 1//", ["\\W", "SELECT 1"]),
        ("DELIMITER ||\n||\n/* c */ || a || b||d|||", ["a", "b", "d", "|"]),
        ("DELIMITER //\n-- //\nSELECT 4/2 // SELECT 1//", ["-- //\nSELECT 4/2", "SELECT 1"]),
        ("SELECT delimiter ;\n x", ["SELECT delimiter", "x"]),
    ]

    @Test(arguments: mysql)
    func statementsOfMySQL(sql: String, statements: [String]) {
        for chunk in [1, 3, .max] { #expect(Self.split(sql, .mysql, chunk: chunk) == statements) }
    }

    private static let function = """
        CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 2 END; SELECT 3; END
        """

    static let postgresql: [(sql: String, statements: [String])] = [
        ("SELECT $$a;b$$; SELECT $f$ $$;$ ; $f$; x", ["SELECT $$a;b$$", "SELECT $f$ $$;$ ; $f$", "x"]),
        ("SELECT $1, $name; x", ["SELECT $1, $name", "x"]),
        ("SELECT a$b; x$c$; y", ["SELECT a$b", "x$c$", "y"]),
        (
            #"SELECT E'it\'s; x', e'\\'; SELECT 'a\'; fe'b\'; y"#,
            [#"SELECT E'it\'s; x', e'\\'"#, #"SELECT 'a\'"#, #"fe'b\'"#, "y"]
        ),
        ("SELECT 1 /* a /* b; */ c; */ ; SELECT a /*/ ; */", ["SELECT 1 /* a /* b; */ c; */", "SELECT a /*/ ; */"]),
        ("SELECT ARRAY['a]', ';'], b[1]; x", ["SELECT ARRAY['a]', ';'], b[1]", "x"]),
        ("SELECT 1 # 2, 3 `; x", ["SELECT 1 # 2, 3 `", "x"]),
        (
            "CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION f(); SELECT 1",
            ["CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION f()", "SELECT 1"]
        ),
        (function + "; SELECT 1", [function, "SELECT 1"]),
        (
            "CREATE FUNCTION f() LANGUAGE plpgsql AS 'BEGIN RETURN; END'; x",
            ["CREATE FUNCTION f() LANGUAGE plpgsql AS 'BEGIN RETURN; END'", "x"]
        ),
        (
            "CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2); x",
            [
                "CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2)", "x",
            ]
        ),
        ("BEGIN NOT DEFERRABLE; SELECT 1; END; x", ["BEGIN NOT DEFERRABLE", "SELECT 1", "END", "x"]),
        ("CREATE TABLE function(begin int); x", ["CREATE TABLE function(begin int)", "x"]),
        ("--\n\\restrict abc;\nSELECT 1;\n\n\\unrestrict abc\n", ["SELECT 1"]),
        ("\\connect a b;\nSELECT 1;", ["\\connect a b;", "SELECT 1"]), ("\\q", ["\\q"]),
    ]

    @Test(arguments: postgresql)
    func statementsOfPostgreSQL(sql: String, statements: [String]) {
        for chunk in [1, 3, .max] { #expect(Self.split(sql, .postgresql, chunk: chunk) == statements) }
    }

    private static let trigger =
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; UPDATE b SET x = CASE WHEN 1 THEN 2 END; END"

    static let cases: [(sql: String, statements: [String])] = [
        ("", []),
        (" \n;; ; -- nothing\n/* ; */ ", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', 'it''s;', \";\", `;`, [;]; SELECT 2", ["SELECT ';', 'it''s;', \";\", `;`, [;]", "SELECT 2"]),
        ("SELECT 1 -- a; b\n, 2; SELECT 3", ["SELECT 1 -- a; b\n, 2", "SELECT 3"]),
        ("SELECT 1 /* a; ** b */ + 2; x", ["SELECT 1 /* a; ** b */ + 2", "x"]),
        ("SELECT 1-1; SELECT 4/2;", ["SELECT 1-1", "SELECT 4/2"]),
        ("SELECT 1 - -1; SELECT 2", ["SELECT 1 - -1", "SELECT 2"]),
        (trigger + "; SELECT 1", [trigger, "SELECT 1"]),
        (
            "create temp trigger t after insert on a begin select 1; end; x",
            [
                "create temp trigger t after insert on a begin select 1; end", "x",
            ]
        ),
        ("EXPLAIN QUERY PLAN " + trigger + "; x", ["EXPLAIN QUERY PLAN " + trigger, "x"]),
        ("BEGIN; INSERT INTO a VALUES (1); END; COMMIT", ["BEGIN", "INSERT INTO a VALUES (1)", "END", "COMMIT"]),
        ("CREATE TABLE \"trigger\"(a); x", ["CREATE TABLE \"trigger\"(a)", "x"]),
        ("SELECT $1, $name; SELECT $a$b; x", ["SELECT $1, $name", "SELECT $a$b", "x"]),
        ("SELECT 'unfinished; SELECT 2", ["SELECT 'unfinished; SELECT 2"]),
        ("SELECT 'ä;ö'; SELECT '💚'", ["SELECT 'ä;ö'", "SELECT '💚'"]),
        ("x", ["x"]), ("-", ["-"]), ("$", ["$"]),
    ]

    @Test(arguments: cases)
    func statementsEndWhereTheyShould(sql: String, statements: [String]) {
        #expect(Self.split(sql) == statements)
    }

    /// Where the input is cut must not matter.
    @Test(arguments: cases)
    func piecesMakeNoDifference(sql: String, statements: [String]) {
        for chunk in 1...4 { #expect(Self.split(sql, chunk: chunk) == statements) }
    }

    @Test func linesAreCounted() {
        var splitter = StatementSplitter()
        let statements = splitter.append("SELECT 1;\n\n SELECT\n2; SELECT 3;".utf8)
        #expect(statements.map(\.line) == [1, 3, 4])
    }

    @Test func theContextIsKnown() {
        var splitter = StatementSplitter()
        #expect(splitter.isBetweenStatements)
        _ = splitter.append("-- only a comment\n".utf8)
        #expect(splitter.isBetweenStatements)
        _ = splitter.append("SELECT 'a".utf8)
        #expect(splitter.context == .quoted(until: UInt8(ascii: "'")))
        #expect(!splitter.isBetweenStatements)
        splitter.reset()
        #expect(splitter.isBetweenStatements)
    }

    @Test func whatIsNotUTF8IsKnown() {
        var splitter = StatementSplitter()
        #expect(splitter.append([0x78, 0xff, 0x3b]).map(\.text) == [nil])
    }

    /// Each byte of a long name between dollars cost a copy of the name, in its quote as well.
    @Test func aLongDollarQuoteTakesOnePass() {
        let name = "$" + String(repeating: "a", count: 500_000) + "$"
        let time = ProcessorTime.seconds {
            let statements = Self.split("SELECT \(name);\(name); SELECT 2", .postgresql)
            #expect(statements == ["SELECT \(name);\(name)", "SELECT 2"])
        }
        #expect(time < 10)
    }
}
