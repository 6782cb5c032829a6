// What one piece of work holds at present, as its user pays for it.

/// Bytes of one holder among what a user's requests hold (`buffered_bytes_per_user_max`); given back when the holder is gone.
///
/// - Thread: one at a time.
final class AccountCharge: @unchecked Sendable {
    private let account: UserAccount
    private var byteCount = 0

    init(_ account: UserAccount) { self.account = account }

    deinit { set(0) }

    /// So many bytes are held from now on, in all.
    func set(_ wanted: Int) {
        account.bufferedBytes.add(wanted - byteCount)
        byteCount = wanted
    }

    /// Whether the user may hold so many bytes here, beside what else is held.
    func mayHold(_ wanted: Int, of byteCountMax: Int) -> Bool {
        account.bufferedBytes.count + wanted - byteCount <= byteCountMax
    }
}
