//! The socket, and what other threads may do to it: stop the request whose reply is waited for.

use std::fmt;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::io::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::descriptors::Pipe;
use crate::input::Input;
use crate::{codec, descriptors, Error};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one of these locks leaves anything half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often whoever waits looks whether he still should.
fn tick(patience: Duration) -> Duration {
    (patience / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
}

/// What other threads may touch.
pub(crate) struct Shared {
    socket: UnixStream,
    /// Held while a frame is written: a cancellation must not come into the middle of another one.
    sending: Mutex<()>,
    state: Mutex<State>,
    patience: Duration,
}

#[derive(Default)]
struct State {
    /// The request whose reply is waited for.
    in_flight: Option<i64>,
    /// When it was stopped.
    stopped: Option<Instant>,
    /// Whether its cancellation is still to be sent.
    must_cancel: bool,
    /// Whether it rolls back, which nothing is to stop: what was meant is over by it.
    is_rollback: bool,
    /// When its reply has to be there.
    deadline: Option<Instant>,
    is_aborted: bool,
}

impl Shared {
    pub(crate) fn new(socket: UnixStream, patience: Duration) -> io::Result<Shared> {
        socket.set_read_timeout(Some(tick(patience)))?;
        socket.set_write_timeout(Some(tick(patience)))?;
        let (sending, state) = Default::default();
        Ok(Shared { socket, sending, state, patience })
    }

    /// Says for whose reply somebody waits from now on, and until when.
    pub(crate) fn wait_for(&self, id: i64, stopped: Option<Instant>, is_rollback: bool, limit: Option<Duration>) {
        let mut state = lock(&self.state);
        if state.in_flight != Some(id) {
            state.in_flight = Some(id);
            state.stopped = stopped;
            state.is_rollback = is_rollback;
            // One that has come too late stops nothing else.
            state.must_cancel = false;
        }
        state.deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    }

    /// The request whose reply has not come.
    pub(crate) fn in_flight(&self) -> Option<i64> {
        lock(&self.state).in_flight
    }

    pub(crate) fn waits_no_more(&self) {
        let mut state = lock(&self.state);
        state.in_flight = None;
        state.stopped = None;
        state.must_cancel = false;
    }

    /// From now on, what is not here already is not waited for.
    pub(crate) fn waits_for_nothing(&self) {
        lock(&self.state).deadline = Some(Instant::now());
    }

    pub(crate) fn close(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Waits until a message has come, where that is wanted, or a pipe is ready, for as long as somebody should wait before he looks
    /// again.
    pub(crate) fn wait_beside(&self, pipe: Pipe<'_>, for_messages: bool) -> io::Result<descriptors::Ready> {
        descriptors::wait(for_messages.then_some(&self.socket), Some(pipe), tick(self.patience))
    }

    /// Waits until something has come, no longer than that, and than somebody should wait before he looks again.
    pub(crate) fn wait_for_bytes(&self, time: Duration) -> io::Result<bool> {
        descriptors::wait(Some(&self.socket), None, time.min(tick(self.patience))).map(|ready| ready.socket)
    }

    /// Reads what is here. Returns whether there was something.
    pub(crate) fn read_into(&self, input: &mut Input) -> bool {
        input.read_some(&mut &self.socket).map_or(false, |count| count > 0)
    }

    /// Why nobody should wait any longer; none if there is no reason.
    pub(crate) fn given_up(&self) -> Option<Error> {
        let state = lock(&self.state);
        let now = Instant::now();
        if state.is_aborted {
            return Some(Error::lost("The program closed the connection."));
        }
        if state.stopped.map_or(false, |moment| now.duration_since(moment) > self.patience) {
            let message = format!("The daemon did not answer a cancellation within {:?}.", self.patience);
            return Some(Error::lost(message));
        }
        let is_late = state.deadline.map_or(false, |deadline| now > deadline);
        is_late.then(|| Error::lost("The daemon did not answer within the time limit."))
    }

    /// Sends all of the bytes, or as much as there are before the connection is given up. A file goes with the first ones.
    fn write(&self, mut bytes: &[u8], mut file: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        while !bytes.is_empty() {
            match descriptors::send(&self.socket, bytes, file) {
                Ok(0) => return Err(Error::lost("The daemon takes nothing any more.")),
                Ok(count) => {
                    bytes = &bytes[count..];
                    file = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(reason) = self.given_up() {
                        return Err(reason);
                    }
                }
                Err(error) => return Err(Error::lost(format!("The daemon closed the connection: {error}."))),
            }
        }
        Ok(())
    }

    pub(crate) fn send(&self, frame: &[u8], file: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        let guard = lock(&self.sending);
        let sent = self.write(frame, file);
        drop(guard);
        self.send_wanted();
        sent
    }

    fn send_cancellation(&self, id: i64) {
        let mut frame = vec![0; 4];
        codec::put_map_head(&mut frame, 3);
        codec::put_text(&mut frame, "id");
        // Its reply is of no interest: the request says how it ended. It needs an id that no request has.
        codec::put_text(&mut frame, &format!("cancel {id}"));
        codec::put_text(&mut frame, "type");
        codec::put_text(&mut frame, "cancel");
        codec::put_text(&mut frame, "data");
        codec::put_map_head(&mut frame, 1);
        codec::put_text(&mut frame, "request");
        codec::put_integer(&mut frame, id);
        let count = frame.len() as u32 - 4;
        frame[..4].copy_from_slice(&count.to_be_bytes());
        // Where it cannot be sent, whoever waits for the reply learns of it.
        let _ = self.write(&frame, None);
    }

    /// Stops the request whose reply is waited for, if there is one.
    pub(crate) fn cancel(&self) {
        {
            let mut state = lock(&self.state);
            if state.in_flight.is_none() {
                return;
            }
            state.stopped.get_or_insert_with(Instant::now);
            state.must_cancel = !state.is_rollback;
        }
        self.send_wanted();
    }

    /// Sends a cancellation that is wanted, unless somebody is within a frame: he does it behind that.
    fn send_wanted(&self) {
        while lock(&self.state).must_cancel {
            let _guard = match self.sending.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let wanted = {
                let mut state = lock(&self.state);
                std::mem::take(&mut state.must_cancel).then_some(state.in_flight).flatten()
            };
            if let Some(id) = wanted {
                self.send_cancellation(id);
            }
        }
    }
}

/// Stops what a connection does, from any thread; made by [`Connection::cancel_handle`](crate::Connection::cancel_handle).
#[derive(Clone)]
pub struct CancelHandle(pub(crate) Arc<Shared>);

impl CancelHandle {
    /// Stops the statement that runs, in the daemon too. It ends with [`Error::Cancelled`] and has changed nothing, or as if
    /// nothing had come between when it was done before; the connection goes on. Without a statement nothing happens.
    ///
    /// A daemon that does not answer it within [`Options::patience`](crate::Options::patience) is given up.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Closes the connection, whatever it does. Whoever waits for a reply returns at once, with an error that says what is known.
    pub fn abort(&self) {
        lock(&self.0.state).is_aborted = true;
        let _ = self.0.socket.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelHandle")
    }
}

/// Reads from the socket until there is a reason not to wait.
pub(crate) struct Patient<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) reason: &'a mut Option<Error>,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.shared.socket).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(reason) = self.shared.given_up() {
                        *self.reason = Some(reason);
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                result => return result,
            }
        }
    }
}
