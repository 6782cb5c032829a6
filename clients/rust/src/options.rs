//! What to connect to, and how.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Data;
use crate::link::OnNotice;
use crate::{Connection, Error};

/// What to connect to. Without anything, the caller's default database at the socket where `litebase` looks for it.
#[derive(Clone)]
#[must_use = "options connect to nothing by themselves"]
pub struct Options {
    pub(crate) database: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) is_read_only: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) begin: String,
    pub(crate) client: Option<String>,
    pub(crate) trusted: Vec<String>,
    pub(crate) on_notice: Option<OnNotice>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            database: None,
            url: None,
            socket: None,
            is_read_only: false,
            timeout: None,
            connect_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(5),
            begin: "BEGIN".to_owned(),
            client: None,
            trusted: Vec::new(),
            on_notice: None,
        }
    }
}

impl Options {
    /// The caller's default database.
    pub fn new() -> Options {
        Options::default()
    }

    /// A database by its name in the daemon's configuration.
    pub fn database(mut self, name: &str) -> Self {
        self.database = Some(name.to_owned());
        self
    }

    /// A database that is not configured: "sqlite:/srv/x.db", "sqlite::memory:", "postgresql://…".
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    /// The path of the daemon's socket.
    pub fn socket(mut self, path: impl AsRef<Path>) -> Self {
        self.socket = Some(path.as_ref().to_owned());
        self
    }

    /// The daemon refuses what would write.
    pub fn read_only(mut self, is_read_only: bool) -> Self {
        self.is_read_only = is_read_only;
        self
    }

    /// For each statement; the daemon keeps it. See [`Connection::set_timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long the daemon may take to open the session; 30 s if nothing is said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How much longer the daemon may take to answer a cancellation, or a statement whose time is over, before the connection is
    /// given up; 5 s if nothing is said.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What begins a transaction; "BEGIN" if nothing is said. With SQLite, "BEGIN IMMEDIATE" waits for other writers at once.
    pub fn begin(mut self, statement: &str) -> Self {
        self.begin = statement.to_owned();
        self
    }

    /// The program's name for the daemon's administrator; that of its file if nothing is said.
    pub fn client(mut self, name: &str) -> Self {
        self.client = Some(name.to_owned());
        self
    }

    /// A user, by name in /etc/passwd or by number, who may listen at the socket, beside root, litebase and the program's own user.
    pub fn trust_user(mut self, user: &str) -> Self {
        self.trusted.push(user.to_owned());
        self
    }

    /// What is called with what the daemon or the database says beside results (docs/protocol.md, notices), by the thread that
    /// waits for a reply.
    pub fn on_notice(mut self, call: impl Fn(&Data) + Send + Sync + 'static) -> Self {
        self.on_notice = Some(Arc::new(call));
        self
    }

    /// Opens a session.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] where nobody listens, or the database cannot be reached; [`Error::Untrusted`] where somebody else
    /// may listen; what the daemon says.
    pub fn connect(&self) -> Result<Connection, Error> {
        Connection::open(self.clone())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL, in which a password may be.
        f.debug_struct("Options")
            .field("database", &self.database)
            .field("socket", &self.socket)
            .field("is_read_only", &self.is_read_only)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
