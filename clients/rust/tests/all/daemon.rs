//! A daemon for the tests, in a directory of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use litebase::{CancelHandle, Connection, Error, Options};

/// How long the tests wait for what has to come, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A directory that vanishes with it.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Directory {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/tmp/litebase-rust-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        // Whatever the umask: nobody else may put a socket there.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Daemon {
    pub socket: PathBuf,
    process: Child,
    directory: Directory,
}

impl Daemon {
    pub fn start() -> Daemon {
        let directory = Directory::new();
        let socket = directory.0.join("litebase.sock");
        let process = Daemon::spawn(&socket, &directory);
        let daemon = Daemon { socket, process, directory };
        wait_until("the daemon accepts connections", || UnixStream::connect(&daemon.socket).is_ok());
        daemon
    }

    /// Starts the program again, on the files that the former one has left.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Daemon::spawn(&self.socket, &self.directory);
        wait_until("the daemon accepts connections", || UnixStream::connect(&self.socket).is_ok());
    }

    fn spawn(socket: &Path, directory: &Directory) -> Child {
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.build/release/litebased");
        let program = env::var_os("LITEBASED").unwrap_or_else(|| built.into());
        let mut command = Command::new(program);
        command.args(["--listen", "standalone", "--socket"]).arg(socket).stdin(Stdio::null()).stderr(Stdio::null());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("LITEBASE") || text.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        for name in ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "STATE_DIRECTORY"] {
            command.env(name, &directory.0);
        }
        command.spawn().expect("litebased")
    }

    pub fn options(&self) -> Options {
        Options::new().socket(&self.socket)
    }

    pub fn connect(&self) -> Connection {
        self.options().connect().unwrap()
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How many ends of pipes it has open.
    pub fn pipes(&self) -> usize {
        let targets = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        targets
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("pipe:"))
            .count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LONG, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// How many rows a table has.
pub fn count(db: &mut Connection, table: &str) -> i64 {
    db.query_one::<(i64,)>(&format!("SELECT count(*) FROM {table}"), ()).unwrap().0
}

/// Sets it when it is dropped, also by a test that fails.
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What `body` returns while another thread cancels, after a pause, again and again until it does: the first time may come before
/// the request was sent.
pub fn while_cancelling<T>(handle: &CancelHandle, pause: Duration, body: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(pause);
            while !is_over.load(Ordering::SeqCst) {
                handle.cancel();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let _over = Over(&is_over);
        body()
    })
}

/// Makes a transfer through connections that end behind ever more bytes, `step` at a time, in one of the directions, until it is done.
pub fn lost_at_every_step(
    daemon: &Daemon,
    step: usize,
    mut transfer: impl FnMut(&mut Connection) -> Result<(), Error>,
) {
    for to_daemon in [false, true] {
        for bytes in (0..).step_by(step) {
            let place = Directory::new();
            let (path, worker) = cut_connection(&daemon.socket, &place.0, to_daemon, bytes);
            let done = daemon.options().socket(&path).connect().and_then(|mut cut| transfer(&mut cut));
            worker.join().unwrap();
            match done {
                // The proxy passes no files: the daemon says that there is none.
                Ok(()) | Err(Error::BadRequest(_)) => break,
                Err(Error::ConnectionLost(_) | Error::OutcomeUnknown(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
            assert!(bytes < 100_000);
        }
    }
}

/// A proxy in front of a daemon, that ends the connection behind so many bytes in one of the directions.
pub fn cut_connection(
    upstream: &Path,
    directory: &Path,
    to_daemon: bool,
    bytes: usize,
) -> (PathBuf, thread::JoinHandle<usize>) {
    use std::io::{Read, Write};
    let path = directory.join(format!("cut-{to_daemon}-{bytes}"));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let upstream = upstream.to_owned();
    let worker = thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let daemon = UnixStream::connect(upstream).unwrap();
        let forward = |mut from: UnixStream, mut to: UnixStream, limit: usize| {
            move || {
                let mut passed = 0;
                let mut buffer = [0; 4096];
                while passed < limit {
                    let wanted = buffer.len().min(limit - passed);
                    match from.read(&mut buffer[..wanted]) {
                        Ok(count) if count > 0 && to.write_all(&buffer[..count]).is_ok() => passed += count,
                        _ => break,
                    }
                }
                let _ = from.shutdown(std::net::Shutdown::Both);
                let _ = to.shutdown(std::net::Shutdown::Both);
                passed
            }
        };
        let (up, down) = if to_daemon { (bytes, usize::MAX) } else { (usize::MAX, bytes) };
        let other = thread::spawn(forward(client.try_clone().unwrap(), daemon.try_clone().unwrap(), up));
        let passed = forward(daemon, client, down)();
        let sent = other.join().unwrap();
        if to_daemon {
            sent
        } else {
            passed
        }
    });
    (path, worker)
}
