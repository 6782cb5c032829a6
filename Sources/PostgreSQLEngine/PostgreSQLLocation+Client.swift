// URLs that clients name: they take nothing of the daemon's. libpq takes what a URL does not say from the environment, from
// ~/.pgpass, from files of services and from ~/.postgresql; with hostaddr a URL names one host and leads to another, which
// then gets the password of the first. So for these URLs everything that libpq knows is said, and what may be said is listed.
//
// Source: https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-PARAMKEYWORDS, -envars.html;
// conninfo_add_defaults in src/interfaces/libpq/fe-connect.c

internal import CPostgreSQL
package import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

extension PostgreSQLLocation {
    /// What a client's URL may say.
    private static let clientKeywords: Set<String> = [
        "user", "password", "host", "port", "dbname", "sslmode", "sslrootcert", "application_name", "connect_timeout",
        "target_session_attrs", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout", "ssl_min_protocol_version",
    ]

    /// A path at which nothing can be: libpq goes on without the file.
    private static let noFile = "/dev/null/none"

    /// What stands for everything that the URL does not say; a keyword with an empty value is not looked for elsewhere.
    private static let neutralValues: [String: String] = [
        "hostaddr": "", "passfile": noFile, "options": "", "sslcert": noFile, "sslkey": noFile, "sslcrl": noFile,
        "sslcrldir": "", "sslrootcert": noFile, "krbsrvname": "postgres", "gsslib": "", "gssencmode": "disable",
        "requirepeer": "", "sslmode": "prefer", "target_session_attrs": "any", "channel_binding": "prefer",
        "port": "5432", "user": "", "host": "", "dbname": "", "application_name": "", "connect_timeout": "0",
        "ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "", "sslcompression": "0", "sslsni": "1",
        "password": "",
    ]

    /// Said by the daemon itself, behind all others.
    private static let ownKeywords: Set<String> = ["client_encoding"]

    /// What of the URL is not for clients.
    /// - Throws: `badRequest`.
    package func checkClientURL() throws(DriverError) {
        guard cpostgresql_load() == nil else { return }
        _ = try clientText()
    }

    /// The URL for libpq, with everything that it does not say.
    func clientText() throws(DriverError) -> String {
        guard let options = libpq.PQconninfoParse(url, nil) else {
            throw Self.notForClients("what libpq does not read")
        }
        defer { libpq.PQconninfoFree(options) }
        var items: [String] = []
        var option = options
        while let name = option.pointee.keyword {
            let keyword = String(cString: name)
            if let value = option.pointee.val {
                guard Self.clientKeywords.contains(keyword) else { throw Self.notForClients(keyword) }
                items.append(Self.item(keyword, String(cString: value)))
            } else if let value = Self.neutralValues[keyword] {
                items.append(Self.item(keyword, value))
            } else if let variable = option.pointee.envvar.map({ String(cString: $0) }),
                !Self.ownKeywords.contains(keyword), Process.environment(variable) != nil
            {
                throw DriverError(
                    .permissionDenied,
                    "URLs of PostgreSQL cannot be opened, since the daemon's environment has \(variable), which would be "
                        + "taken for what a client says.",
                    hint: "Configure the database, or start the daemon without \(variable).", sqlState: "08001")
            }
            option += 1
        }
        return items.joined(separator: " ")
    }

    private static func item(_ keyword: String, _ value: String) -> String {
        var text = "\(keyword)='"
        for character in value.unicodeScalars {
            if character == "'" || character == "\\" { text.unicodeScalars.append("\\") }
            text.unicodeScalars.append(character)
        }
        return text + "'"
    }

    private static func notForClients(_ keyword: String) -> DriverError {
        DriverError(
            .badRequest, "A PostgreSQL URL that a client names may not say \(keyword).",
            hint: "Leave it out, or have an administrator configure the database. A client's URL may say "
                + clientKeywords.sorted().joined(separator: ", ") + ".")
    }
}
