// Replacements for functions that take more than linear time in SQLite, or cannot be interrupted there: the same
// results, by the same rules (src/func.c of SQLite 3.40), in linear time.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

/// Replacements of `instr`, `replace`, `trim`, `ltrim` and `rtrim`.
enum SQLiteOwnFunctions {
    typealias Function =
        @convention(c) (OpaquePointer?, Int32, UnsafeMutablePointer<OpaquePointer?>?) -> Void

    private static let flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS

    /// Installs them on a new connection, instead of SQLite's.
    static func install(on connection: SQLiteConnection) {
        let context = Unmanaged.passUnretained(connection).toOpaque()
        let functions: [(name: String, argumentCount: Int32, function: Function)] = [
            ("instr", 2, { SQLiteOwnFunctions.instr(Call($0, $2)) }),
            ("replace", 3, { SQLiteOwnFunctions.replace(Call($0, $2)) }),
            ("trim", 1, { SQLiteOwnFunctions.trim(Call($0, $2), nil, .both) }),
            ("trim", 2, { SQLiteOwnFunctions.trim(Call($0, $2), 1, .both) }),
            ("ltrim", 1, { SQLiteOwnFunctions.trim(Call($0, $2), nil, .left) }),
            ("ltrim", 2, { SQLiteOwnFunctions.trim(Call($0, $2), 1, .left) }),
            ("rtrim", 1, { SQLiteOwnFunctions.trim(Call($0, $2), nil, .right) }),
            ("rtrim", 2, { SQLiteOwnFunctions.trim(Call($0, $2), 1, .right) }),
        ]
        for (name, argumentCount, function) in functions + SQLiteGuardedFunctions.all {
            sqlite3_create_function_v2(
                connection.handle, name, argumentCount, flags, context, function, nil, nil, nil)
        }
    }

    /// One call, with SQLite's arguments.
    struct Call {
        let context: OpaquePointer?
        private let arguments: UnsafeMutablePointer<OpaquePointer?>?

        init(_ context: OpaquePointer?, _ arguments: UnsafeMutablePointer<OpaquePointer?>?) {
            self.context = context
            self.arguments = arguments
        }

        var connection: SQLiteConnection? {
            sqlite3_user_data(context).map { Unmanaged<SQLiteConnection>.fromOpaque($0).takeUnretainedValue() }
        }
        func value(_ index: Int) -> OpaquePointer? { arguments?[index] }
        func type(_ index: Int) -> Int32 { sqlite3_value_type(value(index)) }

        /// The argument as text; `nil` if it is NULL or memory is short.
        func text(_ index: Int) -> UnsafeRawBufferPointer? {
            guard let text = sqlite3_value_text(value(index)) else { return nil }
            return UnsafeRawBufferPointer(start: text, count: Int(sqlite3_value_bytes(value(index))))
        }

        func blob(_ index: Int) -> UnsafeRawBufferPointer {
            let base = sqlite3_value_blob(value(index))
            return UnsafeRawBufferPointer(start: base, count: Int(sqlite3_value_bytes(value(index))))
        }

        func finish(_ text: UnsafeRawBufferPointer) {
            // SQLITE_TRANSIENT: SQLite makes a copy.
            sqlite3_result_text64(
                context, text.baseAddress?.assumingMemoryBound(to: CChar.self) ?? emptyText, UInt64(text.count),
                unsafeBitCast(-1, to: sqlite3_destructor_type.self), UInt8(SQLITE_UTF8))
        }

        /// Whether the statement has to stop; then its result is set.
        func isStopped() -> Bool {
            guard connection?.mustStop() == true else { return false }
            sqlite3_result_error_code(context, SQLITE_INTERRUPT)
            return true
        }

        private var emptyText: UnsafePointer<CChar> {
            UnsafeRawPointer(StaticString("").utf8Start).assumingMemoryBound(to: CChar.self)
        }
    }

    /// Bytes that are processed between two checks whether to stop: some 100 µs.
    private static let lookByteCount = 64 << 10

    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }

    // MARK: instr

    private static func instr(_ call: Call) {
        let types = (call.type(0), call.type(1))
        if types.0 == SQLITE_NULL || types.1 == SQLITE_NULL { return }
        let isText = !(types.0 == SQLITE_BLOB && types.1 == SQLITE_BLOB)
        guard isText else {
            let position = find(call.blob(1), in: call.blob(0), from: 0)
            return sqlite3_result_int64(call.context, Int64((position ?? -1) + 1))
        }
        guard let haystack = call.text(0), let needle = call.text(1) else {
            return sqlite3_result_error_nomem(call.context)
        }
        sqlite3_result_int64(call.context, characterPosition(of: needle, in: haystack))
    }

    /// Position in characters, from 1; 0 if it does not occur. A match begins at the start of a character.
    private static func characterPosition(of needle: UnsafeRawBufferPointer, in haystack: UnsafeRawBufferPointer)
        -> Int64
    {
        guard let first = needle.first else { return 1 }
        var found: Int?
        if isContinuation(first) {
            // No character begins like that, but the first byte of the text counts as the start of one.
            let isFirst = haystack.count >= needle.count && haystack.prefix(needle.count).elementsEqual(needle)
            found = isFirst ? 0 : nil
        } else {
            found = find(needle, in: haystack, from: 0)
        }
        guard let found else { return 0 }
        var position: Int64 = 1
        for index in stride(from: 1, through: found, by: 1) where !isContinuation(haystack[index]) { position += 1 }
        return position
    }

    private static func find(
        _ needle: UnsafeRawBufferPointer, in haystack: UnsafeRawBufferPointer, from start: Int
    ) -> Int? {
        needle.isEmpty ? start : haystack.firstIndex(of: needle, from: start)
    }

    // MARK: replace

    private static func replace(_ call: Call) {
        guard let text = call.text(0), let pattern = call.text(1) else { return }
        // An empty pattern: the value itself, whatever its type. A text that begins with NUL counts as empty.
        guard let first = pattern.first, first != 0 else { return sqlite3_result_value(call.context, call.value(0)) }
        guard let replacement = call.text(2), let connection = call.connection else { return }
        let byteCountMax = Int(sqlite3_limit(connection.handle, SQLITE_LIMIT_LENGTH, -1))
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var (copied, nextLook) = (0, lookByteCount)
        while let found = find(pattern, in: text, from: copied) {
            result.append(contentsOf: text[copied..<found])
            result.append(contentsOf: replacement)
            copied = found + pattern.count
            if result.count > byteCountMax { return sqlite3_result_error_toobig(call.context) }
            if result.count + copied > nextLook {
                nextLook = result.count + copied + lookByteCount
                if call.isStopped() { return }
            }
        }
        result.append(contentsOf: text[copied...])
        if result.count > byteCountMax { return sqlite3_result_error_toobig(call.context) }
        result.withUnsafeBytes { call.finish($0) }
    }

    // MARK: trim

    enum Side { case left, right, both }

    /// The characters to trim; the time for each byte of the text does not depend on how many of them begin with the
    /// same byte.
    private struct TrimSet {
        /// For each byte, its index among the characters; `.max`: it is not one of them.
        private var singles = [Int](repeating: .max, count: 256)
        private var sequences: [(order: Int, bytes: UnsafeRawBufferPointer)] = []
        static let sequenceCountMax = 256

        /// - Returns: `nil` if there are too many different characters.
        init?(_ text: UnsafeRawBufferPointer) {
            var (index, order) = (0, 0)
            while index < text.count {
                let start = index
                index += 1
                if text[start] >= 0xc0 {
                    while index < text.count, isContinuation(text[index]) { index += 1 }
                }
                let character = UnsafeRawBufferPointer(rebasing: text[start..<index])
                order += 1
                if character.count == 1 {
                    singles[Int(character[0])] = min(singles[Int(character[0])], order)
                } else if !sequences.contains(where: { $0.bytes.elementsEqual(character) }) {
                    if sequences.count == Self.sequenceCountMax { return nil }
                    sequences.append((order, character))
                }
            }
        }

        /// Bytes to remove at the front; 0: none. If several characters match, SQLite takes the first one.
        func prefixByteCount(_ text: Slice<UnsafeRawBufferPointer>) -> Int {
            guard let first = text.first else { return 0 }
            return byteCount(singles[Int(first)]) { text.starts(with: $0) }
        }

        func suffixByteCount(_ text: Slice<UnsafeRawBufferPointer>) -> Int {
            guard let last = text.last else { return 0 }
            return byteCount(singles[Int(last)]) { text.count >= $0.count && text.suffix($0.count).elementsEqual($0) }
        }

        private func byteCount(_ single: Int, _ fits: (UnsafeRawBufferPointer) -> Bool) -> Int {
            if let found = sequences.first(where: { $0.order < single && fits($0.bytes) }) { return found.bytes.count }
            return single == .max ? 0 : 1
        }
    }

    private static func trim(_ call: Call, _ setIndex: Int?, _ side: Side) {
        guard let text = call.text(0) else { return }
        let characters: UnsafeRawBufferPointer
        if let setIndex {
            guard let given = call.text(setIndex) else { return }
            // SQLite reads it up to a NUL.
            characters = UnsafeRawBufferPointer(rebasing: given.prefix { $0 != 0 })
        } else {
            characters = UnsafeRawBufferPointer(start: StaticString(" ").utf8Start, count: 1)
        }
        guard let set = TrimSet(characters) else {
            let message = "trim takes at most \(TrimSet.sequenceCountMax) different characters"
            return sqlite3_result_error(call.context, message, -1)
        }
        var rest = text[...]
        var nextLook = text.count - lookByteCount
        while side != .right, case let count = set.prefixByteCount(rest), count > 0 {
            rest = rest.dropFirst(count)
            if rest.count < nextLook {
                nextLook -= lookByteCount
                if call.isStopped() { return }
            }
        }
        while side != .left, case let count = set.suffixByteCount(rest), count > 0 {
            rest = rest.dropLast(count)
            if rest.count < nextLook {
                nextLook -= lookByteCount
                if call.isStopped() { return }
            }
        }
        call.finish(UnsafeRawBufferPointer(rebasing: rest))
    }
}
