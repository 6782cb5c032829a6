// The directory that `backup --all` writes into.

internal import Glibc
internal import LinuxSystem

/// Copies of databases, each with the time in its name.
struct BackupDirectory {
    let path: String

    private static let ending = ".db"

    /// The name of a copy: UTC, in an order by name that is the order of time.
    static func name(of database: String, at seconds: time_t) -> String {
        var (seconds, parts) = (seconds, tm())
        gmtime_r(&seconds, &parts)
        func digits(_ number: Int32, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
        }
        let day = digits(parts.tm_year + 1900, 4) + digits(parts.tm_mon + 1, 2) + digits(parts.tm_mday, 2)
        let time = digits(parts.tm_hour, 2) + digits(parts.tm_min, 2) + digits(parts.tm_sec, 2)
        return "\(database)-\(day)T\(time)Z\(ending)"
    }

    /// Whether a file's name is that of a copy of this database.
    static func isCopy(_ file: String, of database: String) -> Bool {
        let prefix = "\(database)-"
        guard file.hasPrefix(prefix), file.hasSuffix(ending) else { return false }
        let stamp = file.dropFirst(prefix.count).dropLast(ending.count)
        let pattern = "dddddddd T dddddd Z".filter { $0 != " " }
        return stamp.count == pattern.count
            && zip(stamp, pattern).allSatisfy { $1 == "d" ? ("0"..."9").contains($0) : $0 == $1 }
    }

    /// Deletes the oldest copies of a database, and never the one that was just made.
    ///
    /// Where another one has a later time in its name, a clock was wrong, and nobody knows which of them are old: those stay, and are
    /// not counted.
    /// - Parameters:
    ///   - database: whose copies.
    ///   - newest: the name of the copy that was just made.
    ///   - count: how many stay with it, itself among them; at least 1.
    /// - Returns: the names with a later time, in their order.
    /// - Throws: `InputError` if the directory cannot be read, or if a copy cannot be deleted.
    func removeOld(_ database: String, before newest: String, keeping count: Int) throws(InputError) -> [String] {
        let names = try names().filter { Self.isCopy($0, of: database) }.sorted()
        var firstFailure: InputError?
        for name in names.filter({ $0 < newest }).dropLast(count - 1) {
            let copy = "\(path)/\(name)"
            guard unlink(copy) == 0 || Errno.current == .noSuchFile else {
                firstFailure = firstFailure ?? failure(copy)
                continue
            }
            // Of a program that has looked into it.
            for companion in SQLiteCompanions.of(copy) { unlink(companion) }
        }
        if let firstFailure { throw firstFailure }
        return names.filter { $0 > newest }
    }

    func hasCopy(of database: String) throws(InputError) -> Bool {
        try names().contains { Self.isCopy($0, of: database) }
    }

    /// Removes what runs that were killed have left of copies of a database: their names do not come again.
    /// - Throws: `InputError` if the directory cannot be read.
    func removeLeft(of database: String) throws(InputError) {
        for name in try names() where name.hasSuffix(NewFile.partialEnding) {
            let copy = String(name.dropLast(NewFile.partialEnding.count))
            if Self.isCopy(copy, of: database) { NewFile.removeLeft("\(path)/\(name)") }
        }
    }

    private func names() throws(InputError) -> [String] {
        guard let stream = opendir(path) else { throw failure(path) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    private func failure(_ path: String) -> InputError {
        let error = Errno.current
        return InputError(message: "\(path): \(error)", status: ExitStatus.ioError)
    }
}
