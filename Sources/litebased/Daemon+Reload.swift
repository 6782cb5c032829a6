// SIGHUP: the files are read again; a bad one changes nothing.

internal import Configuration
internal import LinuxSystem
internal import Server
internal import SystemdSupport

extension Daemon {
    /// Reads the configuration again and puts it in force, as far as that is possible without a restart.
    func reload() {
        ServiceManager.reloading()
        defer {
            lastStatus = status
            ServiceManager.ready(status: lastStatus)
        }
        let loaded: Configuration
        do throws(ConfigurationError) {
            loaded = try Configuration.load(options)
        } catch {
            for problem in error.problems {
                observer.observe(.reloadFailed(reason: problem.description))
            }
            return
        }
        do throws(StartFailure) {
            try Self.makeStateDirectory(loaded)
        } catch {
            observer.observe(.reloadFailed(reason: error.message))
            return
        }
        warnAboutRestart(loaded)
        configuration = loaded
        log.setLevel(loaded.settings.logLevel)
        observer.setLevel(loaded.settings.logLevel)
        lastBusy = .now
        server.reload(
            loaded.serverConfiguration(version: Product.version, activation: isActivated ? .socket : .standalone))
    }

    private func warnAboutRestart(_ loaded: Configuration) {
        let changed = Setting.all.filter { setting in
            Self.fixedSettings.contains(setting.name)
                && setting.literal(in: loaded.settings) != setting.literal(in: configuration.settings)
        }
        if changed.isEmpty { return }
        let names = changed.map(\.name).joined(separator: ", ")
        log.warning("\(names) changed: this takes effect after a restart")
    }

    private static let fixedSettings = [
        "socket.path", "socket.mode", "socket.group", "socket.port", "loops",
        "limits.kept_connections_max",
    ]
}
