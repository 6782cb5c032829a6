// What the system's service can reach: systemd shows it a few directories, and no network without a drop-in.

/// The sandbox of litebase.service, as systemd has it now.
struct ServiceSandbox {
    /// `StateDirectory=` of the unit.
    static let stateDirectory = "/var/lib/litebase"

    /// Whether the service has a root directory of its own, which contains only bound directories.
    var hasOwnRoot = true
    var hasNetwork = false
    /// Directories that it sees, and whether it may write there.
    var places: [(path: String, isWritable: Bool)] = [(stateDirectory, true), ("/etc", false), ("/usr", false)]

    /// That of the shipped unit, where there is no systemd to be asked.
    static let shipped = ServiceSandbox()

    /// That of this machine.
    static var current: ServiceSandbox {
        let names = "LoadState,RootDirectory,BindPaths,BindReadOnlyPaths,PrivateNetwork"
        guard let shown = try? ChildProcess.run("systemctl", ["show", "litebase.service", "--property=\(names)"]),
            shown.status == 0, shown.output.contains("LoadState=loaded")
        else { return .shipped }
        return ServiceSandbox(properties: shown.output)
    }

    init() {}

    /// - Parameter properties: lines of `systemctl show`.
    init(properties: String) {
        hasOwnRoot = false
        places = [(Self.stateDirectory, true)]
        for line in properties.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            switch parts[0] {
            case "RootDirectory": hasOwnRoot = true
            case "PrivateNetwork": hasNetwork = parts[1] == "no"
            case "BindPaths": add(parts[1], isWritable: true)
            case "BindReadOnlyPaths": add(parts[1], isWritable: false)
            default: break
            }
        }
    }

    // "-" for what may be missing, then source, destination and options, with colons between them. Paths may have blanks.
    private mutating func add(_ list: String, isWritable: Bool) {
        var item = ""
        for word in list.split(separator: " ", omittingEmptySubsequences: false) {
            item += item.isEmpty ? String(word) : " \(word)"
            let parts = item.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count > 2 else { continue }
            places.append((String(parts[1]), isWritable))
            item = ""
        }
    }

    /// What the service lacks for a file: with "-", since a directory that is gone must not keep the other databases away.
    ///
    /// - Parameters:
    ///   - path: absolute path of the file.
    ///   - isWritten: whether it writes there.
    /// - Returns: lines of a drop-in; `nil` if nothing is missing, or if that cannot be determined.
    func missing(file path: String, isWritten: Bool) -> String? {
        guard hasOwnRoot else { return nil }
        let directory = ConfigurationPlace.directory(of: path)
        // Of two directories, one in the other, the inner one counts.
        let place = places.filter { directory == $0.path || directory.hasPrefix($0.path == "/" ? "/" : $0.path + "/") }
            .max { $0.path.utf8.count < $1.path.utf8.count }
        if let place, place.isWritable || !isWritten { return nil }
        let quote = directory.contains(" ") ? "\"" : ""
        return "\(isWritten ? "BindPaths" : "BindReadOnlyPaths")=\(quote)-\(directory)\(quote)"
    }
}
