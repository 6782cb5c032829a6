// What the next process learns about a connection if this process dies.

internal import LinuxSystem

/// The slot of one connection in `RequestWatch`; none if nobody could read it.
///
/// - Thread: its connection's loop.
struct CrashRecord {
    private var slot: WatchSlot?
    /// The database whose name is recorded.
    private var entry: ObjectIdentifier?

    mutating func begin(_ watch: RequestWatch?, number: UInt64, _ peer: PeerCredentials?) {
        slot = watch?.take(number: number, peer: peer)
    }

    mutating func end(_ watch: RequestWatch?) {
        if let slot { watch?.free(slot) }
        slot = nil
    }

    /// A request is being handled.
    func requestDidBegin(_ row: RequestRow) { slot?.begin(row.number) }
    /// It has ended, or is in flight.
    func requestDidEnd() { slot?.end() }
    func setCount(_ count: Int) { slot?.setCount(count) }

    /// The request that is being handled uses that database.
    mutating func name(_ entry: CatalogEntry) {
        guard let slot, self.entry != ObjectIdentifier(entry) else { return }
        self.entry = ObjectIdentifier(entry)
        slot.name(entry.configuration.name)
    }

    /// Entries of the former catalog are invalid.
    mutating func catalogDidChange() { entry = nil }
}
