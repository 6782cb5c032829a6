// A connection to the server, from the URL to the first statement. All of it may block.

internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// Opens connections to one database.
///
/// - Thread: any that may block.
struct MySQLConnector: Sendable {
    let place: MySQLLocation
    let settings: RemoteSettings
    /// Which server is in use; `nil` where the first that answers will do.
    let choice: ServerChoice?

    init(place: MySQLLocation, settings: RemoteSettings) {
        self.place = place
        self.settings = settings
        choice =
            place.hosts.count > 1 || place.target != .any ? ServerChoice(isExclusive: place.target.isExclusive) : nil
    }

    /// Stack of libmariadb's coroutine, on which its calls run until they have to wait. OpenSSL needs more than the 60 KiB
    /// that are the default.
    private static let stackByteCount = 128 << 10
    /// Ways to prove who one is that do not give the password away to whoever pretends to be the server.
    private static let careful =
        "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password,auth_gssapi_client"

    /// A connection of which the daemon knows what it must.
    struct Opened {
        var handle: UnsafeMutablePointer<MYSQL>
        var hostIndex: Int
        var facts: Facts
    }

    /// Connects to the first server that answers and is wanted. Whoever gets the connection closes it.
    func open(password: String?) throws(DriverError) -> Opened {
        var failures: [(server: String, error: DriverError)] = []
        var acceptable: Opened?
        for index in order {
            do throws(DriverError) {
                let (opened, verdict) = try examine(try connect(password: password, hostIndex: index), index)
                if verdict == .wanted || acceptable == nil {
                    if let former = acceptable { libmariadb.mysql_close(former.handle) }
                    acceptable = opened
                } else {
                    libmariadb.mysql_close(opened.handle)
                }
                if verdict == .wanted { break }
            } catch {
                failures.append((label(index), error))
            }
        }
        guard let acceptable else { throw DriverError.ofServers(failures) ?? Self.outOfMemory }
        choice?.take(label(acceptable.hostIndex))
        return acceptable
    }

    /// The hosts, in the order in which they are tried: where one of them is the wanted one, that which was taken last comes first.
    private var order: [Int] {
        guard place.hosts.count > 1 else { return [0] }
        let indices = Array(place.hosts.indices)
        guard place.target.isExclusive, let current = choice?.current,
            let position = indices.first(where: { label($0) == current })
        else { return indices }
        return [position] + indices.filter { $0 != position }
    }

    /// How people write a host.
    func label(_ index: Int) -> String { place.hosts.isEmpty ? place.socket ?? "" : place.hosts[index].label }

    /// Asks a server what the daemon must know of it; closes a connection that cannot be used.
    private func examine(
        _ handle: UnsafeMutablePointer<MYSQL>, _ index: Int
    ) throws(DriverError) -> (Opened, MySQLTarget.Verdict) {
        do throws(DriverError) {
            // First: a node of Galera without its cluster answers little else.
            var verdict = MySQLTarget.Verdict.wanted
            if choice != nil {
                let role = try role(handle)
                verdict = place.target.verdict(role)
                if verdict == .unwanted { throw DriverError.unwanted(place.target, role) }
            }
            return (Opened(handle: handle, hostIndex: index, facts: try facts(handle)), verdict)
        } catch {
            libmariadb.mysql_close(handle)
            throw error
        }
    }

    /// Connects to one host. Whoever gets the connection closes it.
    private func connect(password: String?, hostIndex: Int) throws(DriverError) -> UnsafeMutablePointer<MYSQL> {
        let password = password ?? place.password
        guard let handle = libmariadb.mysql_init(nil) else { throw Self.outOfMemory }
        let optionFile = password == nil ? optionFile : nil
        if let optionFile { set(handle, MYSQL_READ_DEFAULT_FILE, optionFile) }
        prepare(handle)
        guard open(handle, hostIndex, password) else {
            let error = error(handle)
            libmariadb.mysql_close(handle)
            throw error
        }
        guard isEncrypted(handle) else {
            libmariadb.mysql_close(handle)
            throw Self.notEncrypted
        }
        if optionFile != nil { undoOptions(handle) }
        return handle
    }

    /// Connects with the password that is in its file now.
    /// - Throws: errors without the password and the secrets of the URL.
    /// - Thread: one that may block.
    func open() throws(DriverError) -> Opened {
        try MySQLLibrary.load()
        let password = try settings.passwordFile?.read()
        do throws(DriverError) {
            return try open(password: password)
        } catch {
            throw error.hiding(place.secrets + [password].compactMap(\.self))
        }
    }

    /// Another connection to a host, with the password that is in its file now.
    func reconnect(hostIndex: Int) throws(DriverError) -> UnsafeMutablePointer<MYSQL> {
        try connect(password: try settings.passwordFile?.read(), hostIndex: hostIndex)
    }

    /// With what a connection is made as good as new; `nil` where only libmariadb knows it, from an option file.
    func login(as user: String, password: String?) -> MySQLLogin? {
        let password = password ?? place.password
        if password == nil, let file = optionFile, FileIdentity(path: file) != nil { return nil }
        return MySQLLogin(user: user, password: password ?? "", database: place.database)
    }

    /// libmariadb looks at this only where it verifies the server.
    private func isEncrypted(_ handle: UnsafeMutablePointer<MYSQL>) -> Bool {
        place.encryption == .disabled || place.encryption == .preferred
            || libmariadb.mysql_get_ssl_cipher(handle) != nil
    }

    private static let notEncrypted = DriverError(
        .connectFailed, "The MySQL server does not encrypt its connections, which the URL requires.",
        hint: "Set up TLS on the server, or set ssl-mode in the URL.", sqlState: "08001")

    private static let outOfMemory = DriverError(
        .connectFailed, "There is no memory for a connection.", sqlState: "53200")

    // MARK: Options

    /// What the user whose own daemon this is has set for all clients (group [client]); `nil` in the service of the system,
    /// which has no session of a user.
    private var optionFile: String? {
        guard !settings.isOfClient, Process.effectiveUID != 0,
            Process.environment("XDG_RUNTIME_DIR")?.hasPrefix("/") == true
        else {
            return nil
        }
        return Process.homeDirectory.map { $0 + "/.my.cnf" }
    }

    private func prepare(_ handle: UnsafeMutablePointer<MYSQL>) {
        var stack = UInt(Self.stackByteCount)
        _ = libmariadb.mysql_options(handle, MYSQL_OPT_NONBLOCK, &stack)
        // Whole seconds are what libmariadb knows; the lane counts the milliseconds. After connecting, the daemon's own
        // timers are what counts, and MYSQL_WAIT_TIMEOUT is not looked at.
        var seconds = UInt32(clamping: max(2, (settings.connectMillisecondsMax + 999) / 1000))
        for option in [MYSQL_OPT_CONNECT_TIMEOUT, MYSQL_OPT_READ_TIMEOUT, MYSQL_OPT_WRITE_TIMEOUT] {
            _ = libmariadb.mysql_options(handle, option, &seconds)
        }
        set(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4")
        _ = "program_name".withCString { key in
            "litebase".withCString { libmariadb.mysql_options4(handle, MYSQL_OPT_CONNECT_ATTR_ADD, key, $0) }
        }
        setLocalFiles(handle)
        setEncryption(handle)
    }

    private func setLocalFiles(_ handle: UnsafeMutablePointer<MYSQL>) {
        var off: UInt32 = 0
        _ = libmariadb.mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &off)
        cmariadb_refuse_local_files(handle)
    }

    /// What an option file may have turned on, and must not.
    private func undoOptions(_ handle: UnsafeMutablePointer<MYSQL>) {
        setLocalFiles(handle)
        _ = libmariadb.mysql_set_server_option(handle, MYSQL_OPTION_MULTI_STATEMENTS_OFF)
    }

    private func setEncryption(_ handle: UnsafeMutablePointer<MYSQL>) {
        let isKnown = place.socket != nil || place.encryption == .verifyIdentity || place.tls["ssl-fingerprint"] != nil
        if !isKnown { set(handle, MARIADB_OPT_RESTRICTED_AUTH, Self.careful) }
        if place.encryption == .disabled { return }
        let options: [(String, mysql_option)] = [
            ("ssl-ca", MYSQL_OPT_SSL_CA), ("ssl-capath", MYSQL_OPT_SSL_CAPATH), ("ssl-cert", MYSQL_OPT_SSL_CERT),
            ("ssl-key", MYSQL_OPT_SSL_KEY), ("ssl-crl", MYSQL_OPT_SSL_CRL), ("ssl-cipher", MYSQL_OPT_SSL_CIPHER),
            ("tls-version", MYSQL_OPT_TLS_VERSION), ("ssl-fingerprint", MARIADB_OPT_TLS_PEER_FP),
        ]
        for (name, option) in options {
            if let value = place.tls[name] { set(handle, option, value) }
        }
        // A server without TLS is taken all the same; see `isEncrypted`.
        var isWanted: my_bool = 1
        _ = libmariadb.mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &isWanted)
        var verified: my_bool = place.encryption == .verifyIdentity ? 1 : 0
        _ = libmariadb.mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verified)
    }

    private func set(_ handle: UnsafeMutablePointer<MYSQL>, _ option: mysql_option, _ value: String) {
        _ = value.withCString { libmariadb.mysql_options(handle, option, $0) }
    }

    // MARK: Connecting

    private func open(_ handle: UnsafeMutablePointer<MYSQL>, _ index: Int, _ password: String?) -> Bool {
        let host = place.hosts.isEmpty ? nil : place.hosts[index]
        let port = host.map { $0.port == 0 ? MySQLLocation.defaultPort : $0.port } ?? 0
        let flags = UInt(CLIENT_FOUND_ROWS) | UInt(CLIENT_MULTI_RESULTS)
        return Self.withText(host?.name) { host in
            Self.withText(place.user) { user in
                Self.withText(password) { password in
                    Self.withText(place.database) { database in
                        Self.withText(place.socket) { socket in
                            libmariadb.mysql_real_connect(handle, host, user, password, database, port, socket, flags)
                                != nil
                        }
                    }
                }
            }
        }
    }

    private static func withText<Value>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Value) -> Value {
        if let text { text.withCString { body($0) } } else { body(nil) }
    }

    private func error(_ handle: UnsafeMutablePointer<MYSQL>) -> DriverError {
        let text = libmariadb.mysql_error(handle).map { String(cString: $0) } ?? ""
        let number = libmariadb.mysql_errno(handle)
        var details = DriverError.Details(
            code: .connectFailed, message: "The MySQL server cannot be reached.",
            detail: text)
        details.vendorCode = Int32(bitPattern: number)
        switch number {
        case 1044, 1045, 1049, 1130, 1698, 2059:
            details.message = "The MySQL server did not let the daemon in."
            details.hint = "Check the user, the password and the database, and the rights of the database's user."
            details.sqlState = "28000"
        case 1040, 1203, 1226:
            details.message = "The MySQL server has no connection to spare."
            details.hint = "Raise max_connections of the server, or lower limits.pool_connections_max."
            details.sqlState = "53300"
            details.isRetryable = true
        default:
            details.hint = RemoteErrors.reachHint(text)
            details.sqlState = "08001"
            details.isRetryable = true
        }
        return DriverError(details)
    }

    // MARK: First statements

    /// What the daemon must know of the server and of itself.
    struct Facts {
        /// The longest message that the server takes.
        var packetByteCountMax: Int
        /// Whom the server knows the daemon as; without a name in the URL that is the name of the daemon's Unix user.
        var user: String
        /// What gives back the role that the daemon came with; `nil` where nothing has to. MariaDB keeps it when a connection
        /// is introduced anew; MySQL does not.
        var roleStatement: String?
    }

    func facts(_ handle: UnsafeMutablePointer<MYSQL>) throws(DriverError) -> Facts {
        let isMariaDB =
            libmariadb.mysql_get_server_info(handle).map { String(cString: $0).contains(text: "MariaDB") } ?? false
        let values = try row(handle, "SELECT @@max_allowed_packet, USER()" + (isMariaDB ? ", CURRENT_ROLE()" : ""))
        guard values.count == (isMariaDB ? 3 : 2), let number = values[0].flatMap({ Int($0) }), let account = values[1]
        else { throw error(handle) }
        let user = account.utf8.lastIndex(of: UInt8(ascii: "@")).map { String(account[..<$0]) }
        return Facts(
            packetByteCountMax: number, user: user ?? account,
            roleStatement: isMariaDB ? Self.statement(forRole: values[2]) : nil)
    }

    /// Whether the server may have been there already at that time: it tells its age in whole seconds. One that says nothing
    /// may.
    func mayRun(_ handle: UnsafeMutablePointer<MYSQL>, since past: MonotonicInstant) -> Bool {
        let age = MonotonicInstant.now.nanoseconds(since: past) / 1_000_000_000
        guard let values = try? row(handle, "SHOW GLOBAL STATUS LIKE 'Uptime'"), values.count == 2,
            let uptime = values[1].flatMap({ Int64($0) })
        else { return true }
        return uptime >= age
    }

    private func role(_ handle: UnsafeMutablePointer<MYSQL>) throws(DriverError) -> MySQLRole {
        let variables = try values(handle, MySQLRole.variables)
        let status = variables["wsrep_on"] == "ON" ? try values(handle, MySQLRole.status) : [:]
        return MySQLRole(variables.merging(status) { _, new in new })
    }

    /// What SHOW tells, by its names.
    private func values(_ handle: UnsafeMutablePointer<MYSQL>, _ sql: String) throws(DriverError) -> [String: String] {
        var values: [String: String] = [:]
        for row in try rows(handle, sql) where row.count == 2 {
            if let name = row[0], let value = row[1] { values[name.lowercased()] = value }
        }
        return values
    }

    private func row(_ handle: UnsafeMutablePointer<MYSQL>, _ sql: String) throws(DriverError) -> [String?] {
        guard let row = try rows(handle, sql).first else { throw error(handle) }
        return row
    }

    private func rows(_ handle: UnsafeMutablePointer<MYSQL>, _ sql: String) throws(DriverError) -> [[String?]] {
        guard sql.withCString({ libmariadb.mysql_real_query(handle, $0, UInt(sql.utf8.count)) }) == 0,
            let result = libmariadb.mysql_store_result(handle)
        else { throw error(handle) }
        defer { libmariadb.mysql_free_result(result) }
        var rows: [[String?]] = []
        // More than a handful was not asked for.
        while rows.count < Self.rowCountMax, let row = libmariadb.mysql_fetch_row(result) {
            rows.append(
                (0..<Int(libmariadb.mysql_num_fields(result))).map { index in row[index].map { String(cString: $0) } })
        }
        return rows
    }

    private static let rowCountMax = 16

    static func statement(forRole role: String?) -> String {
        guard let role else { return "SET ROLE NONE" }
        return "SET ROLE `" + role.split(separator: "`", omittingEmptySubsequences: false).joined(separator: "``") + "`"
    }
}
