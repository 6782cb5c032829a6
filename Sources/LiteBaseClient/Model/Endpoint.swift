// The address of the daemon, and how it is found if none is given.

internal import LinuxSystem

/// An address of the daemon.
public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    case unix(path: String)
    /// TCP on 127.0.0.1, for development.
    case loopback(port: UInt16)

    public var description: String {
        switch self {
        case .unix(let path): path
        case .loopback(let port): "127.0.0.1:\(port)"
        }
    }
}

extension Endpoint {
    /// Whether memory can be shared with whoever listens there.
    var isLocal: Bool {
        switch self {
        case .unix: true
        case .loopback: false
        }
    }

    /// The daemon's usual socket: the path given, else `$LITEBASE_SOCKET`, else the first of
    /// `$XDG_RUNTIME_DIR/litebase/litebase.sock`, `$XDG_STATE_HOME/litebase/litebase.sock` (`~/.local/state` where that is not
    /// set), `/run/litebase/litebase.sock` that exists. No directory where everybody may create files, such as `/tmp`,
    /// is searched: such a socket has to be named.
    ///
    /// A path from an argument or the environment is used as it is, so that a mistake in it shows.
    /// - Throws: `ClientError.noSocket` with all the paths that were tried.
    public static func discover(path: String? = nil) throws(ClientError) -> Endpoint {
        try discover(path: path, environment: Process.environment, home: Process.homeDirectory) { path in
            (try? Files.status(path))?.kind == .socket
        }
    }

    /// The same on a given environment and file system.
    static func discover(
        path: String?, environment: (String) -> String?, home: String? = nil, socketExists: (String) -> Bool
    ) throws(ClientError) -> Endpoint {
        if let path { return .unix(path: path) }
        if let path = environment("LITEBASE_SOCKET") { return .unix(path: path) }
        var candidates: [String] = []
        if let directory = environment("XDG_RUNTIME_DIR") { candidates.append(directory + "/litebase/litebase.sock") }
        if let directory = environment("XDG_STATE_HOME") ?? home.map({ $0 + "/.local/state" }) {
            candidates.append(directory + "/litebase/litebase.sock")
        }
        candidates.append("/run/litebase/litebase.sock")
        for candidate in candidates where socketExists(candidate) {
            return .unix(path: candidate)
        }
        throw .noSocket(lookedAt: candidates)
    }
}
