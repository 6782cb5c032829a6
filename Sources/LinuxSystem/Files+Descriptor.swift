// The status, identity and content of open files.

internal import Glibc

extension Files {
    /// Status of an open file (fstat(2)).
    public static func status(of file: borrowing OwnedDescriptor) throws(Errno) -> FileStatus {
        var info = stat()
        let number = file.number
        _ = try SystemCalls.call(.fstat) { Int(fstat(number, &info)) }
        return FileStatus(info)
    }

    /// Device and inode of an open file (fstat(2)): whether a path still leads to it.
    public static func identity(of file: borrowing OwnedDescriptor) throws(Errno) -> (device: UInt64, inode: UInt64) {
        var info = stat()
        let number = file.number
        _ = try SystemCalls.call(.fstat) { Int(fstat(number, &info)) }
        return (UInt64(info.st_dev), UInt64(info.st_ino))
    }

    /// Bytes that this process may still write on the file system of an open file (statvfs(3)).
    public static func freeByteCount(of file: borrowing OwnedDescriptor) throws(Errno) -> Int64 {
        var info = statvfs()
        let number = file.number
        _ = try SystemCalls.call(.fstat) { Int(fstatvfs(number, &info)) }
        let (byteCount, isTooLarge) = UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_frsize))
        return isTooLarge ? .max : Int64(clamping: byteCount)
    }

    /// Replaces the content of an open file.
    public static func replaceContent(of file: borrowing OwnedDescriptor, with text: String) throws(Errno) {
        let number = file.number
        let bytes = Array(text.utf8)
        _ = try SystemCalls.call(.write) { Int(ftruncate(number, 0)) }
        _ = try SystemCalls.call(.write) {
            bytes.withUnsafeBytes { pwrite(number, $0.baseAddress, $0.count, 0) }
        }
    }
}
