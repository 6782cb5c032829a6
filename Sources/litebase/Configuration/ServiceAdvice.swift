// What a database needs besides the configuration: settings that only the service's unit can have.

internal import LinuxSystem

/// What remains to be done so that the system's service can reach a database.
struct ServiceAdvice {
    static let restart = "systemctl daemon-reload; systemctl restart litebase.service"

    /// For people.
    private(set) var lines: [String] = []
    /// Whether the service needs a drop-in, which a reload does not put in force.
    private(set) var needsRestart = false

    /// - Parameters:
    ///   - name: the database's.
    ///   - url: its URL.
    ///   - credential: the credential with its password, if it has one.
    ///   - place: the configuration.
    ///   - sandbox: what the service can reach.
    init(
        _ name: String, _ url: String, credential: String?, _ place: ConfigurationPlace,
        sandbox: ServiceSandbox = .current
    ) {
        guard place.isSystem else { return }
        let dropIn = "/etc/systemd/system/litebase.service.d/\(name).conf"
        if url.hasPrefix("sqlite:") {
            addFile(url, dropIn, sandbox)
        } else {
            addServer(dropIn, credential, place, sandbox)
        }
    }

    /// The file of a URL of SQLite; `nil` for one that is not named from the root on.
    static func file(ofURL url: String) -> String? {
        guard url.hasPrefix("sqlite:") else { return nil }
        let parts = url.dropFirst("sqlite:".count).split(separator: "?", maxSplits: 1)
        guard let path = parts.first.map({ decoded($0) }), path.hasPrefix("/") else { return nil }
        return path
    }

    private mutating func addFile(_ url: String, _ dropIn: String, _ sandbox: ServiceSandbox) {
        guard let path = Self.file(ofURL: url) else { return }
        let parts = url.split(separator: "?", maxSplits: 1)
        let isWritten = parts.count == 1 || !parts[1].split(separator: "&").contains("mode=ro")
        let directory = ConfigurationPlace.directory(of: path)
        if let setting = sandbox.missing(file: path, isWritten: isWritten) {
            needsRestart = true
            lines.append(
                "The sandbox of litebase.service has no \(directory)\(isWritten ? " to write to" : ""). "
                    + "This drop-in gives it, \(dropIn):")
            lines += ["  [Service]", "  \(setting)"]
        }
        // systemd makes that one, with its owner.
        if directory == ServiceSandbox.stateDirectory { return }
        if (try? Files.status(directory)) ?? nil == nil {
            lines.append("The directory must be there: install -d -o litebase -g litebase -m 0750 \(directory)")
        } else if isWritten, Self.isOutOfReach(directory, path) {
            lines.append(
                "User litebase may not write to \(directory) and to the file, as SQLite must: make it the owner, "
                    + "or take another directory.")
        }
    }

    /// Whether the service's user is known not to be able to write a file and beside it. Asked as that user, since groups and
    /// access lists (acl(5)) count; that the question cannot be asked is another status than 0.
    private static func isOutOfReach(_ directory: String, _ file: String) -> Bool {
        let asked = try? ChildProcess.run(
            "setpriv",
            [
                "--reuid=litebase", "--regid=litebase", "--init-groups", "--",
                "test", "!", "-w", directory, "-o", "!", "-x", directory, "-o", "-e", file, "-a", "!", "-w", file,
            ])
        return asked?.status == 0
    }

    private mutating func addServer(
        _ dropIn: String, _ credential: String?, _ place: ConfigurationPlace, _ sandbox: ServiceSandbox
    ) {
        if !sandbox.hasNetwork {
            needsRestart = true
            lines += [
                "The sandbox of litebase.service reaches servers with the drop-in remote-databases.conf:",
                "  install -D -m 0644 -t /etc/systemd/system/litebase.service.d "
                    + "/usr/share/doc/litebase/examples/systemd/remote-databases.conf",
            ]
        }
        guard let credential else { return }
        needsRestart = true
        let secret = place.credentialsDirectory + "/" + credential
        lines += [
            "The service gets the password by this drop-in, \(dropIn):",
            "  [Service]", "  LoadCredential=\(credential):\(secret)",
            "or, encrypted with a key of this machine, by these, after which \(secret) can be removed:",
            "  systemd-creds encrypt --name=\(credential) \(secret) \(secret).encrypted", "  [Service]",
            "  LoadCredentialEncrypted=\(credential):\(secret).encrypted",
        ]
    }

    /// The path of a URL (RFC 3986, section 2.1).
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
