// Descriptors that a client has sent along (SCM_RIGHTS), until a request takes them.

internal import DatabaseContract
internal import LinuxSystem

/// The descriptors of one connection that no request has taken yet, in their order.
///
/// A read brings descriptors together with bytes, the last of which belong to the message with which they were sent. So when
/// all of those bytes have been processed, and no request has declared the descriptors, none will.
///
/// - Thread: its connection's loop.
struct DescriptorInbox {
    /// Who has the file, and where it belongs.
    private struct Entry {
        /// `nil`: its user has too many.
        var file: PassedFile?
        /// The bytes of the stream that had been received with it.
        var end: UInt64
    }

    /// What a request gets.
    enum Taken {
        case files([PassedFile])
        /// One of them was closed, since its user has too many.
        case tooMany
        /// Fewer came than it declares.
        case missing
    }

    private var entries: [Entry] = []
    private var receivedByteCount: UInt64 = 0
    /// Nobody knows any more which descriptor belongs to which request.
    private(set) var isBroken = false
    private let account: UserAccount
    private let workers: WorkerPool

    /// What may wait on one connection.
    private static let countMax = 64

    init(_ account: UserAccount, _ workers: WorkerPool) {
        self.account = account
        self.workers = workers
    }

    // MARK: Arrival

    /// Takes over a descriptor: whoever has the last reference closes it, on a thread that may wait.
    static func adopt(_ number: Int32, _ account: UserAccount, _ workers: WorkerPool) -> PassedFile {
        account.descriptors.add(1)
        let uid = UserAccount.number(of: account.uid)
        return PassedFile(number) { number in
            workers.submit(for: uid) { PassedFiles.close(number, of: uid) { account.descriptors.add(-1) } }
        }
    }

    /// Receives from the socket.
    mutating func receive(
        _ socket: borrowing OwnedDescriptor, into buffer: UnsafeMutableRawBufferPointer
    ) -> IOOutcome {
        var arrived: [PassedFile?] = []
        var areSomeLost = false
        let outcome = Sockets.receive(socket, into: buffer) { [account, workers] numbers, lost in
            areSomeLost = lost
            for number in numbers {
                let isTooMany = account.descriptors.count >= Limits.descriptorCountPerUserMax
                let file = Self.adopt(number, account, workers)
                arrived.append(isTooMany ? nil : file)
            }
        }
        if case .bytes(let count) = outcome { receivedByteCount += UInt64(count) }
        for file in arrived where entries.count < Self.countMax {
            entries.append(Entry(file: file, end: receivedByteCount))
        }
        if areSomeLost || entries.count == Self.countMax { isBroken = true }
        return outcome
    }

    // MARK: Requests

    var count: Int { entries.count }

    /// The first ones, for a request that declares so many.
    mutating func take(_ count: Int) -> Taken {
        guard !isBroken, count <= entries.count else { return .missing }
        let taken = entries.prefix(count).compactMap(\.file)
        entries.removeFirst(count)
        return taken.count == count ? .files(taken) : .tooMany
    }

    /// Closes what belongs to bytes that were processed.
    /// - Parameter rest: received bytes that were not processed yet.
    mutating func closeUndeclared(before rest: Int) {
        guard !entries.isEmpty else { return }
        let processed = receivedByteCount &- UInt64(rest)
        entries.removeFirst(entries.prefix { $0.end <= processed }.count)
    }

    /// Closes all: it is not known what a message has declared.
    mutating func removeAll() { entries.removeAll() }
}
