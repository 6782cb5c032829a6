//! The conversation with the daemon: requests, their replies, and how they are stopped.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::io::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::codec::{self, Data};
use crate::input::{data_of, Envelope, Id, Input};
use crate::page::{Head, PageData};
use crate::shared::{CancelHandle, Patient, Shared};
use crate::{Error, TransactionState};

mod piped;

pub(crate) use piped::Piped;

/// What is called with notices; see [`Options::on_notice`](crate::Options::on_notice).
pub(crate) type OnNotice = Arc<dyn Fn(&Data) + Send + Sync>;

/// How many messages may come before a reply that are none of it: notices, and replies to cancellations.
const STRAY_MESSAGES_MAX: usize = 1_000_000;

/// Requests whose fate is known when the connection is lost.
const WITHOUT_EFFECT: [&str; 12] = [
    "hello",
    "health_check",
    "list_databases",
    "db_connect",
    "describe",
    "catalog",
    "complete",
    "backup",
    "activity",
    "stats",
    "cancel",
    "subscribe",
];

/// A request whose replies nobody takes any more.
struct Pending {
    id: i64,
    stopped: Option<Instant>,
    /// How many rows a page has, where each has to be asked for.
    page_rows: Option<usize>,
    /// Where it fails, the transaction is still there, and nobody would expect one.
    is_rollback: bool,
}

/// The fields of a request's data.
pub(crate) struct Fields<'a> {
    pub(crate) to: &'a mut Vec<u8>,
    count: usize,
}

impl Fields<'_> {
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        codec::put_text(self.field(key), value);
    }

    pub(crate) fn integer(&mut self, key: &str, value: u64) {
        codec::put_unsigned(self.field(key), value);
    }

    pub(crate) fn boolean(&mut self, key: &str, value: bool) {
        codec::put_boolean(self.field(key), value);
    }

    /// Where the value of a field is to be put.
    pub(crate) fn field(&mut self, key: &str) -> &mut Vec<u8> {
        self.added(1);
        codec::put_text(self.to, key);
        self.to
    }

    /// So many fields were put.
    pub(crate) fn added(&mut self, count: usize) {
        self.count += count;
    }
}

/// Frames, ids and replies of one connection.
pub(crate) struct Link {
    shared: Arc<Shared>,
    pub(crate) input: Input,
    output: Vec<u8>,
    frame_bytes_max: usize,
    last_id: i64,
    /// What the session's transaction is, by the last reply.
    pub(crate) transaction: TransactionState,
    /// Why the connection is of no use any more.
    failure: Option<Error>,
    pending: VecDeque<Pending>,
    on_notice: Option<OnNotice>,
    /// For the replies of the next requests; [`Options::timeout`](crate::Options::timeout).
    pub(crate) timeout: Option<Duration>,
    /// For the replies that open the session; [`Options::connect_timeout`](crate::Options::connect_timeout).
    pub(crate) connect_timeout: Option<Duration>,
    patience: Duration,
    /// The pipe out of which the daemon reads an import. Its end is that of the file, so that it must not come by mistake.
    fed: Option<File>,
}

impl Link {
    pub(crate) fn new(socket: UnixStream, patience: Duration, on_notice: Option<OnNotice>) -> io::Result<Link> {
        Ok(Link {
            shared: Arc::new(Shared::new(socket, patience)?),
            input: Input::default(),
            output: Vec::new(),
            frame_bytes_max: 16 << 20,
            last_id: 0,
            transaction: TransactionState::None,
            failure: None,
            pending: VecDeque::new(),
            on_notice,
            timeout: None,
            connect_timeout: None,
            patience,
            fed: None,
        })
    }

    pub(crate) fn limit_frames(&mut self, bytes: usize) {
        self.frame_bytes_max = bytes;
    }

    pub(crate) fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(Arc::clone(&self.shared))
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// How long a reply may take.
    fn limit(&self) -> Option<Duration> {
        self.connect_timeout.or_else(|| self.timeout.and_then(|timeout| timeout.checked_add(self.patience)))
    }

    // Sending

    /// Sends a request behind those that nobody waits for any more. Returns its id.
    ///
    /// # Errors
    /// Where it was not sent as a whole: nothing of it took effect, since the daemon begins nothing that it has not got.
    pub(crate) fn send(
        &mut self,
        kind: &str,
        put: impl FnOnce(&mut Fields<'_>) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        self.prepare()?;
        self.send_fields(kind, false, None, put)
    }

    /// [`send`](Link::send) with a file that the daemon is to write into, or to read.
    pub(crate) fn send_with(
        &mut self,
        file: BorrowedFd<'_>,
        kind: &str,
        put: impl FnOnce(&mut Fields<'_>) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        self.prepare()?;
        self.send_fields(kind, false, Some(file), put)
    }

    /// Ends what has not been ended: only rows that were forgotten (`std::mem::forget`) are still there.
    fn prepare(&mut self) -> Result<(), Error> {
        if let (true, Some(id)) = (self.pending.is_empty(), self.shared.in_flight()) {
            self.leave(id, true, None);
        }
        self.settle()?;
        // Only of an import that a panic has left: it has been stopped.
        self.end_feed();
        Ok(())
    }

    fn send_fields(
        &mut self,
        kind: &str,
        is_rollback: bool,
        file: Option<BorrowedFd<'_>>,
        put: impl FnOnce(&mut Fields<'_>) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        self.send_as(kind, is_rollback, file, |to| {
            let head = to.len();
            to.push(0);
            let mut fields = Fields { to, count: 0 };
            put(&mut fields)?;
            let count = fields.count;
            let mut counted = Vec::new();
            codec::put_map_head(&mut counted, count);
            to.splice(head..=head, counted);
            Ok(())
        })
    }

    fn send_as(
        &mut self,
        kind: &str,
        is_rollback: bool,
        file: Option<BorrowedFd<'_>>,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        let id = self.last_id + 1;
        self.begin_frame(kind, |to| codec::put_integer(to, id));
        put(&mut self.output)?;
        self.end_frame()?;
        self.last_id = id;
        if self.pending.is_empty() {
            self.shared.wait_for(id, None, is_rollback, self.limit());
        }
        self.send_frame(file).map(|()| id)
    }

    /// Sends a request with an id that no other one has, and whose reply, if there is one, is of no interest.
    pub(crate) fn send_unanswered(
        &mut self,
        id: &str,
        kind: &str,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Error> {
        self.unusable()?;
        self.begin_frame(kind, |to| codec::put_text(to, id));
        put(&mut self.output);
        self.end_frame()?;
        self.send_frame(None)
    }

    fn begin_frame(&mut self, kind: &str, put_id: impl FnOnce(&mut Vec<u8>)) {
        self.output.clear();
        self.output.extend([0; 4]);
        codec::put_map_head(&mut self.output, 3);
        codec::put_text(&mut self.output, "id");
        put_id(&mut self.output);
        codec::put_text(&mut self.output, "type");
        codec::put_text(&mut self.output, kind);
        codec::put_text(&mut self.output, "data");
    }

    fn end_frame(&mut self) -> Result<(), Error> {
        let count = self.output.len() - 4;
        if count > self.frame_bytes_max {
            self.output = Vec::new();
            return Err(Error::new(
                "frame_too_large",
                format!("The request has {count} bytes; the daemon takes {} (frame_bytes_max).", self.frame_bytes_max),
                Some("Send less at a time, or raise the limit in litebase.toml."),
            ));
        }
        self.output[..4].copy_from_slice(&(count as u32).to_be_bytes());
        Ok(())
    }

    fn send_frame(&mut self, file: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let sent = self.shared.send(&self.output, file);
        if self.output.capacity() > 1 << 20 {
            self.output = Vec::new();
        }
        sent.map_err(|error| {
            // Why it closed the connection, it may have said before.
            let told = self.told_at_last();
            self.lost(told.unwrap_or(error))
        })
    }

    /// What the daemon said of the connection before it closed it.
    fn told_at_last(&mut self) -> Option<Error> {
        self.shared.waits_for_nothing();
        for _ in 0..1_000 {
            let body = self.frame().ok()?;
            let bytes = &self.input.buffer[body];
            let envelope = Envelope::read(bytes).ok()?;
            if envelope.id == Id::None && envelope.is_error {
                return data_of(bytes.get(envelope.data)?).ok().map(|data| Error::of_reply(&data));
            }
        }
        None
    }

    // Receiving

    /// Notes why the connection is of no use any more, and closes it.
    fn lost(&mut self, error: Error) -> Error {
        if self.failure.is_none() {
            self.failure = Some(error.clone());
            self.shared.waits_no_more();
            self.shared.close();
        }
        error
    }

    fn unusable(&self) -> Result<(), Error> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(Error::new(
                "connection_lost",
                format!("The connection cannot be used any more: {}", failure.details().message),
                Some("Connect again, or call reconnect."),
            )),
        }
    }

    fn frame(&mut self) -> Result<Range<usize>, Error> {
        let mut reason = None;
        let body = self.input.frame(&mut Patient { shared: &self.shared, reason: &mut reason });
        body.map_err(|error| {
            reason.or_else(|| self.shared.given_up()).unwrap_or_else(|| match error.kind() {
                io::ErrorKind::UnexpectedEof => Error::lost("The daemon closed the connection."),
                io::ErrorKind::InvalidData => Error::lost(codec::Malformed.to_string()),
                _ => Error::lost(format!("The connection is lost: {error}.")),
            })
        })
    }

    /// What is said of a request whose reply cannot come any more.
    pub(crate) fn lost_beneath(&mut self, kind: &str, cause: Error) -> Error {
        let cause = self.lost(cause);
        if WITHOUT_EFFECT.contains(&kind) {
            cause
        } else {
            Error::unknown(&cause)
        }
    }

    /// Waits for the next reply to a request, and takes notice of what else comes. Returns where in the input its data are.
    pub(crate) fn receive(&mut self, id: i64, kind: &str) -> Result<Range<usize>, Error> {
        self.receive_within(self.limit(), id, kind)
    }

    fn receive_within(&mut self, limit: Option<Duration>, id: i64, kind: &str) -> Result<Range<usize>, Error> {
        self.shared.wait_for(id, None, false, limit);
        for _ in 0..STRAY_MESSAGES_MAX {
            if let Some(data) = self.receive_message(id, kind)? {
                return Ok(data);
            }
        }
        Err(self.lost_beneath(kind, Error::lost("The daemon sends messages without end, and no reply.")))
    }

    /// Waits for the next message. Returns where in the input the data of a reply to a request are; nothing for another message.
    fn receive_message(&mut self, id: i64, kind: &str) -> Result<Option<Range<usize>>, Error> {
        match self.next_for(id) {
            Ok(data) => Ok(data),
            Err(Ended::Lost(cause)) => Err(self.lost_beneath(kind, cause)),
            Err(Ended::Failed(error)) => {
                self.shared.waits_no_more();
                // A connection of this driver is its session.
                Err(if error.code() == "session_not_found" { self.lost(error) } else { error })
            }
        }
    }

    /// Reads one message. Returns where the data of a reply to `id` are; nothing for a message of another kind.
    fn next_for(&mut self, id: i64) -> Result<Option<Range<usize>>, Ended> {
        let malformed = |malformed: codec::Malformed| Ended::Lost(Error::lost(malformed.to_string()));
        let body = self.frame().map_err(Ended::Lost)?;
        let envelope = Envelope::read(&self.input.buffer[body.clone()]).map_err(malformed)?;
        let is_ours = envelope.id == Id::Number(id);
        let data = body.start + envelope.data.start..body.start + envelope.data.end;
        if is_ours && !envelope.is_error {
            return Ok(Some(data));
        }
        if !is_ours && envelope.id != Id::None {
            return Ok(None); // It answers what nobody waits for any more, such as a `cancel`.
        }
        let told = data_of(&self.input.buffer[data]).map_err(malformed)?;
        if is_ours {
            self.note_transaction(&told);
            return Err(Ended::Failed(Error::of_reply(&told)));
        }
        if envelope.is_error {
            return Err(Ended::Lost(Error::of_reply(&told))); // Of the connection.
        }
        if let Some(call) = &self.on_notice {
            call(&told);
        }
        Ok(None)
    }

    fn note_transaction(&mut self, data: &Data) {
        if let Some(state) = data.get("transaction").as_str() {
            self.transaction = TransactionState::of(state);
        }
    }

    /// The next reply to a query, whose rows are added to a page, or dropped where there is none.
    pub(crate) fn receive_rows(&mut self, id: i64, page: Option<&mut PageData>) -> Result<Head, Error> {
        let data = self.receive(id, "query")?;
        match Head::read(&self.input.buffer[data], page) {
            Ok(head) => {
                if let Some(state) = head.transaction {
                    self.transaction = state;
                }
                if !head.more {
                    self.shared.waits_no_more();
                }
                Ok(head)
            }
            Err(malformed) => Err(self.lost_beneath("query", Error::lost(malformed.to_string()))),
        }
    }

    /// Sends a request that has one reply, and waits for it.
    pub(crate) fn ask(
        &mut self,
        kind: &str,
        put: impl FnOnce(&mut Fields<'_>) -> Result<(), Error>,
    ) -> Result<Data, Error> {
        let id = self.send(kind, put)?;
        self.answer(id, kind)
    }

    /// [`ask`](Link::ask) with data that are there.
    pub(crate) fn ask_with(&mut self, kind: &str, data: &Data) -> Result<Data, Error> {
        self.prepare()?;
        let id = self.send_as(kind, false, None, |to| {
            data.put(to);
            Ok(())
        })?;
        self.answer(id, kind)
    }

    fn answer(&mut self, id: i64, kind: &str) -> Result<Data, Error> {
        self.receive_data(id, kind)
    }

    /// The data of the next reply to a request that may have several.
    pub(crate) fn receive_data(&mut self, id: i64, kind: &str) -> Result<Data, Error> {
        let data = self.receive(id, kind)?;
        self.data_at(data, kind)
    }

    /// The data of the next reply to an import. The daemon alone keeps the time: its clock stands while a pipe has nothing.
    pub(crate) fn receive_at_leisure(&mut self, id: i64, kind: &str) -> Result<Data, Error> {
        let data = self.receive_within(None, id, kind)?;
        self.data_at(data, kind)
    }

    fn data_at(&mut self, place: Range<usize>, kind: &str) -> Result<Data, Error> {
        match data_of(&self.input.buffer[place]) {
            Ok(data) => {
                self.note_transaction(&data);
                if data.get("more").as_bool() != Some(true) {
                    self.shared.waits_no_more();
                }
                Ok(data)
            }
            Err(malformed) => Err(self.lost_beneath(kind, Error::lost(malformed.to_string()))),
        }
    }

    /// The data of the next reply to a request, where it begins to come before a moment. Nothing is lost where it does not.
    pub(crate) fn receive_until(&mut self, end: Instant, id: i64, kind: &str) -> Result<Option<Data>, Error> {
        self.shared.wait_for(id, None, false, None);
        loop {
            while !self.input.has_frame() && self.shared.given_up().is_none() {
                let left = end.saturating_duration_since(Instant::now());
                let is_ready = match self.shared.wait_for_bytes(left) {
                    Ok(is_ready) => is_ready,
                    Err(error) => return Err(self.lost_beneath(kind, no_poll(error))),
                };
                // At the end of the stream, it is told by who reads a frame.
                if is_ready && !self.shared.read_into(&mut self.input) {
                    break;
                }
                if !is_ready && left.is_zero() {
                    return Ok(None);
                }
            }
            if let Some(place) = self.receive_message(id, kind)? {
                return self.data_at(place, kind).map(Some);
            }
        }
    }

    /// Asks for the next page of a query. It has no reply of its own.
    pub(crate) fn fetch(&mut self, id: i64) -> Result<(), Error> {
        self.send_unanswered(&format!("fetch {id}"), "fetch", |to| {
            codec::put_map_head(to, 1);
            codec::put_text(to, "request");
            codec::put_integer(to, id);
        })
    }

    // What nobody waits for

    /// Nobody takes further rows of a query. Waits for nothing; what still comes is read before the next request.
    pub(crate) fn leave(&mut self, id: i64, may_stop: bool, page_rows: Option<usize>) {
        if self.failure.is_some() {
            return;
        }
        let stopped = may_stop.then(Instant::now);
        if may_stop {
            self.shared.cancel();
        }
        self.pending.push_back(Pending { id, stopped, page_rows: page_rows.filter(|_| !may_stop), is_rollback: false });
    }

    /// Rolls back behind what still runs, without waiting for it.
    pub(crate) fn roll_back(&mut self, session: &str, sql: &str) {
        if self.failure.is_some() {
            return;
        }
        // What is rolled back need not go on.
        if let Some(left) = self.pending.front_mut().filter(|left| left.stopped.is_none() && !left.is_rollback) {
            left.stopped = Some(Instant::now());
            left.page_rows = None;
            self.shared.cancel();
        }
        let sent = self.send_fields("query", true, None, |fields| {
            fields.text("sql", sql);
            fields.text("session", session);
            Ok(())
        });
        if let Ok(id) = sent {
            self.pending.push_back(Pending { id, stopped: None, page_rows: None, is_rollback: true });
        }
    }

    /// Reads what still comes of requests for which nobody waits.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        self.unusable()?;
        while let Some(Pending { id, stopped, page_rows, is_rollback }) = self.pending.pop_front() {
            self.shared.wait_for(id, stopped, is_rollback, self.limit());
            let mut rows = 0;
            let failed = loop {
                if page_rows.map_or(false, |count| rows % count == 0) {
                    self.fetch(id)?;
                }
                match self.receive_rows(id, None) {
                    Ok(head) if head.more => rows += head.rows,
                    Ok(_) => break None,
                    Err(error) => break Some(error),
                }
            };
            self.unusable()?;
            if let (true, Some(error)) = (is_rollback, failed) {
                self.lost(Error::lost(format!("A transaction could not be rolled back: {error}")));
                self.unusable()?;
            }
        }
        Ok(())
    }
}

fn no_poll(error: io::Error) -> Error {
    Error::lost(format!("poll has failed: {error}."))
}

/// Why no reply came.
enum Ended {
    Failed(Error),
    Lost(Error),
}

impl Drop for Link {
    fn drop(&mut self) {
        // A handle may outlive the connection, and with it its socket.
        self.shared.close();
    }
}
