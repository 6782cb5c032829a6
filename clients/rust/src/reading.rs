//! Files that the daemon reads, and what readers give: what `import` and `restore` have in common.

use std::io::{self, Read};
use std::os::unix::io::{AsFd, BorrowedFd};

use crate::codec::Data;
use crate::connection::milliseconds;
use crate::descriptors::{self, PIPE_BYTES};
use crate::link::{Fields, Piped};
use crate::transfers::PROGRESS_MS;
use crate::{Connection, Error};

/// How much is read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A request for which the daemon reads a file.
pub(crate) struct Reading<'a> {
    pub(crate) kind: &'static str,
    /// By which name it is judged when the connection is lost.
    pub(crate) judged_as: &'static str,
    /// Whether there are to be replies before the last one.
    pub(crate) is_told: bool,
    /// Puts what only this request has.
    pub(crate) put: &'a dyn Fn(&mut Fields<'_>),
    /// Is called with the replies before the last one.
    pub(crate) tell: &'a mut dyn FnMut(&Data),
}

/// How far a pipe was filled.
enum Filled {
    /// As far as the daemon wanted it: this is its last reply.
    Done(Data),
    All,
    Failed(io::Error),
}

impl Connection {
    /// Has the daemon read a file or a pipe. Returns its last reply.
    pub(crate) fn read_file(&mut self, file: BorrowedFd<'_>, reading: Reading<'_>) -> Result<Data, Error> {
        let id = self.send_reading(file, &reading)?;
        self.end_of_reading(id, reading.judged_as, reading.tell)
    }

    /// Fills a pipe with what a reader gives, by this thread, and has the daemon read it. Returns its last reply.
    ///
    /// # Errors
    /// [`Error::Input`] where the reader fails, which stops the request.
    pub(crate) fn read_from(&mut self, reader: &mut dyn Read, mut reading: Reading<'_>) -> Result<Data, Error> {
        let (output, input) = descriptors::pipe().map_err(|error| no_pipe("input", &error))?;
        let id = self.send_reading(output.as_fd(), &reading)?;
        self.link.feed(id, input);
        // From now on the daemon alone reads, so that its end is noticed.
        drop(output);
        let done = match self.fill(id, reader, &mut reading) {
            Ok(Filled::Done(reply)) => Ok(reply),
            Ok(Filled::All) => self.end_of_reading(id, reading.judged_as, reading.tell),
            Ok(Filled::Failed(error)) => {
                // Not the end of the file, which would be a half of it: the pipe stays open until the request is stopped.
                self.link.cancel_handle().cancel();
                let _ = self.end_of_reading(id, reading.judged_as, &mut |_| {});
                Err(Error::new("input", format!("Reading has failed: {error}."), None))
            }
            Err(error) => Err(error),
        };
        self.link.end_feed();
        done
    }

    fn send_reading(&mut self, file: BorrowedFd<'_>, reading: &Reading<'_>) -> Result<i64, Error> {
        if !self.takes_descriptors {
            return Err(Error::new("bad_request", "This daemon takes no files.", None));
        }
        let timeout = self.link.timeout;
        self.link.send_with(file, reading.kind, |fields| {
            (reading.put)(fields);
            fields.integer("descriptors", 1);
            if reading.is_told {
                fields.integer("progress_ms", PROGRESS_MS);
            }
            if let Some(timeout) = timeout {
                fields.integer("timeout_ms", milliseconds(timeout));
            }
            Ok(())
        })
    }

    /// Waits for the last reply.
    fn end_of_reading(&mut self, id: i64, judged_as: &str, tell: &mut dyn FnMut(&Data)) -> Result<Data, Error> {
        loop {
            let reply = self.link.receive_at_leisure(id, judged_as)?;
            if is_last(&reply) {
                return Ok(reply);
            }
            tell(&reply);
        }
    }

    /// Writes what the reader gives into the pipe, while the daemon takes it.
    fn fill(&mut self, id: i64, reader: &mut dyn Read, reading: &mut Reading<'_>) -> Result<Filled, Error> {
        let (mut piece, mut written) = (Vec::new(), 0);
        loop {
            match self.link.next_or_room(id, reading.judged_as)? {
                Piped::Reply(reply) if is_last(&reply) => return Ok(Filled::Done(reply)),
                Piped::Reply(reply) => (reading.tell)(&reply),
                Piped::Ready => {
                    if written == piece.len() {
                        written = 0;
                        if let Err(error) = read_piece(reader, &mut piece) {
                            return Ok(Filled::Failed(error));
                        }
                        if piece.is_empty() {
                            self.link.end_feed();
                            return Ok(Filled::All);
                        }
                    }
                    match self.link.write_piece(&piece[written..piece.len().min(written + PIPE_BYTES)]) {
                        Ok(count) => written += count,
                        // Why the daemon reads no more, it says.
                        Err(_) => return Ok(Filled::All),
                    }
                }
            }
        }
    }
}

pub(crate) fn is_last(reply: &Data) -> bool {
    reply.get("more").as_bool() != Some(true)
}

pub(crate) fn no_pipe(code: &str, error: &io::Error) -> Error {
    Error::new(code, format!("There is no pipe: {error}."), None)
}

/// The next bytes; none at the end.
pub(crate) fn read_piece(reader: &mut dyn Read, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.resize(PIECE_BYTES, 0);
    loop {
        match reader.read(piece) {
            Ok(count) => {
                piece.truncate(count);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                piece.clear();
                return Err(error);
            }
        }
    }
}
