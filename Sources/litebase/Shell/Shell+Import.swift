// `.import`: rows of a file into a table, in the shell's session.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient

extension Shell {
    private static let importUsage = ".import [--create] [--dry-run] [--no-header] [--max-rejected N] FILE TABLE"

    func importFile(_ argument: String) throws {
        var (options, words) = (ImportOptions(), Self.words(argument))
        var isCountNext = false
        words.removeAll { word in
            if isCountNext {
                isCountNext = false
                options.rejectedCountMax = Int64(word) ?? -1
                return true
            }
            switch word {
            case "--create": options.createsTable = true
            case "--dry-run": options.isDryRun = true
            case "--no-header": options.hasHeader = false
            case "--max-rejected": isCountNext = true
            default: return false
            }
            return true
        }
        guard words.count == 2, options.rejectedCountMax >= 0, !isCountNext else {
            throw UsageError("usage: \(Self.importUsage)")
        }
        options.format = (FileFormat(ofFile: words[0]) ?? .csv).forDaemon
        let (namespace, name) = ImportText.parts(of: words[1])
        options.namespace = namespace
        let descriptor = try ImportText.open(words[0])
        defer { _ = close(descriptor) }
        let start = MonotonicInstant.now
        defer { LiveLine.clear() }
        let result = try connection.session().importRows(from: descriptor, into: name, options: options) {
            LiveLine.show(TransferProgressText.line($0, since: start))
        }
        LiveLine.clear()
        ImportText.complain(result, options.format.placeNoun)
        for line in ImportText.lines(result, isDryRun: options.isDryRun) { tell(line) }
    }

    /// The words of an argument, of which some may be within quotes.
    private static func words(_ argument: String) -> [String] {
        var (words, word, quote): ([String], String?, Character?) = ([], nil, nil)
        for character in argument {
            if let open = quote {
                if character == open { quote = nil } else { word?.append(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let made = word { words.append(made) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        return words + [word].compactMap(\.self)
    }
}
