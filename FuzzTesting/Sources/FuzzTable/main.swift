// What servers tell of a Redis Cluster and of their commands.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafeRawPointer?, _ count: Int) -> CInt {
    TableChecks.check(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
    return 0
}
