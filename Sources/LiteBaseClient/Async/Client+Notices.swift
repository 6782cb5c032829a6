// The client's name, and the server's notices.

internal import Synchronization

extension Client {
    /// How many notices wait for a program that does not take them; older ones are dropped.
    public static let noticeCountMax = 100

    /// Sends the program's name to the server, by which administrators find its sessions.
    /// - Throws: `ClientError.invalidRequest` for a name that is longer than any request, `.disconnected`.
    public func introduce(as name: String) throws(ClientError) {
        try connection.introduce { $0.introduction.name = name }
    }

    /// Asks the server for its notices.
    ///
    /// Those of a statement are in the stream before its result ends. The stream ends with the connection, or when it
    /// is requested again: there is only one. The newest `noticeCountMax` notices wait to be taken.
    /// - Throws: `ClientError.disconnected`.
    public func notices() throws(ClientError) -> AsyncStream<Notice> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Notice.self, bufferingPolicy: .bufferingNewest(Self.noticeCountMax))
        var former: AsyncStream<Notice>.Continuation?
        try connection.introduce { state in
            former = state.notices
            state.notices = continuation
            state.introduction.wantsNotices = true
        }
        former?.finish()
        return stream
    }
}

extension Connection {
    /// Changes the client's introduction and sends it. One that cannot be sent changes nothing.
    func introduce(_ change: (inout State) -> Void) throws(ClientError) {
        let error = state.withLock { state -> ClientError? in
            if let failure = state.failure { return failure }
            let (introduction, notices) = (state.introduction, state.notices)
            change(&state)
            let id = state.router.makeID()
            do throws(ClientError) {
                try Request.hello(state.introduction).encode(id: id, into: &state.output.buffer)
                return nil
            } catch {
                state.router.forget(id)
                state.introduction = introduction
                state.notices = notices
                return error
            }
        }
        if let error { throw error }
        flush()
    }
}
