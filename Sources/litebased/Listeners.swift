// The sockets that are served: systemd's, or the daemon's own.

internal import Configuration
internal import LinuxSystem
internal import Server
internal import SystemdSupport

/// A listening socket with its properties for the server. A class, since arrays copy.
final class Listener {
    let address: String
    let isInherited: Bool
    /// Whether its clients may only watch the daemon.
    let isForMonitors: Bool
    private var descriptor: OwnedDescriptor?

    init(
        _ descriptor: consuming OwnedDescriptor, address: String, isInherited: Bool, isForMonitors: Bool = false
    ) {
        self.descriptor = consume descriptor
        self.address = address
        self.isInherited = isInherited
        self.isForMonitors = isForMonitors
    }

    /// The descriptor, once.
    func take() -> OwnedDescriptor {
        guard let descriptor = descriptor.take() else { preconditionFailure("taken twice") }
        return descriptor
    }
}

/// The descriptors that systemd has passed, before their purpose is known.
struct PassedSockets {
    let sockets: [InheritedSocket]
    let kept: [NamedDescriptor]
    let ignored: [String]
    /// Why they cannot be served.
    let problem: InheritedSocketError?

    /// - Parameter failures: takes its own memory, even if something is wrong with the rest.
    /// - Thread: before any other thread was started.
    init(_ failures: StartFailures) {
        do throws(InheritedSocketError) {
            (sockets, kept, ignored) = try InheritedSocket.takeAll(isKept: Server.isKept, takeAside: failures.take)
            problem = nil
        } catch {
            (sockets, kept, ignored) = ([], [], [])
            problem = error
        }
    }
}

/// The sockets of this process.
struct Listeners: ~Copyable {
    private(set) var all: [Listener] = []
    /// What a former process left in systemd's descriptor store.
    private(set) var kept: [NamedDescriptor] = []
    /// The daemon's own socket file, which is removed at the end.
    private var ownSocket: StandaloneSocket?

    /// True if systemd holds all the sockets: then no connection is lost by exiting.
    var isActivated: Bool { all.allSatisfy(\.isInherited) }

    /// Takes systemd's sockets, or binds one.
    init(_ configuration: Configuration, _ passed: PassedSockets, _ log: Log) throws(StartFailure) {
        if let problem = passed.problem { throw StartFailure(ExitStatus.configuration, problem.message) }
        let inherited = passed.sockets
        kept = passed.kept
        if !passed.ignored.isEmpty {
            log.write(
                LogRecord(
                    .warning, "\(passed.ignored.count) descriptors that another version has kept were closed",
                    id: MessageID.descriptorsRefused))
        }
        switch configuration.listen {
        case .systemd where inherited.isEmpty:
            throw StartFailure(
                ExitStatus.configuration,
                "--listen=systemd, but systemd passed no sockets; start litebase.socket, or use --listen=standalone")
        case .standalone where !inherited.isEmpty:
            throw StartFailure(
                ExitStatus.configuration,
                "--listen=standalone, but systemd passed \(inherited.count) sockets; use --listen=systemd")
        case .auto, .systemd, .standalone: break
        }
        if inherited.isEmpty {
            try bindOwn(configuration)
        } else {
            all = inherited.map {
                Listener($0.take(), address: $0.address, isInherited: true, isForMonitors: $0.isForMonitors)
            }
            Self.warnAboutUnused(configuration, log)
        }
    }

    /// Removes the daemon's own socket file; systemd's are never changed.
    mutating func remove() { ownSocket.take()?.remove() }

    private mutating func bindOwn(_ configuration: Configuration) throws(StartFailure) {
        let settings = configuration.settings
        let group = try Self.group(settings.socketGroup)
        guard let path = configuration.socketPath else {
            throw StartFailure(
                ExitStatus.configuration,
                "there is no directory for the socket: XDG_RUNTIME_DIR leads nowhere, and the user has no home; give a "
                    + "--socket")
        }
        var listener: OwnedDescriptor?
        ownSocket = try StandaloneSocket.make(
            path: path, mode: settings.socketMode, group: group, locks: StandardPaths.current.lockDirectory,
            into: &listener)
        guard let socket = listener.take() else { return }
        all.append(Listener(socket, address: "unix:\(path)", isInherited: false))
        guard let port = settings.port else { return }
        do throws(StartFailure) {
            all.append(try Self.bindLoopback(port))
        } catch {
            remove()
            throw error
        }
    }

    private static func bindLoopback(_ port: UInt16) throws(StartFailure) -> Listener {
        do throws(Errno) {
            let socket = try Sockets.bindLoopback(port: port)
            try Sockets.listen(socket)
            let chosen = Sockets.localPort(socket.number)
            return Listener(socket, address: "tcp:127.0.0.1:\(chosen)", isInherited: false)
        } catch {
            throw StartFailure(
                error == .addressInUse ? ExitStatus.unavailable : ExitStatus.of(error, or: ExitStatus.systemError),
                "port \(port) of 127.0.0.1 cannot be had: \(error); choose another --port", error)
        }
    }

    private static func group(_ name: String?) throws(StartFailure) -> UInt32? {
        guard let name else { return nil }
        guard let number = Process.groupID(name) else {
            throw StartFailure(
                ExitStatus.configuration, "there is no group \"\(name)\"; create it, or choose another --socket-group")
        }
        return number
    }

    private static func warnAboutUnused(_ configuration: Configuration, _ log: Log) {
        let unused = Setting.all.map(\.name).filter {
            $0.hasPrefix("socket.") && configuration.givenSettings.contains($0)
        }
        if !unused.isEmpty {
            let names = unused.joined(separator: ", ")
            log.write(
                LogRecord(
                    .warning, "\(names) not used: the sockets come from systemd (litebase.socket)",
                    fields: [("LITEBASE_SETTINGS", names)], id: MessageID.settingsUnused))
        }
    }
}
