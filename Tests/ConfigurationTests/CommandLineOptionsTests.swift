// Spellings of flags, and what is said about wrong ones.

import DatabaseContract
import DatabaseEngines
import LinuxSystem
import Testing

@testable import Configuration

@Suite struct CommandLineOptionsTests {
    private static func parse(_ arguments: [String]) throws(UsageError) -> CommandLineOptions {
        try CommandLineOptions(parsing: arguments, directory: "/here", engines: .all)
    }

    @Test(arguments: Flag.all.filter { $0.argument != nil }.map(\.name))
    func allSpellingsMeanTheSame(_ name: String) throws {
        let value = name == "database" ? "a=b=c" : name == "listen" ? "standalone" : "1"
        let spellings = [["-\(name)=\(value)"], ["-\(name)", value], ["--\(name)=\(value)"], ["--\(name)", value]]
        let read = try spellings.map { try Self.parse($0) }
        for options in read {
            #expect(options.listen == read[0].listen)
            #expect(options.configFile == read[0].configFile)
            #expect(options.settings.map(\.text) == read[0].settings.map(\.text))
            #expect(options.action == read[0].action)
            #expect(options.databases.map(\.url) == read[0].databases.map(\.url))
        }
        let plain = CommandLineOptions(engines: .all)
        let changed =
            read[0].listen != plain.listen || read[0].configFile != nil || !read[0].settings.isEmpty
            || !read[0].databases.isEmpty || read[0].action != plain.action
        #expect(changed)
    }

    @Test(arguments: [
        (["-h"], CommandLineOptions.Action.help), (["--help"], .help), (["-version"], .version),
        (["--check-config"], .checkConfig), (["--version", "--help"], .help), ([], .run),
    ])
    func actions(_ arguments: [String], _ action: CommandLineOptions.Action) throws {
        #expect(try Self.parse(arguments).action == action)
    }

    @Test(arguments: [
        (["--prot", "1"], "unknown flag --prot; did you mean --port?"),
        (["-x"], "unknown flag --x; try --help"),
        (["--"], "unexpected argument \"--\"; try --help"),
        (["-"], "unexpected argument \"-\"; try --help"),
        (["serve"], "unexpected argument \"serve\"; try --help"),
        (["--port"], "--port needs a value: --port N; try --help"),
        (["--socket", "--port=1"], "--socket needs a value: --socket PATH; try --help"),
        (["--help=yes"], "--help takes no value; try --help"),
        (["--listen", "both"], "--listen must be auto, systemd or standalone, not \"both\"; try --help"),
        (["--config="], "--config needs the name of a file; try --help"),
        (["--database", "x"], "--database must be NAME=URL or NAME=PATH, not \"x\"; try --help"),
        (["--database", "=x"], "--database must be NAME=URL or NAME=PATH, not \"=x\"; try --help"),
    ])
    func mistakesAreNamed(_ arguments: [String], _ message: String) {
        #expect(throws: UsageError.self) { try Self.parse(arguments) }
        do throws(UsageError) { _ = try Self.parse(arguments) } catch { #expect(error.message == message) }
    }

    @Test(arguments: [
        ("/abs.db", "sqlite:/abs.db"), ("rel.db", "sqlite:/here/rel.db"), ("./a:b", "sqlite:/here/./a:b"),
        ("sqlite:/x", "sqlite:/x"), ("sqlite:x.db", "sqlite:/here/x.db"), ("sqlite:///x", "sqlite:/x"),
        (":memory:", "sqlite::memory:"), ("sqlite::memory:", "sqlite::memory:"), ("/x?mode=ro", "sqlite:/x?mode=ro"),
        ("a b.db", "sqlite:/here/a b.db"),
    ])
    func aPathStandsForAURL(_ given: String, _ url: String) throws {
        #expect(try Self.parse(["--database", "n=" + given]).databases.map(\.url) == [url])
    }

    @Test(arguments: ["postgresql:d", "mysql:x", "/dir/", "", "sqlite:/x?nope=1"])
    func badURLsAreRefused(_ url: String) {
        #expect(throws: UsageError.self) { try Self.parse(["--database", "n=" + url]) }
    }

    @Test func relativeSocketsStartFromTheWorkingDirectory() throws {
        #expect(try Self.parse(["--socket", "x.sock"]).settings.map(\.text) == ["/here/x.sock"])
        #expect(try Self.parse(["--socket", "/x.sock"]).settings.map(\.text) == ["/x.sock"])
    }
}
