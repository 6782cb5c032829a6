// What must hold for any URL or name of a database. ConfigurationTests replays the corpus with this, too.

import DatabaseContract
import DatabaseEngines
import SQLiteEngine

@testable import Configuration

/// Traps when something does not hold that must.
enum AddressChecks {
    static func check(_ bytes: UnsafeRawBufferPointer) {
        let text = String(decoding: bytes, as: UTF8.self)
        if DatabaseAddress.problem(name: text, .all) == nil {
            precondition(text.utf8.count == bytes.count && (1...64).contains(bytes.count), "a good name is short")
        }
        check(url: text)
        for scheme in ["sqlite:", "mysql://", "redis://", "redis+unix://"] { check(url: scheme + text) }
        // What a person types is made a URL, which has an absolute path or a remedy.
        check(url: DatabaseAddress.url(argument: text, directory: "/home"))
        checkFile(text)
    }

    private static func check(url: String) {
        let location: any DatabaseLocation
        do throws(DriverError) {
            location = try EngineRegistry.all.location(url: url)
        } catch {
            precondition(!error.details.message.isEmpty, "an error says something")
            precondition(DatabaseAddress.problem(url: url, .all) != nil, "both see what is wrong")
            return
        }
        guard let path = location.filePath else { return }
        precondition(path.utf8.first == UInt8(ascii: "/"), "a path is absolute")
        precondition(path.utf8.dropFirst().first != UInt8(ascii: "/"), "a path starts with one slash")
        precondition(!path.utf8.contains(0) && path.utf8.last != UInt8(ascii: "/"), "a path names a file")
    }

    /// The URL of a path leads to that path.
    private static func checkFile(_ text: String) {
        let path = "/" + text
        guard let location = try? SQLiteLocation(url: DatabaseAddress.url(file: path)) else { return }
        guard case .file(let found) = location.place else { preconditionFailure("a path is a file") }
        let isSame = found.utf8.elementsEqual(path.utf8) || path.utf8.starts(with: "///".utf8)
        precondition(isSame, "a path survives its URL")
    }
}
