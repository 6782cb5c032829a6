// Several servers that hold the same database: which one is wanted, and whether one is that.
//
// The daemon decides nothing about the servers themselves: whether one may be written to is what it says of itself, and what
// promotes and demotes servers sets that.

internal import DatabaseContract
internal import RemoteDatabases

/// Which servers a URL asks for (`target_session_attrs`, in libpq's words).
enum MySQLTarget: String, Sendable, CaseIterable {
    /// The first that answers.
    case any
    /// One that takes writes.
    case readWrite = "read-write"
    /// One that takes none.
    case readOnly = "read-only"
    /// One that takes none, if there is one.
    case preferStandby = "prefer-standby"

    /// One server is the wanted one, and stays that until it says otherwise.
    var isExclusive: Bool { self == .readWrite }

    /// What it takes a server for.
    enum Verdict: Equatable {
        case wanted
        /// If there is no better one.
        case acceptable
        case unwanted
    }

    func verdict(_ role: MySQLRole) -> Verdict {
        guard role.isReady else { return .unwanted }
        return switch self {
        case .any: .wanted
        case .readWrite: role.takesWrites ? .wanted : .unwanted
        case .readOnly: role.isReadOnly ? .wanted : .unwanted
        case .preferStandby: role.isReadOnly ? .wanted : .acceptable
        }
    }
}

/// What a server says of itself.
struct MySQLRole: Sendable, Equatable {
    /// `read_only`, which is also set where `super_read_only` is.
    var isReadOnly = false
    /// It answers queries, which a node of Galera does not without its cluster, or when it was told not to.
    var isReady = true
    /// A node of Galera that has everything of the cluster; true of every other server.
    var isInStep = true

    var takesWrites: Bool { isReady && isInStep && !isReadOnly }

    /// `wsrep_local_state` of a node that is synchronous with its cluster.
    private static let synced = "4"

    /// - Parameter values: variables and status of the server by their names, as far as it has them.
    ///
    /// A node without its cluster still answers SHOW, but nothing that needs a table.
    /// - Source: https://mariadb.com/kb/en/server-system-variables/#read_only, which has had other values than ON and OFF since
    ///   MariaDB 12; https://mariadb.com/kb/en/galera-cluster-status-variables/
    init(_ values: [String: String]) {
        isReadOnly = !["OFF", "0"].contains(values["read_only"] ?? "OFF")
        guard values["wsrep_on"] == "ON" else { return }
        isReady = values["wsrep_ready"] == "ON" && (values["wsrep_reject_queries"] ?? "NONE") == "NONE"
        isInStep = values["wsrep_local_state"] == Self.synced
    }

    static let variables =
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'wsrep_on', 'wsrep_reject_queries')"
    static let status =
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')"

    /// Why a server is not the wanted one, as part of a list of servers.
    var reason: String {
        if !isReady { return "it answers no queries (wsrep_ready, wsrep_reject_queries)" }
        if isReadOnly { return "it is read-only (read_only)" }
        return isInStep ? "it takes writes" : "it is not in step with its cluster (wsrep_local_state)"
    }
}

extension DriverError {
    /// A server was reached that is not the wanted one.
    static func unwanted(_ target: MySQLTarget, _ role: MySQLRole) -> DriverError {
        let what =
            switch target {
            case .readWrite: "takes writes"
            case .readOnly: "is read-only"
            case .any, .preferStandby: "answers queries"
            }
        let hint =
            switch target {
            case .readWrite: "Promote one of them: make it a primary, and set read_only to OFF there."
            case .readOnly: "Set read_only on the replicas, or target_session_attrs=prefer-standby in the URL."
            case .any, .preferStandby: "Look what has become of the cluster (SHOW STATUS LIKE 'wsrep%')."
            }
        return DriverError(
            .connectFailed,
            "None of the MySQL servers that the URL names \(what) (target_session_attrs=\(target.rawValue)).",
            hint: hint,
            sqlState: "25006"
        ).with {
            $0.detail = role.reason
            $0.isRetryable = true
        }
    }
}
