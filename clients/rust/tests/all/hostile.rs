//! A peer that means ill, or is slow: faults that a real daemon does not have. What is read of it is the protocol's own bytes.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use litebase::{ChangesQuery, Connection, Error, Options};

use crate::daemon::{wait_until, Daemon, Directory, LONG};

/// Forwards the first replies of a real daemon, then does what it is told with the client's connection.
struct Peer {
    directory: Directory,
    path: PathBuf,
    worker: Option<thread::JoinHandle<()>>,
}

impl Peer {
    fn start(daemon: &Daemon, replies: usize, then: impl FnOnce(UnixStream) + Send + 'static) -> Peer {
        let directory = Directory::new();
        let path = directory.0.join("peer");
        let listener = UnixListener::bind(&path).unwrap();
        let upstream = daemon.socket.clone();
        let worker = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut daemon = UnixStream::connect(upstream).unwrap();
            for _ in 0..replies {
                let request = frame(&mut client);
                daemon.write_all(&request).unwrap();
                let reply = frame(&mut daemon);
                client.write_all(&reply).unwrap();
            }
            then(client);
        });
        Peer { directory, path, worker: Some(worker) }
    }

    fn options(&self) -> Options {
        Options::new().socket(&self.path).patience(Duration::from_millis(100))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let joined = self.worker.take().unwrap().join();
        assert!(joined.is_ok() || thread::panicking(), "{}", self.directory.0.display());
    }
}

/// One frame with its length.
fn frame(from: &mut UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    from.read_exact(&mut bytes).unwrap();
    let count = bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
    bytes.resize(4 + count, 0);
    from.read_exact(&mut bytes[4..]).unwrap();
    bytes
}

/// Reads until the client has gone.
fn wait_for_end(mut client: UnixStream) {
    let mut buffer = [0; 4096];
    while matches!(client.read(&mut buffer), Ok(count) if count > 0) {}
}

#[test]
fn bytes_that_are_no_reply_end_the_connection() {
    let daemon = Daemon::start();
    let nested = [&[0, 0, 16, 3, 0x81, 0xa4][..], b"data", &[0x91; 4093]].concat();
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        vec![0xff; 100],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 1, 0xc0],
        vec![0, 0, 0, 5, 0xdf, 0xff, 0xff, 0xff, 0xff],
        vec![0, 0, 0, 2, 0x81, 0xc1],
        // The reply's own id, and rows that are none.
        [&[0, 0, 0, 20, 0x82, 0xa2][..], b"id", &[3, 0xa4], b"data", &[0x81, 0xa4], b"rows", &[0x91, 0xc1]].concat(),
        // Rows of another width than there are columns.
        [&[0, 0, 0, 20, 0x82, 0xa2][..], b"id", &[3, 0xa4], b"data", &[0x81, 0xa4], b"rows", &[0x91, 0x91, 1]].concat()
            [..]
            .to_vec(),
        nested,
    ] {
        let mut sent = bytes.clone();
        // The lengths above are those of longer messages: nothing comes behind them, so that each is an error at once.
        if sent.len() > 4 && sent[0] == 0 {
            let count = sent.len() as u32 - 4;
            sent[..4].copy_from_slice(&count.to_be_bytes());
        }
        let peer = Peer::start(&daemon, 2, move |mut client| {
            frame(&mut client);
            let _ = client.write_all(&sent);
            wait_for_end(client);
        });
        let mut db = peer.options().connect().unwrap();
        let error = db.query("SELECT 1", ()).unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_)), "{bytes:x?}: {error:?}");
        assert!(db.is_lost());
    }
}

#[test]
fn a_length_without_end_makes_no_memory() {
    let daemon = Daemon::start();
    let peer = Peer::start(&daemon, 2, move |mut client| {
        frame(&mut client);
        client.write_all(&[0x3f, 0xff, 0xff, 0xff, 0x82]).unwrap();
    });
    let mut db = peer.options().connect().unwrap();
    let before = peak();
    let error = db.query("SELECT 1", ()).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
    assert!(peak() - before < 256 << 10, "{before} KiB became {}", peak());
}

#[test]
fn what_is_no_frame_ends_changes_at_once() {
    let daemon = Daemon::start();
    let place = Directory::new();
    let link = place.0.join("link");
    std::os::unix::fs::symlink(&daemon.socket, &link).unwrap();
    let db = daemon.options().socket(&link).connect().unwrap();
    // Changes have a connection of their own.
    let peer = Peer::start(&daemon, 2, |mut client| {
        client.write_all(&[0xff; 1 << 20]).ok();
        wait_for_end(client);
    });
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&peer.path, &link).unwrap();
    let mut changes = db.changes(&ChangesQuery::new()).unwrap();
    let error = changes.wait(Duration::from_millis(500)).unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)), "{error:?}");
}

/// The most memory that the process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_peer_that_answers_nothing_is_given_up() {
    let daemon = Daemon::start();
    // Within the time of a statement.
    let peer = Peer::start(&daemon, 2, wait_for_end);
    let mut db = peer.options().timeout(Duration::from_millis(50)).connect().unwrap();
    let error = db.execute("DELETE FROM t", ()).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)) && db.is_lost(), "{error:?}");
    // Behind a cancellation.
    let peer = Peer::start(&daemon, 2, wait_for_end);
    let mut db = peer.options().connect().unwrap();
    let handle = db.cancel_handle();
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            handle.cancel();
        });
        let error = db.execute("DELETE FROM t", ()).unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_)), "{error:?}");
        assert!(error.to_string().contains("cancellation"), "{error}");
    });
    assert!(begin.elapsed() < LONG);
    // While the session is opened.
    for replies in [0, 1] {
        let peer = Peer::start(&daemon, replies, wait_for_end);
        let options = peer.options().patience(Duration::from_secs(3600)).connect_timeout(Duration::from_millis(200));
        let error = options.connect().unwrap_err();
        assert!(matches!(error, Error::ConnectionLost(_)), "{error:?}");
    }
    // While rows were left behind.
    let peer = Peer::start(&daemon, 3, wait_for_end);
    let mut db = peer.options().connect().unwrap();
    let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c";
    drop(db.query(sql, ()).unwrap());
    let error = db.execute("DELETE FROM t", ()).unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)), "{error:?}");
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let daemon = Daemon::start();
    let peer = Peer::start(&daemon, 2, |client| {
        // Until the client has closed: it reads nothing, so it sees only that.
        wait_until("the client gives up", || (&client).write(b"\0").is_err());
    });
    let mut db = peer.options().timeout(Duration::from_millis(50)).connect().unwrap();
    let error = db.execute("SELECT ?", ("x".repeat(8 << 20),)).unwrap_err();
    // It has not got the whole of it.
    assert!(matches!(error, Error::ConnectionLost(_)), "{error:?}");
}

#[test]
fn a_slow_peer_is_waited_for() {
    let daemon = Daemon::start();
    let upstream = daemon.socket.clone();
    let peer = Peer::start(&daemon, 2, move |mut client| {
        let request = frame(&mut client);
        // The session is another connection's, so that this one is answered with an error; byte by byte.
        let mut other = UnixStream::connect(upstream).unwrap();
        other.write_all(&request).unwrap();
        for byte in frame(&mut other) {
            client.write_all(&[byte]).unwrap();
            thread::sleep(Duration::from_micros(300));
        }
    });
    let mut db = peer.options().connect().unwrap();
    let error = db.execute("SELECT 1", ()).unwrap_err();
    assert_eq!(error.code(), "session_not_found", "{error:?}");
    // A session that is gone is not made anew in silence.
    assert!(matches!(error, Error::ConnectionLost(_)) && db.is_lost());
}

#[test]
fn messages_for_nobody_are_passed_over() {
    let daemon = Daemon::start();
    let peer = Peer::start(&daemon, 2, |mut client| {
        frame(&mut client);
        for body in
            [&b"\x82\xa2id\xa1x\xa4type\xa5error"[..], b"\x82\xa2id\x63\xa4data\x80", b"\x82\xa2id\xc0\xa4data\x80"]
        {
            client.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
            client.write_all(body).unwrap();
        }
        let last = b"\x82\xa2id\x03\xa4data\x82\xa4more\xc2\xadrows_affected\x07";
        client.write_all(&(last.len() as u32).to_be_bytes()).unwrap();
        client.write_all(last).unwrap();
    });
    let mut db = peer.options().connect().unwrap();
    assert_eq!(db.execute("DELETE FROM t", ()).unwrap().rows_affected, 7);
}

#[test]
fn messages_without_end_are_no_reply() {
    let daemon = Daemon::start();
    let peer = Peer::start(&daemon, 2, |mut client| {
        frame(&mut client);
        let flood = b"\0\0\0\x06\x81\xa2id\xa1x".repeat(10_000);
        while client.write_all(&flood).is_ok() {}
    });
    let mut db = peer.options().connect().unwrap();
    let error = db.execute("DELETE FROM t", ()).unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)) && error.to_string().contains("without end"), "{error:?}");
}

#[test]
fn what_the_daemon_says_before_it_closes_is_told() {
    let daemon = Daemon::start();
    let peer = Peer::start(&daemon, 2, |mut client| {
        let body = b"\x83\xa2id\xc0\xa4type\xa5error\xa4data\x82\xa4code\xadshutting_down\xa7message\xa6a word";
        client.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        client.write_all(body).unwrap();
    });
    let mut db = peer.options().connect().unwrap();
    let path = peer.path.clone();
    drop(peer); // It has closed the connection.
    let error = db.execute("DELETE FROM t", ()).unwrap_err();
    assert!(error.to_string().contains("a word"), "{error:?} of {}", path.display());
    assert!(matches!(error, Error::ConnectionLost(_)), "nothing was taken: {error:?}");
}

#[test]
fn a_place_where_others_can_put_a_socket_is_sent_nothing() {
    let daemon = Daemon::start();
    let directory = Directory::new();
    let link = directory.0.join("link");
    std::os::unix::fs::symlink(&daemon.socket, &link).unwrap();
    let connect = || Options::new().socket(&link).connect();
    connect().unwrap();
    // The link's own directory does not matter: what counts is where it leads.
    std::fs::set_permissions(&directory.0, PermissionsExt::from_mode(0o777)).unwrap();
    connect().unwrap();
    let place = daemon.socket.parent().unwrap();
    for mode in [0o777, 0o770] {
        std::fs::set_permissions(place, PermissionsExt::from_mode(mode)).unwrap();
        let error = connect().unwrap_err();
        assert!(matches!(error, Error::Untrusted(_)) && error.to_string().contains("Nothing was sent"), "{error:?}");
    }
    // As /tmp: others may write, but not take away what is not theirs.
    std::fs::set_permissions(place, PermissionsExt::from_mode(0o1777)).unwrap();
    connect().unwrap();
    let _: Connection = connect().unwrap();
}

#[test]
fn a_socket_that_is_not_open_says_so() {
    extern "C" {
        fn setfsuid(uid: u32) -> i32;
    }
    let daemon = Daemon::start();
    let open = |path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    open(daemon.socket.parent().unwrap(), 0o755);
    open(&*daemon.socket, 0);
    let options = daemon.options();
    let error = thread::spawn(move || {
        // Root may connect to any. SAFETY: the call changes nothing but of which user this thread is where there are files.
        unsafe { setfsuid(65534) };
        options.connect().unwrap_err()
    });
    let error = error.join().unwrap();
    assert!(matches!(error, Error::PermissionDenied(_)) && error.hint().unwrap().contains("group"), "{error:?}");
}

#[test]
fn whoever_else_listens_is_sent_nothing() {
    let directory = Directory::new();
    let path = directory.0.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    // Another user's socket, which only root can make.
    let status = std::process::Command::new("chown").args(["-h", "65534"]).arg(&path).status().unwrap();
    if !status.success() {
        eprintln!("not tried: another user's socket needs root");
        return;
    }
    let error = Options::new().socket(&path).connect().unwrap_err();
    assert!(matches!(error, Error::Untrusted(_)) && error.to_string().contains("65534"), "{error:?}");
    // Whoever connected is gone, and has said nothing.
    if let Ok((mut client, _)) = listener.accept() {
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }
    // He is named: now it is the silence of the listener that is complained of.
    let trusting = Options::new().socket(&path).trust_user("65534").connect_timeout(Duration::from_millis(100));
    let error = trusting.patience(Duration::from_millis(50)).connect().unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)), "{error:?}");
}
