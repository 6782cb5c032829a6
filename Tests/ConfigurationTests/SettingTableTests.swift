// The table of settings against the code's defaults, the shipped example, the manual pages and the flags.

import DatabaseContract
import DatabaseEngines
import LinuxSystem
import Server
import Testing

@testable import Configuration

@Suite struct SettingTableTests {
    @Test func everyLimitHasAKey() {
        let limits = Setting.all.filter { $0.name.hasPrefix("limits.") }
        // It follows from the open files that the process may have.
        let derived = ["temporaryFileCountMax"]
        #expect(limits.count + derived.count == Mirror(reflecting: Limits()).children.count)
    }

    @Test func namesAreUniqueAndSnakeCase() {
        let names = Setting.all.map(\.name)
        #expect(Set(names).count == names.count)
        for name in names {
            #expect(name.allSatisfy { ($0.isASCII && $0.isLowercase) || $0 == "_" || $0 == "." }, "\(name)")
        }
    }

    @Test(arguments: Setting.all.map(\.name))
    func everyDefaultIsAcceptedAsAValue(_ name: String) throws {
        let setting = try #require(Setting.named(name))
        guard let literal = setting.literal(in: Settings()) else { return }
        let entries = try TOMLDocument(parsing: Array("value = \(literal)".utf8)).entries
        var settings = Settings()
        #expect(setting.assign(entries[0].value, to: &settings, .all) == nil)
        #expect(settings == Settings())
    }

    @Test func everyFlagOfASettingNamesOne() {
        for flag in Flag.all {
            if case .setting(let name) = flag.target { #expect(Setting.named(name) != nil, "--\(flag.name)") }
        }
        #expect(Set(Flag.all.map(\.name)).count == Flag.all.count)
    }

    /// The example with its settings switched on: `#key = value` becomes `key = value`; prose has a space after the `#`.
    private static func activeExample() throws -> [UInt8] {
        let lines = try Repository.text("docs/litebase.toml.example").split(
            separator: "\n", omittingEmptySubsequences: false)
        let active = lines.map { $0.hasPrefix("#") && !$0.hasPrefix("# ") && $0 != "#" ? $0.dropFirst() : $0 }
        return Array(active.joined(separator: "\n").utf8)
    }

    @Test func theExampleDocumentsEveryKeyWithItsDefault() throws {
        let entries = try TOMLDocument(parsing: try Self.activeExample()).entries
        let names = entries.filter { $0.value != .table }.map { $0.path.joined(separator: ".") }
        let databaseKeys = DatabaseKey.all.map { "databases.music.\($0.name)" }
        #expect(names.sorted() == (Setting.all.map(\.name) + databaseKeys).sorted())
        for setting in Setting.all {
            guard let literal = setting.literal(in: Settings()) else { continue }
            let value = try TOMLDocument(parsing: Array("value = \(literal)".utf8)).entries[0].value
            #expect(entries.first { $0.path == setting.path }?.value == value, "\(setting.name)")
        }
    }

    @Test func theExampleIsAValidConfigurationAsShippedAndSwitchedOn() throws {
        for text in [Array(try Repository.text("docs/litebase.toml.example").utf8), try Self.activeExample()] {
            var reader = SettingsReader(engines: .all)
            reader.read(text, file: "example")
            #expect(reader.problems == [])
        }
        var shipped = SettingsReader(engines: .all)
        shipped.read(Array(try Repository.text("docs/litebase.toml.example").utf8), file: "example")
        #expect(shipped.settings == Settings(), "as shipped it changes nothing")
        #expect(shipped.databases.isEmpty)
    }

    @Test func theManualPageHasEveryKeyWithTypeAndDefault() throws {
        let page = try Repository.text("docs/man/litebase.toml.5")
        for setting in Setting.all {
            let value = setting.literal(in: Settings()) ?? "not set"
            let type = setting.type.split(separator: setting.type.hasPrefix("integer") ? "\n" : ",")[0].split(
                separator: ":")[0]
            let head = type.hasPrefix("string") ? "(string; default: \(value))" : "(\(type); default: \(value))"
            #expect(page.contains(".It Cm \(setting.name)\n\(head)\n"), "\(setting.name): \(head)")
        }
        for key in DatabaseKey.all { #expect(page.contains(".It Cm databases.NAME.\(key.name)\n"), "\(key.name)") }
    }

    @Test func theManualPageAndTheHelpHaveEveryFlag() throws {
        let page = try Repository.text("docs/man/litebased.8")
        let help = CommandLineOptions.helpText()
        for flag in Flag.all {
            #expect(page.contains(".It Fl -\(flag.name)\n") || page.contains(".It Fl -\(flag.name) Ar"), "\(flag.name)")
            #expect(help.contains("\n  --\(flag.name) "), "\(flag.name)")
        }
        #expect(help.split(separator: "\n").allSatisfy { $0.utf8.count <= 100 })
    }

    @Test func theManualPageHasEveryExitStatus() throws {
        let page = try Repository.text("docs/man/litebased.8")
        for status in [0, 64, 69, 70, 71, 73, 74, 77, 78] { #expect(page.contains(".It \(status)\n"), "\(status)") }
    }
}
