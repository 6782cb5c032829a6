// COPY FROM STDIN of PostgreSQL, whose data this process writes.

internal import Glibc
internal import LinuxSystem
internal import WireProtocol

/// A COPY that is under way in a session: its data are written by `write`, then `finish` or `abandon` ends it.
///
/// Until then its client can be used for nothing else.
/// - Thread: its client's.
public final class BlockingCopyInput {
    private let client: BlockingClient
    private let id: Int64
    private var pipe: PipeWriter?
    /// Lines that were not sent yet: a write for each would take long.
    private var held: [UInt8] = []
    /// Nobody takes the data any more, or nobody wants to wait for that.
    private var isGivenUp = false
    private var isOver = false

    private static let heldByteCountMax = 64 << 10
    /// What the data end with: without it, the daemon does not take them for complete.
    private static let end = Array("\\.\n".utf8)

    fileprivate init(_ client: BlockingClient, _ id: Int64, _ writer: Int32) {
        self.client = client
        self.id = id
        pipe = PipeWriter(writer)
    }

    /// Leaves it: it has no effect then.
    deinit {
        guard !isOver else { return }
        pipe = nil
        client.abandon(id)
    }

    /// Sends data as they stand in a script: whole lines by the end, without the line `\.`.
    /// - Returns: false if no more are wanted, since the statement has failed or is to be cancelled: `finish` says why.
    /// - Throws: `ClientError.invalidRequest` if they cannot be sent.
    @discardableResult
    public func write(_ bytes: [UInt8]) throws(ClientError) -> Bool {
        if isGivenUp { return false }
        held += bytes
        return held.count < Self.heldByteCountMax ? true : try flush()
    }

    private func flush() throws(ClientError) -> Bool {
        let client = client
        let result: Result<Bool, Errno> = held.withUnsafeBytes { bytes in
            do throws(Errno) {
                return .success(try pipe?.write(bytes) { !client.isCancelled } ?? false)
            } catch {
                return .failure(error)
            }
        }
        held.removeAll(keepingCapacity: true)
        do throws(Errno) {
            isGivenUp = try !result.get()
        } catch {
            isGivenUp = true
            throw .invalidRequest("the data of COPY cannot be sent: \(error)")
        }
        return !isGivenUp
    }

    /// Says that the data are complete, and waits for the end of the statement.
    /// - Returns: what was done; `rowsAffected` is the number of rows.
    /// - Throws: `ClientError`; then no row of it is in the table.
    public func finish() throws(ClientError) -> StatementSummary {
        if try write(Self.end), try flush() { pipe = nil }
        return try wait()
    }

    /// Ends it without an effect.
    public func abandon() {
        pipe = nil
        _ = try? wait()
    }

    private func wait() throws(ClientError) -> StatementSummary {
        isOver = true
        // What is given up has no end, and is open until it is answered: it is not to be taken for one that was cut off.
        defer { pipe = nil }
        while true {
            switch try client.next(id, until: nil) {
            case .rows, .resultEnd, .progress, .change: break
            case .finished(let reply): return StatementSummary(ImportReply(reply.data))
            case .failed(let error): throw error
            }
        }
    }
}

extension BlockingSession {
    /// Begins a `COPY … FROM STDIN` of PostgreSQL, in whatever format its text says.
    /// - Throws: `ClientError` if it cannot be sent; what the server says of it, `finish` throws.
    public func copyInput(_ sql: String) throws(ClientError) -> BlockingCopyInput {
        let (client, target) = (self.client, try self.target())
        try client.offerDescriptors()
        let ends: (reader: Int32, writer: Int32)
        do throws(Errno) {
            ends = try PipeCopy.makePipe()
        } catch {
            throw .invalidRequest("no pipe can be made: \(error)")
        }
        do throws(ClientError) {
            let id = try client.started(.copy(sql: sql, target), OwnedDescriptor(ends.reader))
            return BlockingCopyInput(client, id, ends.writer)
        } catch {
            _ = Glibc.close(ends.writer)
            throw error
        }
    }
}
