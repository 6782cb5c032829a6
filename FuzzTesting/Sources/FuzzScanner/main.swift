// Statements with a cursor, as completion reads them before it knows of any name.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ bytes: UnsafeRawPointer?, _ count: Int) -> CInt {
    ScannerChecks.check(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
    return 0
}
