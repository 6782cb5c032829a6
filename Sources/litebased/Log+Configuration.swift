// How errors of the configuration are reported.

internal import Configuration
internal import LinuxSystem
internal import Server

extension ConfigurationError {
    /// The most problems that are listed; a file of garbage has thousands.
    static let listedCountMax = 100

    /// The lines for people, as many as are useful.
    var lines: [String] {
        let rest = problems.count - Self.listedCountMax
        return problems.prefix(Self.listedCountMax).map(\.description) + (rest > 0 ? ["and \(rest) more"] : [])
    }

    /// Writes a record for each problem.
    ///
    /// - Parameters:
    ///   - log: the log.
    ///   - id: `configurationInvalid` at the start, `reloadFailed` later.
    ///   - prefix: in front of each line.
    func write(to log: Log, _ id: MessageID, prefix: String = "") {
        for (index, line) in lines.enumerated() {
            let fields = index < Self.listedCountMax ? problems[index].fields : []
            log.write(LogRecord(.error, prefix + line, fields: fields, id: id))
        }
    }
}

extension Configuration {
    /// Logs what is not served because lists contain unknown names.
    func reportUnknownNames(to log: Log) {
        for unknown in unknownNames.prefix(ConfigurationError.listedCountMax) {
            let database = unknown.database.map { [("LITEBASE_DATABASE", $0)] } ?? []
            log.write(
                LogRecord(
                    .error, unknown.consequence, fields: database + unknown.problem.fields, id: MessageID.namesUnknown))
        }
    }
}

extension ConfigurationProblem {
    fileprivate var fields: [(name: String, value: String)] {
        guard let file else { return [] }
        return [("LITEBASE_CONFIG_FILE", file)] + (line > 0 ? [("LITEBASE_CONFIG_LINE", "\(line)")] : [])
    }
}
