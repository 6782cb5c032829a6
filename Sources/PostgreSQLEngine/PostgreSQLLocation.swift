// Where a PostgreSQL database is: `postgresql:` URLs, which libpq reads itself.

internal import CPostgreSQL
package import DatabaseContract
internal import RemoteDatabases

/// A `postgresql:` URL with everything that libpq takes: several hosts, directories of Unix sockets, TLS.
///
/// It may hold a password. Nothing but the driver looks at `url`; whatever is shown is made of `label`.
/// - Source: https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING
package struct PostgreSQLLocation: RemoteLocation, CustomStringConvertible, CustomReflectable {
    let url: String
    /// Servers that it names.
    let serverCount: Int
    /// Hosts and database, for logs.
    package let label: String
    /// What must not be shown, wherever it comes up.
    let secrets: [String]

    /// Checks the URL by libpq where that is installed.
    /// - Throws: `DriverError` with code `badRequest`, whose text holds nothing that may be a password.
    package init(url: String) throws(DriverError) {
        guard url.hasPrefix("postgresql://") || url.hasPrefix("postgres://") else {
            throw Self.bad("A PostgreSQL URL begins with postgresql://.")
        }
        guard !url.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
            throw Self.bad("The PostgreSQL URL contains a control character.")
        }
        self.url = url
        guard cpostgresql_load() == nil else {
            // The first use says that the library is missing.
            label = RemoteURL.withoutSecrets(url, hasScheme: true)
            secrets = []
            serverCount = 1
            return
        }
        let options = try Self.parse(url)
        try Self.check(options)
        secrets = ["password", "sslpassword"].compactMap { options[$0] }
        label = Self.label(options)
        serverCount = PostgreSQLHosts(options).count
    }

    package var description: String { label }
    package var customMirror: Mirror { Mirror(self, children: ["label": label]) }

    /// The text without passwords.
    func withoutSecrets(_ text: String) -> String { secrets.reduce(text) { $0.hiding($1) } }

    // MARK: libpq's view of it

    private static func parse(_ url: String) throws(DriverError) -> [String: String] {
        if case .success(let options) = options(of: url) { return options }
        // What libpq says quotes the URL; so it is asked about one in which nothing is secret.
        guard case .failure(let reason) = options(of: RemoteURL.withoutSecrets(url, hasScheme: true)) else {
            throw bad("The user name or the password in the PostgreSQL URL is not percent-encoded.")
        }
        throw bad("The PostgreSQL URL is not understood: \(reason.text).")
    }

    private struct Reason: Error { var text: String }

    private static func options(of url: String) -> Result<[String: String], Reason> {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = libpq.PQconninfoParse(url, &message) else {
            defer { libpq.PQfreemem(message) }
            let text = message.map { String(cString: $0) } ?? "out of memory"
            return .failure(Reason(text: text.last == "\n" ? String(text.dropLast()) : text))
        }
        return .success(takeValues(options))
    }

    /// The values that are set, of options that are freed.
    static func takeValues(_ options: UnsafeMutablePointer<PQconninfoOption>?) -> [String: String] {
        guard let options else { return [:] }
        defer { libpq.PQconninfoFree(options) }
        var values: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return values
    }

    private static func check(_ options: [String: String]) throws(DriverError) {
        // A slash in a password that is not encoded makes a port of its beginning.
        let ports = options["port"]?.split(separator: ",") ?? []
        guard ports.allSatisfy({ port in port.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else {
            throw bad("The port in the PostgreSQL URL is not a number.")
        }
        // libpq itself would say so at each connecting, if that were left to it.
        guard options["connect_timeout"].map({ Int32($0) != nil }) ?? true else {
            throw bad("The connect_timeout in the PostgreSQL URL is not a number of seconds.")
        }
        for (key, known) in words {
            guard let value = options[key], !known.contains(value) else { continue }
            throw bad("The \(key) in the PostgreSQL URL is none of \(known.joined(separator: ", ")).")
        }
        guard options["replication"] == nil else {
            throw bad("The PostgreSQL URL asks for a replication connection, which takes no statements.")
        }
    }

    /// Parameters that libpq looks at when it connects, not when it reads the URL: a misspelt one would look like a server that
    /// cannot be reached.
    private static let words = [
        ("sslmode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]),
        ("gssencmode", ["disable", "prefer", "require"]),
        ("channel_binding", ["disable", "prefer", "require"]),
        ("target_session_attrs", ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]),
        ("ssl_min_protocol_version", ["", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        ("ssl_max_protocol_version", ["", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        ("sslcompression", ["0", "1"]), ("sslsni", ["0", "1"]),
    ]

    private static func label(_ options: [String: String]) -> String {
        let hosts = options["host"] ?? options["hostaddr"] ?? ""
        let port = options["port"].map { ":\($0)" } ?? ""
        return "postgresql://\(hosts)\(port)/\(options["dbname"] ?? "")"
    }

    private static func bad(_ message: String) -> DriverError {
        DriverError(
            .badRequest, message,
            hint: "Write postgresql://USER@HOST:PORT/DATABASE or postgresql:///DATABASE?host=/run/postgresql, "
                + "with %XX for special characters")
    }
}
