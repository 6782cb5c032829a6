// Where the password of a database is: in its URL, in a file, or among the credentials of the service.

internal import DatabaseDrivers
internal import LinuxSystem
internal import Server

extension DatabaseConfiguration {
    /// What is wrong with how the password is given; `nil` when nothing is.
    var passwordProblem: String? {
        let keys = [passwordFile.map { _ in "password_file" }, passwordCredential.map { _ in "password_credential" }]
            .compactMap(\.self)
        guard let key = keys.first else { return nil }
        if keys.count > 1 { return "databases.\(name) has \(keys[0]) and \(keys[1]); keep one of them" }
        if !DatabaseLocation.isRemote(url) {
            return "databases.\(name).\(key) is for databases on servers, which have passwords; remove it"
        }
        if DatabaseLocation.hasPassword(url) {
            return "databases.\(name) has a password in its url and \(key) beside it; take it out of the url"
        }
        return nil
    }

    /// The same with the place of its password. A credential `NAME.password` needs no key: whoever has given the service
    /// one of that name has said what it is for.
    ///
    /// - Parameter directory: that of the service's credentials.
    /// - Returns: the configuration that the server gets.
    func withPassword(in directory: String?) -> DatabaseConfiguration {
        var database = self
        if passwordFile == nil, passwordCredential == nil, let directory, DatabaseLocation.isRemote(url),
            !DatabaseLocation.hasPassword(url),
            (try? Files.status("\(directory)/\(name).password"))??.kind == .regular
        {
            database.passwordCredential = "\(name).password"
        }
        if let path = database.passwordFile {
            database.password = PasswordFile(path: path)
        } else if let credential = database.passwordCredential {
            database.password = PasswordFile(credential: credential, directory: directory)
        }
        return database
    }
}
