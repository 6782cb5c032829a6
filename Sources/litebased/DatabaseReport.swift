// `--test-database NAME`: what there is to say of one database, line by line, and the exit status.

internal import Configuration
internal import DatabaseContract
internal import LinuxSystem
internal import Server

/// Lines `name TAB value`, for people and for `litebase config test`.
struct DatabaseReport {
    private(set) var text = ""
    private(set) var status = ExitStatus.success

    /// Opens the database, and the same with the login of readers.
    /// - Parameters:
    ///   - name: what clients call it.
    ///   - configuration: the whole one.
    /// - Throws: `StartFailure` if there is none of that name.
    init(_ name: String, in configuration: Configuration) throws(StartFailure) {
        guard let database = configuration.databases.first(where: { $0.name == name }) else {
            let near = Suggestion.nearest(to: name, in: configuration.databases.map(\.name))
            throw StartFailure(
                ExitStatus.usage,
                "the configuration has no database \"\(name)\""
                    + (near.map { "; did you mean \"\($0)\"?" } ?? "; --list-databases names those that there are"))
        }
        add("database", name)
        add("url", configuration.engines.withoutSecrets(database.url))
        add("as user", Process.userName(uid: Process.effectiveUID) ?? "\(Process.effectiveUID)")
        add("access", database.access.rawValue + Self.rules(of: database))
        if let problem = database.rules.problem {
            add("disabled", problem)
            status = ExitStatus.configuration
        }
        let wanted = configuration.serverConfiguration(version: Product.version, activation: .standalone)
        test(name, forReaders: false, wanted)
        if database.readOnlyURL != nil, database.access != .readOnly { test(name, forReaders: true, wanted) }
    }

    /// Who may open it, where that is not everybody.
    private static func rules(of database: DatabaseConfiguration) -> String {
        database.rules.areOpen ? ", for everybody who may connect" : ", for those in its lists"
    }

    private mutating func test(_ name: String, forReaders: Bool, _ configuration: ServerConfiguration) {
        let label = forReaders ? "for readers " : ""
        do throws(DriverError) {
            guard let trial = try DatabaseTrial(name, forReaders: forReaders, in: configuration) else { return }
            if let path = trial.filePath, !look(at: path, isWritten: !isReadOnly(name, configuration)) { return }
            let found = try trial.findings()
            let version = found.serverVersion.isEmpty ? "" : " \(found.serverVersion)"
            add(label + "engine", found.engine + version)
            if let host = found.host { add(label + "host", host) }
            add(label + "opened in", Self.milliseconds(found.openMicroseconds))
            add(label + "answered in", Self.milliseconds(found.answerMicroseconds))
        } catch {
            fail(error, label)
        }
    }

    private func isReadOnly(_ name: String, _ configuration: ServerConfiguration) -> Bool {
        guard let database = configuration.databases.first(where: { $0.name == name }) else { return true }
        let location = try? configuration.engines.location(url: database.url)
        return database.access == .readOnly || location?.isReadOnly == true
    }

    /// Says what there is at a path, before SQLite is asked, whose errors name less.
    /// - Returns: whether there is a file to open.
    private mutating func look(at path: String, isWritten: Bool) -> Bool {
        let status: FileStatus?
        do throws(Errno) { status = try Files.status(path) } catch {
            add("failed", "\(path): \(error)")
            add("remedy", "let the user of the daemon enter the directories above it")
            self.status = ExitStatus.unavailable
            return false
        }
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        let mayWriteBeside = Files.mayWrite(directory.isEmpty ? "/" : directory)
        guard let status else {
            return missing(path, isWritten: isWritten, directory: directory, mayWriteBeside: mayWriteBeside)
        }
        guard status.kind != .directory else {
            add("failed", "\(path) is a directory")
            add("remedy", "write the path of a file in url")
            self.status = ExitStatus.unavailable
            return false
        }
        add("file", "\(path), \(status.byteCount) bytes, mode \(String(status.mode, radix: 8))")
        if isWritten {
            let isWritable = mayWriteBeside && Files.mayWrite(path)
            add("writable", isWritable ? "yes" : "no: SQLite writes the file and others beside it, in \(directory)")
            if !isWritable {
                add("remedy", "make the user of the daemon the owner of both, or write access = \"read_only\"")
                self.status = ExitStatus.unavailable
            }
        }
        return true
    }

    private mutating func missing(
        _ path: String, isWritten: Bool, directory: String, mayWriteBeside: Bool
    ) -> Bool {
        if isWritten, mayWriteBeside {
            add("file", "\(path) is not there yet; the daemon makes it at the first use")
        } else {
            add("failed", "\(path): there is no such file, and the daemon will not make one")
            add(
                "remedy",
                isWritten ? "make \(directory), and let the user of the daemon write there" : "correct url, or make it")
            status = ExitStatus.unavailable
        }
        return false
    }

    private mutating func fail(_ error: DriverError, _ label: String) {
        let details = error.details
        add(label + "failed", details.message + (details.detail.map { " \($0)" } ?? ""))
        if let remedy = error.advice { add(label + "remedy", remedy) }
        status = ExitStatus.unavailable
    }

    private mutating func add(_ name: String, _ value: String) {
        // One line for each, whatever a server has said.
        let shown = String(String.UnicodeScalarView(value.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
        text += "\(name)\t\(shown)\n"
    }

    private static func milliseconds(_ microseconds: Int64) -> String {
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.utf8.count) + "\(fraction) ms"
    }
}
