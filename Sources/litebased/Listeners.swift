// Which sockets are served: systemd's, or our own.

internal import Configuration
internal import LinuxSystem
internal import Server
internal import SystemdSupport

/// A listening socket with what the server wants to know about it. A class, since arrays copy.
final class Listener {
    let address: String
    let isInherited: Bool
    private var descriptor: OwnedDescriptor?

    init(_ descriptor: consuming OwnedDescriptor, address: String, isInherited: Bool) {
        self.descriptor = consume descriptor
        self.address = address
        self.isInherited = isInherited
    }

    /// The descriptor, once.
    func take() -> OwnedDescriptor {
        guard let descriptor = descriptor.take() else { preconditionFailure("taken twice") }
        return descriptor
    }
}

/// What systemd has handed over, before anybody knows what it is for.
struct PassedSockets {
    let sockets: [InheritedSocket]
    let kept: [NamedDescriptor]
    let ignored: [String]
    /// Why they cannot be served.
    let problem: InheritedSocketError?

    /// - Parameter failures: takes what is its own, whatever is wrong with the rest.
    /// - Thread: before any other was started.
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
    /// Our own socket file, to be removed at the end.
    private var ownSocket: StandaloneSocket?

    /// True when systemd holds all the sockets: then leaving loses no connection.
    var isActivated: Bool { all.allSatisfy(\.isInherited) }

    /// Takes systemd's sockets, or binds our own.
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
            all = inherited.map { Listener($0.take(), address: $0.address, isInherited: true) }
            Self.warnAboutUnused(configuration, log)
        }
    }

    /// Removes our own socket file; systemd's are never touched.
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
        let settings = configuration.settings
        let unused = [
            settings.socketPath == nil ? nil : "socket.path", settings.port == nil ? nil : "socket.port",
            settings.socketGroup == nil ? nil : "socket.group",
        ].compactMap { $0 }
        if !unused.isEmpty {
            let names = unused.joined(separator: ", ")
            log.write(
                LogRecord(
                    .warning, "\(names) not used: the sockets come from systemd (litebase.socket)",
                    fields: [("LITEBASE_SETTINGS", names)], id: MessageID.settingsUnused))
        }
    }
}
