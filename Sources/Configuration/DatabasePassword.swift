// Where the passwords of a database are: in its URLs, in files, or among the credentials of the service.

internal import DatabaseContract
internal import LinuxSystem
internal import Server

extension DatabaseConfiguration {
    /// What is wrong with how the passwords are given; `nil` when nothing is.
    func passwordProblem(_ engines: EngineRegistry) -> String? {
        Self.problem(engines, name, "", url, passwordFile, passwordCredential)
            ?? Self.problem(
                engines, name, "read_only_", readOnlyURL, readOnlyPasswordFile, readOnlyPasswordCredential)
    }

    private static func problem(
        _ engines: EngineRegistry, _ name: String, _ prefix: String, _ url: String?, _ file: String?,
        _ credential: String?
    ) -> String? {
        let keys = [file.map { _ in "\(prefix)password_file" }, credential.map { _ in "\(prefix)password_credential" }]
            .compactMap(\.self)
        guard let key = keys.first else { return nil }
        if keys.count > 1 { return "databases.\(name) has \(keys[0]) and \(keys[1]); keep one of them" }
        guard let url else { return "databases.\(name).\(key) is of no use without \(prefix)url; add it" }
        if !engines.isRemote(url) {
            return "databases.\(name).\(key) is for databases on servers, which have passwords; remove it"
        }
        if engines.hasPassword(url) {
            return "databases.\(name) has a password in its \(prefix)url and \(key) beside it; take it out of the URL"
        }
        return nil
    }

    /// The same with the places of its passwords. A credential `NAME.password` needs no key: whoever has given the service
    /// one of that name has said what it is for.
    ///
    /// - Parameters:
    ///   - directory: that of the service's credentials.
    ///   - engines: what URLs may lead to.
    /// - Returns: the configuration that the server gets.
    func withPasswords(in directory: String?, _ engines: EngineRegistry) -> DatabaseConfiguration {
        var database = self
        if passwordFile == nil, passwordCredential == nil, let directory, engines.isRemote(url),
            !engines.hasPassword(url),
            (try? Files.status("\(directory)/\(name).password"))??.kind == .regular
        {
            database.passwordCredential = "\(name).password"
        }
        database.password = Self.place(database.passwordFile, database.passwordCredential, directory)
        database.readOnlyPassword = Self.place(readOnlyPasswordFile, readOnlyPasswordCredential, directory)
        return database
    }

    private static func place(_ file: String?, _ credential: String?, _ directory: String?) -> PasswordFile? {
        file.map { PasswordFile(path: $0) } ?? credential.map { PasswordFile(credential: $0, directory: directory) }
    }
}

extension Configuration {
    /// Looks whether the password files can be used: each that cannot would fail when its database is connected to. Credentials
    /// are only there while the service runs.
    ///
    /// - Parameter isDaemon: whether the process is the daemon's user.
    /// - Throws: `ConfigurationError` with those that cannot.
    public func checkPasswordFiles(isDaemon: Bool = false) throws(ConfigurationError) {
        var problems: [ConfigurationProblem] = []
        for database in databases {
            let files = [
                (database.passwordFile, database.password), (database.readOnlyPasswordFile, database.readOnlyPassword),
            ]
            for case (let path?, let file?) in files {
                guard let problem = file.problem(isDaemon: isDaemon) else { continue }
                problems.append(ConfigurationProblem(file: path, "databases.\(database.name): \(problem)"))
            }
        }
        if !problems.isEmpty { throw ConfigurationError(problems: problems) }
    }
}
