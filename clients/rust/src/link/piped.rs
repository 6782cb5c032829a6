//! Pipes at whose other end the daemon is, while its replies come: one to be filled, or one to be emptied.

use std::fs::File;
use std::io::{self, Write};

use super::{no_poll, Link};
use crate::codec::Data;
use crate::descriptors::{Pipe, Ready};
use crate::Error;

/// What there is to do while a pipe is fed or emptied.
pub(crate) enum Piped {
    /// It has room, or bytes.
    Ready,
    /// The next reply to the request.
    Reply(Data),
}

impl Link {
    /// From now on, the daemon reads what is written into a pipe. It stays open until the request has ended.
    pub(crate) fn feed(&mut self, id: i64, pipe: File) {
        // The daemon keeps the time limit, and its clock stands while the pipe has nothing.
        self.shared.wait_for(id, None, false, None);
        self.fed = Some(pipe);
    }

    /// Waits until a message has come, or the pipe that is fed has room.
    pub(crate) fn next_or_room(&mut self, id: i64, kind: &str) -> Result<Piped, Error> {
        self.next_or_ready(id, kind, |link| {
            link.fed.as_ref().map(|pipe| link.shared.wait_beside(Pipe::ToFill(pipe), true))
        })
    }

    /// Waits until a message has come, or the pipe has bytes, or its end. The daemon alone keeps the time limit: how long they may
    /// wait here, it does not know.
    pub(crate) fn next_or_bytes(&mut self, id: i64, kind: &str, pipe: Option<&File>) -> Result<Piped, Error> {
        self.shared.wait_for(id, None, false, None);
        self.next_or_ready(id, kind, |link| pipe.map(|pipe| link.shared.wait_beside(Pipe::ToEmpty(pipe), true)))
    }

    /// Waits until the pipe has bytes, or its end, when all else has come.
    pub(crate) fn rest_of(&mut self, pipe: &File, kind: &str) -> Result<(), Error> {
        loop {
            match self.shared.wait_beside(Pipe::ToEmpty(pipe), false) {
                Ok(ready) if ready.pipe => return Ok(()),
                Ok(_) => {
                    if let Some(reason) = self.shared.given_up() {
                        return Err(self.lost_beneath(kind, reason));
                    }
                }
                Err(error) => return Err(self.lost_beneath(kind, no_poll(error))),
            }
        }
    }

    fn next_or_ready(
        &mut self,
        id: i64,
        kind: &str,
        wait: impl Fn(&Link) -> Option<io::Result<Ready>>,
    ) -> Result<Piped, Error> {
        loop {
            let ready = if self.input.is_empty() { wait(self).transpose() } else { Ok(None) };
            match ready {
                Ok(Some(ready)) if ready.pipe && !ready.socket => return Ok(Piped::Ready),
                Ok(Some(ready)) if !ready.socket => {
                    if let Some(reason) = self.shared.given_up() {
                        return Err(self.lost_beneath(kind, reason));
                    }
                }
                // A message, or nothing but messages to wait for.
                Ok(_) => {
                    if let Some(place) = self.receive_message(id, kind)? {
                        return Ok(Piped::Reply(self.data_at(place, kind)?));
                    }
                }
                Err(error) => return Err(self.lost_beneath(kind, no_poll(error))),
            }
        }
    }

    /// Writes what the daemon is to read: no more than [`descriptors::PIPE_BYTES`], so that it does not wait.
    ///
    /// # Errors
    /// Where nobody reads the pipe any more.
    pub(crate) fn write_piece(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fed.as_mut().map_or(Ok(bytes.len()), |pipe| pipe.write(bytes))
    }

    /// Closes the pipe that is fed: of a request that goes on, it says that all is written.
    pub(crate) fn end_feed(&mut self) {
        self.fed = None;
    }
}
