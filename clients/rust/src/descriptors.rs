//! Bytes that are sent together with a file (`SCM_RIGHTS` in unix(7)), and pipes.
//!
//! The standard library has the former only behind an unstable feature (`unix_socket_ancillary_data`), the latter only in versions
//! that are newer than Debian's, and poll(2) not at all, so that the calls are declared here, as Linux has them: `struct msghdr` and
//! `struct cmsghdr` of sendmsg(2) and cmsg(3), pipe2(2). It is the only `unsafe` of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::raw::{c_int, c_short, c_ulong, c_void};
use std::os::unix::io::{AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::Duration;

const SCM_RIGHTS: c_int = 1;
const SOL_SOCKET: c_int =
    if cfg!(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64")) { 0xffff } else { 1 };

/// `struct msghdr`. The lengths are as wide as the kernel's; musl's narrower ones have padding beside them.
#[repr(C)]
struct MessageHead {
    name: *mut c_void,
    name_len: u32,
    iov: *const c_void,
    iov_len: usize,
    control: *mut c_void,
    control_len: usize,
    flags: c_int,
}

/// `struct cmsghdr` with one descriptor behind it, and room up to the next one as `CMSG_SPACE` has it.
#[repr(C)]
struct Control {
    len: usize,
    level: c_int,
    kind: c_int,
    descriptor: c_int,
    _padding: [u8; size_of::<usize>() - size_of::<c_int>()],
}

/// `struct pollfd`.
#[repr(C)]
struct Watched {
    descriptor: c_int,
    wanted: c_short,
    found: c_short,
}

const MSG_NOSIGNAL: c_int = 0x4000;
const POLLIN: c_short = 1;
const POLLOUT: c_short = 4;
const O_CLOEXEC: c_int = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x40_0000 } else { 0o200_0000 };

/// A pipe that has room takes so many bytes at once (`PIPE_BUF` in pipe(7)).
pub(crate) const PIPE_BYTES: usize = 4096;

extern "C" {
    fn sendmsg(socket: c_int, message: *const MessageHead, flags: c_int) -> isize;
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    fn poll(watched: *mut Watched, count: c_ulong, milliseconds: c_int) -> c_int;
}

/// A pipe: its end to read from, and the one to write into.
pub(crate) fn pipe() -> io::Result<(File, File)> {
    let mut ends = [-1; 2];
    // SAFETY: the call writes two numbers where there is room for two.
    if unsafe { pipe2(ends.as_mut_ptr(), O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the two are open, and nobody else has them.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}

/// What can be done without waiting.
pub(crate) struct Ready {
    /// A message has come, or the connection has ended.
    pub(crate) socket: bool,
    /// The pipe has what was waited for, or says that nobody has its other end.
    pub(crate) pipe: bool,
}

/// What a pipe is waited for.
#[derive(Clone, Copy)]
pub(crate) enum Pipe<'a> {
    /// Room for [`PIPE_BYTES`].
    ToFill(&'a File),
    /// Bytes.
    ToEmpty(&'a File),
}

/// Waits until one of them is ready, or so long.
pub(crate) fn wait(socket: Option<&UnixStream>, pipe: Option<Pipe<'_>>, time: Duration) -> io::Result<Ready> {
    // Negative ones are left out; poll(2).
    let (pipe, wanted) = match pipe {
        Some(Pipe::ToFill(pipe)) => (pipe.as_raw_fd(), POLLOUT),
        Some(Pipe::ToEmpty(pipe)) => (pipe.as_raw_fd(), POLLIN),
        None => (-1, 0),
    };
    let mut watched = [
        Watched { descriptor: socket.map_or(-1, AsRawFd::as_raw_fd), wanted: POLLIN, found: 0 },
        Watched { descriptor: pipe, wanted, found: 0 },
    ];
    // Not less than was said: who looks again too early looks again and again.
    let milliseconds = c_int::try_from((time.as_micros() + 999) / 1000).unwrap_or(c_int::MAX);
    // SAFETY: the call reads and writes as many entries as there are.
    if unsafe { poll(watched.as_mut_ptr(), 2, milliseconds) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(Ready { socket: watched[0].found != 0, pipe: watched[1].found != 0 })
}

/// Sends bytes, of which the first ones may carry a descriptor; it is sent where any byte is. Returns how many were taken.
///
/// It never raises SIGPIPE, as the standard library does: Rust's own programs ignore it, but those that leave it to the system, as
/// tools before a pager do, and libraries in programs of other languages would be ended by a daemon that goes.
pub(crate) fn send(socket: &UnixStream, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let pieces = [IoSlice::new(bytes)];
    let mut control = descriptor.map(|descriptor| Control {
        len: size_of::<usize>() + 3 * size_of::<c_int>(),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        descriptor: descriptor.as_raw_fd(),
        _padding: Default::default(),
    });
    let control_len = if control.is_some() { size_of::<Control>() } else { 0 };
    let message = MessageHead {
        name: ptr::null_mut(),
        name_len: 0,
        iov: pieces.as_ptr().cast(),
        iov_len: pieces.len(),
        control: control.as_mut().map_or(ptr::null_mut(), |control| ptr::addr_of_mut!(*control).cast()),
        control_len,
        flags: 0,
    };
    // SAFETY: the message and all that it points to live until the call has ended, which only reads them; `IoSlice` has the
    // layout of `struct iovec`, as its documentation says. The descriptors of socket and file are open: they are borrowed.
    let sent = unsafe { sendmsg(socket.as_raw_fd(), &message, MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::io::{AsFd, OwnedFd};

    /// A pipe would be closed by the other one's going: nobody received it, so that only the bytes are looked at here. That the
    /// daemon gets the file is tested with one (tests/all/transfers.rs).
    #[test]
    fn bytes_are_sent_and_errors_told() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        assert_eq!(send(&ours, b"some bytes", Some(file.as_fd())).unwrap(), 10);
        assert_eq!(send(&ours, b", and more", None).unwrap(), 10);
        let mut buffer = [0; 20];
        theirs.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"some bytes, and more");
        drop(theirs);
        for file in [Some(file.as_fd()), None] {
            assert_eq!(send(&ours, b"x", file).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }

    /// Of this thread alone: one that is blocked waits, also where it would be ignored.
    #[test]
    fn no_signal_is_raised() {
        const SIGPIPE: c_int = 13;
        const SIG_BLOCK: c_int = 0;
        // As large as that of any C library.
        type Signals = [u64; 16];
        extern "C" {
            fn sigemptyset(signals: *mut Signals) -> c_int;
            fn sigaddset(signals: *mut Signals, signal: c_int) -> c_int;
            fn sigismember(signals: *const Signals, signal: c_int) -> c_int;
            fn pthread_sigmask(how: c_int, signals: *const Signals, former: *mut Signals) -> c_int;
            fn sigpending(signals: *mut Signals) -> c_int;
        }
        let is_pending = || {
            let mut pending: Signals = [0; 16];
            // SAFETY: the call writes into a set that is there, and the other one reads it.
            unsafe { assert_eq!(sigpending(&mut pending), 0) };
            unsafe { sigismember(&pending, SIGPIPE) == 1 }
        };
        let mut blocked: Signals = [0; 16];
        // SAFETY: the calls write into a set that is there, or read it; the thread ends with this test.
        unsafe {
            assert_eq!(sigemptyset(&mut blocked), 0);
            assert_eq!(sigaddset(&mut blocked, SIGPIPE), 0);
            assert_eq!(pthread_sigmask(SIG_BLOCK, &blocked, ptr::null_mut()), 0);
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let file = File::open("/dev/null").unwrap();
        for file in [Some(file.as_fd()), None] {
            assert!(send(&ours, b"x", file).is_err() && !is_pending());
        }
        // What this test would see, by write(2).
        assert!(File::from(OwnedFd::from(ours)).write(b"x").is_err());
        assert!(is_pending());
    }

    #[test]
    fn pipes_say_when_they_have_room_and_when_nobody_reads() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut output, mut input) = pipe().unwrap();
        let short = Duration::from_millis(20);
        let mut filled = 0;
        while wait(Some(&ours), Some(Pipe::ToFill(&input)), short).unwrap().pipe {
            input.write_all(&[7; PIPE_BYTES]).unwrap();
            filled += PIPE_BYTES;
        }
        assert!(filled >= PIPE_BYTES);
        theirs.write_all(b"x").unwrap();
        let ready = wait(Some(&ours), Some(Pipe::ToFill(&input)), short).unwrap();
        assert!(ready.socket && !ready.pipe);
        let mut buffer = vec![0; filled];
        output.read_exact(&mut buffer).unwrap();
        assert!(wait(Some(&ours), Some(Pipe::ToFill(&input)), short).unwrap().pipe);
        assert!(!wait(Some(&ours), Some(Pipe::ToEmpty(&output)), short).unwrap().pipe);
        input.write_all(b"x").unwrap();
        assert!(wait(None, Some(Pipe::ToEmpty(&output)), short).unwrap().pipe);
        drop(output);
        assert!(wait(Some(&ours), Some(Pipe::ToFill(&input)), short).unwrap().pipe);
        assert_eq!(input.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
