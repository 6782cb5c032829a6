// Whether a file is a whole SQLite database. The library is opened when it is needed: no other command needs it.

internal import Glibc

/// The check of a copy.
enum SQLiteCheck {
    private typealias Texts = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private typealias Handle = UnsafeMutablePointer<OpaquePointer?>
    private typealias Open = @convention(c) (UnsafePointer<CChar>, Handle, Int32, UnsafePointer<CChar>?) -> Int32
    private typealias Row = @convention(c) (UnsafeMutableRawPointer?, Int32, Texts?, Texts?) -> Int32
    private typealias Context = UnsafeMutableRawPointer
    private typealias Execute = @convention(c) (OpaquePointer?, UnsafePointer<CChar>, Row?, Context?, Texts?) -> Int32
    private typealias Close = @convention(c) (OpaquePointer?) -> Int32
    private typealias Message = @convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?
    private typealias Look = @convention(c) (Context?) -> Int32
    private typealias SetLook = @convention(c) (OpaquePointer?, Int32, Look?, Context?) -> Void

    enum Outcome: Equatable {
        case whole
        case damaged(String)
        /// It needs something of an application's.
        case uncheckable(String)
        case interrupted
        /// There is no library.
        case unchecked
    }

    private static let libraryName = "libsqlite3.so.0"
    // SQLITE_OPEN_READONLY | SQLITE_OPEN_URI (https://sqlite.org/c3ref/c_open_autoproxy.html).
    private static let openFlags: Int32 = 0x41

    /// Opens a file that nobody writes, and lets SQLite look at all of it (PRAGMA quick_check).
    static func check(_ path: String) -> Outcome {
        guard let library = dlopen(libraryName, RTLD_NOW), let open = symbol(library, "sqlite3_open_v2", Open.self),
            let execute = symbol(library, "sqlite3_exec", Execute.self),
            let close = symbol(library, "sqlite3_close", Close.self),
            let message = symbol(library, "sqlite3_errmsg", Message.self),
            let setLook = symbol(library, "sqlite3_progress_handler", SetLook.self)
        else { return .unchecked }
        var database: OpaquePointer?
        defer { _ = close(database) }
        // Without a log of its own, and without making one.
        // What follows two slashes is the name of a machine, and has to be empty.
        let place = (path.hasPrefix("/") ? "//" : "") + escaped(path)
        guard open("file:\(place)?immutable=1", &database, openFlags, nil) == 0 else {
            return .damaged("it cannot be opened")
        }
        setLook(database, 10_000, { _ in Interrupts.isRaised ? 1 : 0 }, nil)
        var answer = ""
        let result = withUnsafeMutablePointer(to: &answer) { answer in
            execute(
                database, "PRAGMA quick_check(1)",
                { context, count, values, _ in
                    guard count > 0, let text = values?[0], let context else { return 0 }
                    context.assumingMemoryBound(to: String.self).pointee = String(cString: text)
                    return 0
                }, answer, nil)
        }
        if result != 0, Interrupts.isRaised { return .interrupted }
        if result != 0, let text = message(database).map({ String(cString: $0) }),
            text.hasPrefix("no such collation sequence")
        {
            return .uncheckable("it needs a collation of an application's (\(text))")
        }
        if result != 0 { return .damaged("it is not a database, or cannot be read (SQLite's result is \(result))") }
        return answer == "ok" ? .whole : .damaged(answer)
    }

    private static func symbol<Function>(
        _ library: UnsafeMutableRawPointer, _ name: String, _: Function.Type
    ) -> Function? {
        dlsym(library, name).map { unsafeBitCast($0, to: Function.self) }
    }

    /// A path within a URI (https://sqlite.org/uri.html).
    private static func escaped(_ path: String) -> String {
        path.utf8.reduce(into: "") { text, byte in
            if plain.contains(byte) { return text.unicodeScalars.append(Unicode.Scalar(byte)) }
            let digits = String(byte, radix: 16)
            text += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
        }
    }

    private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_.".utf8)
}
