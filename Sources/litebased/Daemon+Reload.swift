// SIGHUP and `litebase reload`: the files are read again; a bad one changes nothing.

internal import Configuration
internal import LinuxSystem
internal import Server
internal import SystemdSupport

extension Daemon {
    /// Reads the configuration again and puts it in force, as far as that is possible without a restart.
    ///
    /// - Parameter answer: told when it is in force on every loop, or why it is not; on the control loop's thread.
    func reload(_ answer: @escaping (ReloadOutcome) -> Void = { _ in }) {
        if stopRequestCount > 0 { return answer(.stopping) }
        ServiceManager.reloading()
        let loaded: Configuration
        do throws(ConfigurationError) {
            loaded = try Configuration.load(options, unknownNames: .tolerated)
        } catch {
            error.write(to: log, .reloadFailed, prefix: Self.failurePrefix)
            return endReload(.refused(problems: error.lines), answer)
        }
        do throws(StartFailure) {
            try Self.makeStateDirectory(loaded)
        } catch {
            log.write(LogRecord(.error, Self.failurePrefix + error.message, id: MessageID.reloadFailed))
            return endReload(.refused(problems: [error.message]), answer)
        }
        let outcome = ReloadOutcome.inForce(
            databaseCount: loaded.databases.count, restartNeeded: settingsThatNeedRestart(loaded),
            problems: loaded.unknownNames.map(\.consequence))
        loaded.reportUnknownNames(to: log)
        adopt(loaded) { [weak self] in self?.endReload(outcome, answer) }
    }

    private static let failurePrefix = "Configuration not reloaded, the old one stays: "

    /// Puts in force what depends on names that were not known when the configuration was read, if they are now.
    func lookNamesUpAgain() {
        guard stopRequestCount == 0, let again = configuration.withNamesLookedUpAgain() else { return scheduleLookUp() }
        log.write(
            LogRecord(
                .notice, "Users or groups that the configuration names are there now: what depends on them is served",
                id: MessageID.namesUnknown))
        again.reportUnknownNames(to: log)
        adopt(again) {}
    }

    private func adopt(_ loaded: Configuration, completion: @escaping () -> Void) {
        configuration = loaded
        log.setLevel(loaded.settings.logLevel)
        observer.setLevel(loaded.settings.logLevel)
        observer.setStatementLog(loaded.settings.statementLog)
        lastBusy = .now
        scheduleIdleExit()
        scheduleLookUp()
        server.reload(Self.possible(loaded, isActivated: isActivated, log), completion: completion)
    }

    /// Ready again. Once the daemon stops, that is what the service manager was told last.
    private func endReload(_ outcome: ReloadOutcome, _ answer: (ReloadOutcome) -> Void) {
        if stopRequestCount == 0 {
            lastStatus = status
            ServiceManager.ready(status: lastStatus)
            // Whoever is answered may look at the service's state.
            ServiceManager.flush()
        }
        answer(outcome)
    }

    /// Settings that differ from those of the start and wait for the next one; says so.
    private func settingsThatNeedRestart(_ loaded: Configuration) -> [String] {
        let changed = Setting.all.filter { setting in
            Self.fixedSettings(isActivated: isActivated).contains(setting.name)
                && setting.literal(in: loaded.settings) != setting.literal(in: settingsAtStart)
        }.map(\.name)
        if changed.isEmpty { return [] }
        let names = changed.joined(separator: ", ")
        log.write(
            LogRecord(
                .warning, "\(names) changed: this takes effect after a restart", fields: [("LITEBASE_SETTINGS", names)],
                id: MessageID.restartNeeded))
        return changed
    }

    // Sockets of systemd's are its own affair.
    private static func fixedSettings(isActivated: Bool) -> [String] {
        ["loops"]
            + (isActivated
                ? ["limits.kept_connections_max"] : ["socket.path", "socket.mode", "socket.group", "socket.port"])
    }
}
