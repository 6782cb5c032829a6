// SIGHUP and `litebase reload`: the files are read again; an invalid one changes nothing.

internal import Configuration
internal import LinuxSystem
internal import Server
internal import SystemdSupport

extension Daemon {
    /// Reads the configuration again and applies it, as far as that is possible without a restart.
    ///
    /// - Parameter answer: called when every loop uses it, or with the reason why not; on the control loop's thread.
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

    /// Applies settings that depend on names that were unknown when the configuration was read, if they are known now.
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

    /// Ready again. While the daemon stops, the service manager was told that last, and is not told otherwise.
    private func endReload(_ outcome: ReloadOutcome, _ answer: (ReloadOutcome) -> Void) {
        if stopRequestCount == 0 {
            lastStatus = status
            ServiceManager.ready(status: lastStatus)
            // A client that gets the answer may query the service's state.
            ServiceManager.flush()
        }
        answer(outcome)
    }

    /// Settings that differ from those of the start and need a restart; logs them.
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

    // Sockets of systemd are configured in its units.
    private static func fixedSettings(isActivated: Bool) -> [String] {
        ["loops"]
            + (isActivated
                ? ["limits.kept_connections_max"] : ["socket.path", "socket.mode", "socket.group", "socket.port"])
    }
}
