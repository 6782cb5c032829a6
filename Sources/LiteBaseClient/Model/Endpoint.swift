// Where the daemon listens, and how it is found when nobody says.

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
    /// The daemon's usual socket: the path given, else `$LITEBASE_SOCKET`, else the first of
    /// `$XDG_RUNTIME_DIR/litebase/litebase.sock`, `$XDG_STATE_HOME/litebase/litebase.sock` (`~/.local/state` where that is not
    /// set), `/run/litebase/litebase.sock` that exists. None in a directory where everybody may put one, such as `/tmp`: that
    /// has to be named.
    ///
    /// A path that was named by argument or environment is taken at its word, so that a mistake in it shows.
    /// - Throws: `ClientError.noSocket` with all the places looked at.
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
