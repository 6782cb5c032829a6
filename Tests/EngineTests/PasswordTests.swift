import Glibc
import LinuxSystem
import Testing

@testable import DatabaseContract
@testable import DatabaseEngines

/// Files with passwords, and URLs that have one.
@Suite struct PasswordTests {
    private final class PasswordDirectory {
        let path: String

        init() {
            var template = Array("/tmp/litebase-test-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { preconditionFailure("mkdtemp: \(Errno.current)") }
            path = String(cString: made)
        }

        deinit {
            for name in (try? Files.names(in: path)) ?? [] { unlink("\(path)/\(name)") }
            rmdir(path)
        }

        func write(_ text: [UInt8], mode: UInt32 = 0o600) throws -> String {
            let file = try Files.open(path + "/password", flags: O_WRONLY | O_CREAT | O_TRUNC)
            try text.withUnsafeBytes { try Files.writeAll(file, $0) }
            try Files.setMode(path + "/password", mode)
            return path + "/password"
        }
    }

    private static func failure(_ file: PasswordFile) -> DriverError.Details? {
        do throws(DriverError) {
            _ = try file.read()
            return nil
        } catch {
            return error.details
        }
    }

    @Test(arguments: [
        ("s3cret", "s3cret"), ("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" a b \n", " a b "), ("ü", "ü"),
    ])
    func aLineEndDoesNotCount(content: String, password: String) throws {
        let directory = PasswordDirectory()
        #expect(try PasswordFile(path: directory.write(Array(content.utf8))).read() == password)
    }

    @Test func contentsThatAreNoPasswordAreNotShown() throws {
        let directory = PasswordDirectory()
        for (bytes, reason) in [
            ([], "is empty"), ([0x0a], "is empty"), (Array("Xq7\nXq7".utf8), "more than one line"),
            (Array("Xq7".utf8) + [0], "more than one line"), (Array("Xq7".utf8) + [0xff], "is not UTF-8"),
            ([UInt8](repeating: 0x58, count: 5000), "longer than 4096 bytes"),
        ] {
            let details = try #require(Self.failure(PasswordFile(path: directory.write(bytes))))
            #expect(details.code == .connectFailed && details.detail?.contains(reason) == true)
            #expect(!"\(details)".contains("Xq7") && !"\(details)".contains("XXXX"))
        }
    }

    @Test func filesThatOthersCanReadAreRefused() throws {
        let directory = PasswordDirectory()
        // Root's may be read by a group.
        let good: [UInt32] = geteuid() == 0 ? [0o600, 0o400, 0o640] : [0o600, 0o400]
        for mode in good { #expect(Self.failure(PasswordFile(path: try directory.write([0x58], mode: mode))) == nil) }
        for mode: UInt32 in [0o644, 0o660, 0o604, 0o602] {
            let details = Self.failure(PasswordFile(path: try directory.write([0x58], mode: mode)))
            #expect(details?.detail?.contains("is open to others") == true && details?.hint?.contains("chmod") == true)
        }
    }

    @Test func whatIsNoFileIsRefusedWithoutWaiting() throws {
        let directory = PasswordDirectory()
        mkfifo(directory.path + "/password", 0o600)
        #expect(Self.failure(PasswordFile(path: directory.path + "/password"))?.detail?.contains("regular") == true)
        #expect(Self.failure(PasswordFile(path: directory.path))?.detail?.contains("regular") == true)
        #expect(Self.failure(PasswordFile(path: "/nonexistent/password"))?.detail?.contains("No such file") == true)
    }

    @Test func aMissingCredentialSaysWhatToAdd() throws {
        let directory = PasswordDirectory()
        for place in [nil, directory.path] {
            let file = PasswordFile(credential: "password", directory: place)
            #expect(file.missingCredential?.contains("LoadCredential=password:") == true)
            #expect(Self.failure(file)?.hint?.contains("LoadCredential=password:") == true)
        }
        _ = try directory.write([0x58], mode: 0o444)
        let file = PasswordFile(credential: "password", directory: directory.path)
        #expect(file.missingCredential == nil)
        #expect(try file.read() == "X", "the service manager decides who may read it")
    }

    @Test(arguments: [
        ("postgresql://u:p@h/d", true), ("postgresql://u@h/d", false), ("postgresql://u:@h/d", false),
        ("postgresql://h:5432/d", false), ("postgresql://h/d?password=p", true),
        ("postgresql://h/d?a=1&PassWord=p", true),
        ("postgresql://h/d?pass%77ord=p", true), ("postgresql://h/d?password=p&application_name=a@b", true),
        ("postgresql://h/d?password=&application_name=a", false),
        // Of others than the server: the server's own may be in a file beside it.
        ("redis+sentinel://h/n?sentinel_password=p", false), ("redis+sentinel://:p@h/n?sentinel_password=q", true),
        ("redis+cluster://u:p@a,b", true), ("redis+cluster://u@a,b", false),
        ("postgresql://h/d?sslpassword=p", false), ("postgresql://u:p@ss@h/d", true), ("sqlite:/a:b@c", false),
    ])
    func urlsWithPasswords(url: String, hasOne: Bool) { #expect(EngineRegistry.all.hasPassword(url) == hasOne) }

    @Test(arguments: [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"), ("postgresql://u@h:1/d", "postgresql://u@h:1/d"),
        (
            "redis+sentinel://h/n?sentinel_user=u&sentinel_password=p",
            "redis+sentinel://h/n?sentinel_user=u&sentinel_password=***"
        ),
        ("redis+cluster://u:p@a,b:1", "redis+cluster://u:***@a,b:1"),
        ("postgresql:u:p@h/d", "postgresql:u:***@h/d"), ("postgresql:u@h:1/d", "postgresql:u@h:1/d"),
        ("u:p@h/d?://", "u:***@h/d?://"), ("postgresql://u:\u{301}p@\u{301}h", "postgresql://u:***@\u{301}h"),
        ("postgresql://h?\u{301}password=\u{301}p", "postgresql://h?\u{301}password=***"),
        ("x://u:p/@:@h?a=1&password=p", "x://u:***@h?a=1&password=***"),
        ("postgresql://h/d?password=p&application_name=a@b", "postgresql://h/d?password=***&application_name=a@b"),
        ("postgresql://h/d?password=p@q", "postgresql://h/d?password=***"),
        ("postgresql://u@h/d?password=p&user=a@b", "postgresql://u@h/d?password=***&user=a@b"),
        ("postgresql://h/d?pass%77ord=p", "postgresql://h/d?pass%77ord=***"),
        ("postgresql://h/d?%50ASSWORD=p&sslmode=require", "postgresql://h/d?%50ASSWORD=***&sslmode=require"),
        ("postgresql://h/d?sslpass%77ord=p&passfile=/f", "postgresql://h/d?sslpass%77ord=***&passfile=/f"),
        ("postgresql://u:p?password=q@h/d?password=r", "postgresql://u:***?password=***"),
        ("postgresql://h:1/d?password=p@q&a=b", "postgresql://h:***&a=b"),
        ("sqlite:/a:b@c?password=1", "sqlite:/a:b@c?password=1"), ("d=postgresql://u:p@h", "d=postgresql://u:***@h"),
    ])
    func urlsAreShownWithoutPasswords(url: String, shown: String) {
        #expect(EngineRegistry.all.withoutSecrets(url) == shown)
    }

    @Test func secretsAreHiddenInAllTextsOfAnError() {
        let error = DriverError(
            DriverError.Details(code: .connectFailed, message: "a Xq7.", detail: "Xq7 Xq7 b", hint: "c Yz8 Xq7"))
        let details = error.hiding(["Xq7", "Yz8", ""]).details
        #expect((details.message, details.detail, details.hint) == ("a ***.", "*** *** b", "c *** ***"))
    }
}
