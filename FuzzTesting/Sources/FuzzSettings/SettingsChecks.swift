// What must hold for any configuration file. ConfigurationTests replays the corpus with this, too.

import DatabaseContract
import DatabaseEngines
import Server

@testable import Configuration

/// Traps when something does not hold that must.
enum SettingsChecks {
    /// A file is read, or each thing that is wrong with it is named with its place in the text.
    static func check(_ bytes: UnsafeRawBufferPointer) {
        let text = Array(bytes)
        var reader = SettingsReader(engines: .all)
        reader.read(text, file: "f")
        let lineCount = 1 + text.count { $0 == UInt8(ascii: "\n") }
        for problem in reader.problems {
            precondition(!problem.message.isEmpty, "a problem says what")
            precondition(problem.line >= 1 && problem.line <= lineCount, "a problem lies in the file")
            precondition(problem.column >= 1 && problem.column <= text.count + 1, "a problem lies in its line")
        }
        guard let document = try? TOMLDocument(parsing: text) else {
            precondition(reader.problems.count == 1, "a file whose syntax is wrong has one problem")
            return
        }
        for entry in document.entries { check(entry, lineCount) }
        checkSettings(reader)
    }

    private static func check(_ entry: TOMLEntry, _ lineCount: Int) {
        precondition(!entry.path.isEmpty, "an entry has a name")
        precondition(entry.line >= 1 && entry.line <= lineCount && entry.column >= 1, "an entry lies in the file")
        // A text that was quoted reads back as it was.
        guard case .string(let text) = entry.value else { return }
        guard let again = try? TOMLDocument(parsing: Array("x = \(TOMLDocument.quote(text))".utf8)) else {
            preconditionFailure("a quoted text is TOML")
        }
        precondition(again.entries.map(\.value) == [.string(text)], "quoting keeps the text")
    }

    /// Whatever was in the file, each setting has a value that may be written into a file again.
    private static func checkSettings(_ reader: SettingsReader) {
        for setting in Setting.all {
            guard let literal = setting.literal(in: reader.settings) else { continue }
            guard let document = try? TOMLDocument(parsing: Array("x = \(literal)".utf8)), document.entries.count == 1
            else { preconditionFailure("a setting is written as TOML") }
            var settings = Settings()
            precondition(
                setting.assign(document.entries[0].value, to: &settings, .all) == nil, "a setting is in its range")
            precondition(setting.literal(in: settings) == literal, "a setting reads back as it was written")
        }
    }
}
