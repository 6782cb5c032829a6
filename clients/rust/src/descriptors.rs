//! Bytes that are sent together with a file (`SCM_RIGHTS` in unix(7)).
//!
//! The standard library has that only behind an unstable feature (`unix_socket_ancillary_data`), so that the call is declared here,
//! as Linux has it: `struct msghdr` and `struct cmsghdr` of sendmsg(2) and cmsg(3). It is the only `unsafe` of this crate.
#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::raw::{c_int, c_void};
use std::os::unix::io::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::ptr;

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

extern "C" {
    fn sendmsg(socket: c_int, message: *const MessageHead, flags: c_int) -> isize;
}

/// Sends bytes, of which the first ones carry a descriptor; it is sent where any byte is. Returns how many were taken.
pub(crate) fn send(socket: &UnixStream, bytes: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
    let pieces = [IoSlice::new(bytes)];
    let mut control = Control {
        len: size_of::<usize>() + 3 * size_of::<c_int>(),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        descriptor: descriptor.as_raw_fd(),
        _padding: Default::default(),
    };
    let message = MessageHead {
        name: ptr::null_mut(),
        name_len: 0,
        iov: pieces.as_ptr().cast(),
        iov_len: pieces.len(),
        control: ptr::addr_of_mut!(control).cast(),
        control_len: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: the message and all that it points to live until the call has ended, which only reads them; `IoSlice` has the
    // layout of `struct iovec`, as its documentation says. The descriptors of socket and file are open: they are borrowed.
    let sent = unsafe { sendmsg(socket.as_raw_fd(), &message, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::io::AsFd;

    /// A pipe would be closed by the other one's going: nobody received it, so that only the bytes are looked at here. That the
    /// daemon gets the file is tested with one (tests/all/transfers.rs).
    #[test]
    fn bytes_are_sent_and_errors_told() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        assert_eq!(send(&ours, b"some bytes", file.as_fd()).unwrap(), 10);
        let mut buffer = [0; 10];
        theirs.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"some bytes");
        // SIGPIPE is ignored in Rust's programs.
        drop(theirs);
        assert_eq!(send(&ours, b"x", file.as_fd()).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
