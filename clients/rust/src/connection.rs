//! A session with one database.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::address;
use crate::codec::{self, Data};
use crate::link::{Fields, Link};
use crate::rows::{Outcome, Pages, Rows, Stream};
use crate::shared::CancelHandle;
use crate::{Batch, Error, FromRow, Options, Params, Transaction};

/// What a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// SQLite, within the daemon.
    Sqlite,
    /// A PostgreSQL server.
    PostgreSql,
    /// A MySQL or MariaDB server.
    MySql,
    /// A Redis server.
    Redis,
    /// One that this version does not know.
    Other,
}

impl Engine {
    fn of(name: &str) -> Engine {
        match name {
            "sqlite" => Engine::Sqlite,
            "postgresql" => Engine::PostgreSql,
            "mysql" => Engine::MySql,
            "redis" => Engine::Redis,
            _ => Engine::Other,
        }
    }
}

/// What the transaction of a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionState {
    /// There is none: statements are committed by themselves.
    None,
    /// One is open.
    Active,
    /// One is open in which a statement has failed, and which can only be rolled back (PostgreSQL).
    Failed,
}

impl TransactionState {
    pub(crate) fn of(name: &str) -> TransactionState {
        match name {
            "none" => TransactionState::None,
            "failed" => TransactionState::Failed,
            _ => TransactionState::Active,
        }
    }
}

/// A database that the daemon serves, as [`Connection::databases`] lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// Its name in the daemon's configuration.
    pub name: String,
    /// What it is.
    pub engine: Engine,
    /// Whether the caller may only read.
    pub is_read_only: bool,
    /// Whether it is the one that is opened without a name.
    pub is_default: bool,
    /// Whether the daemon opens it to nobody, for its configuration's sake.
    pub is_disabled: bool,
}

/// What the daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// "healthy".
    pub status: String,
    /// The daemon's.
    pub version: String,
    /// The daemon's process.
    pub pid: u64,
    /// For how long it has been running.
    pub uptime: Duration,
}

/// A session with one database. One statement runs at a time.
///
/// It is `Send`: a program with several threads gives each its own, or shares one within a `Mutex`. It is `Sync`, too, but all
/// that talks to the daemon needs `&mut`. Other threads stop it by a [`CancelHandle`].
pub struct Connection {
    pub(crate) link: Link,
    pub(crate) session: String,
    pub(crate) engine: Engine,
    server_version: String,
    daemon_version: String,
    is_read_only: bool,
    options: Options,
    /// Whether the daemon takes files.
    pub(crate) takes_descriptors: bool,
    savepoints: u64,
    /// The query that waits until its next page is asked for, and how many rows a page has.
    pub(crate) open_pages: Option<(i64, usize)>,
}

impl Connection {
    /// Opens a session with the caller's default database, at the socket where `litebase` looks for it.
    ///
    /// # Errors
    /// As [`Options::connect`].
    pub fn connect() -> Result<Connection, Error> {
        Options::new().connect()
    }

    pub(crate) fn open(options: Options) -> Result<Connection, Error> {
        let (mut link, hello) = greet(&options, true)?;
        let opened = link.ask("db_connect", |fields| {
            if let Some(name) = &options.database {
                fields.text("database", name);
            }
            if let Some(url) = &options.url {
                fields.text("url", url);
            }
            if options.is_read_only {
                fields.boolean("read_only", true);
            }
            Ok(())
        })?;
        link.connect_timeout = None;
        link.timeout = options.timeout;
        let text = |data: &Data, key: &str| data.get(key).as_str().unwrap_or_default().to_owned();
        Ok(Connection {
            link,
            session: text(&opened, "session"),
            engine: Engine::of(opened.get("engine").as_str().unwrap_or_default()),
            server_version: text(&opened, "server_version"),
            daemon_version: text(&hello, "version"),
            is_read_only: opened.get("read_only").as_bool().unwrap_or(false),
            options,
            takes_descriptors: hello.get("descriptors").as_bool() == Some(true),
            savepoints: 0,
            open_pages: None,
        })
    }

    /// Opens another session in place of this one, with the same options. Nothing is repeated: temporary tables, settings and an
    /// open transaction of the former session are gone.
    ///
    /// # Errors
    /// As [`Options::connect`]; the former session is over then, too.
    pub fn reconnect(&mut self) -> Result<(), Error> {
        self.link.cancel_handle().abort();
        let timeout = self.link.timeout;
        *self = Connection::open(self.options.clone())?;
        self.link.timeout = timeout;
        Ok(())
    }

    /// Whether the connection is of no use any more. It stays so until [`reconnect`](Connection::reconnect).
    pub fn is_lost(&self) -> bool {
        self.link.failure().is_some()
    }

    /// What the database is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The version of the database, as it says it.
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// The version of the daemon.
    pub fn daemon_version(&self) -> &str {
        &self.daemon_version
    }

    /// Whether the session can change nothing.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Limits the time of each further statement, which the daemon keeps, and which ends with [`Error::Timeout`]; `None` for no
    /// limit. It is the daemon's time: not that in which the program takes rows. A daemon that does not keep it is given up
    /// ([`Options::patience`]).
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.link.timeout = timeout;
    }

    /// What stops a statement from another thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.link.cancel_handle()
    }

    // Statements

    /// Runs a statement, and returns when the first of its rows are there. Placeholders are the engine's.
    ///
    /// # Errors
    /// What the daemon says of it.
    pub fn query(&mut self, sql: &str, params: impl Params) -> Result<Rows<'_>, Error> {
        let id = self.send_query(sql, &params, None)?;
        let mut rows = Rows { connection: self, stream: Stream::new(id) };
        rows.stream.receive(&mut rows.connection.link)?;
        Ok(rows)
    }

    /// The one row of a query, as a tuple or whatever implements [`FromRow`]. Further rows are not looked at.
    ///
    /// # Errors
    /// As [`query`](Connection::query); [`Error::NoRow`]; [`Error::Conversion`].
    pub fn query_one<T: FromRow>(&mut self, sql: &str, params: impl Params) -> Result<T, Error> {
        self.query_optional(sql, params)?.ok_or_else(|| Error::new("no_row", "The query has given no row.", None))
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// As [`query`](Connection::query); [`Error::Conversion`].
    pub fn query_optional<T: FromRow>(&mut self, sql: &str, params: impl Params) -> Result<Option<T>, Error> {
        match self.query(sql, params)?.next() {
            Some(row) => row?.read().map(Some),
            None => Ok(None),
        }
    }

    /// Runs a statement whose rows are not wanted.
    ///
    /// # Errors
    /// What the daemon says of it.
    pub fn execute(&mut self, sql: &str, params: impl Params) -> Result<Outcome, Error> {
        let id = self.send_query(sql, &params, None)?;
        loop {
            let head = self.link.receive_rows(id, None)?;
            if !head.more {
                return Ok(Outcome::of(&head));
            }
        }
    }

    /// Runs a query whose rows are taken in pages of so many rows.
    ///
    /// # Errors
    /// What the daemon says of it.
    pub fn pages(&mut self, sql: &str, params: impl Params, rows_per_page: usize) -> Result<Pages, Error> {
        if rows_per_page == 0 {
            return Err(Error::new("bad_request", "A page has one row at least.", None));
        }
        let id = self.send_query(sql, &params, Some(rows_per_page as u64))?;
        let mut pages = Pages { id, rows_per_page, columns: Arc::default(), first: None, is_complete: false };
        let page = pages.receive(self)?;
        pages.first = (!page.is_empty()).then_some(page);
        Ok(pages)
    }

    fn send_query(&mut self, sql: &str, params: &impl Params, page_rows: Option<u64>) -> Result<i64, Error> {
        self.end_pages();
        let Connection { link, session, engine, .. } = self;
        let (engine, timeout) = (*engine, link.timeout);
        link.send("query", |fields: &mut Fields<'_>| {
            fields.text("sql", sql);
            fields.text("session", session);
            if let Some(timeout) = timeout {
                fields.integer("timeout_ms", milliseconds(timeout));
            }
            if let Some(page_rows) = page_rows {
                fields.integer("page_rows", page_rows);
            } else if engine == Engine::MySql {
                fields.boolean("result_sets", true);
            }
            let count = params.put(fields.to, engine)?;
            fields.added(count);
            Ok(())
        })
    }

    /// Several statements in one message, which is done as a whole or not at all.
    pub fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }

    // Transactions

    /// Begins a transaction; within one, makes a savepoint. It is rolled back where it is dropped without a commit.
    ///
    /// # Errors
    /// What the daemon says of it.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, None)
    }

    /// Begins a transaction in the engine's own words, such as "BEGIN ISOLATION LEVEL SERIALIZABLE".
    ///
    /// # Errors
    /// What the daemon says of it; [`Error::BadRequest`] within another one.
    pub fn transaction_by(&mut self, statement: &str) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self, Some(statement))
    }

    /// Runs a closure in a transaction, which is committed when it returns `Ok`, and rolled back when it returns `Err` or panics.
    ///
    /// # Errors
    /// The closure's; what the daemon says of the transaction.
    pub fn in_transaction<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.transaction()?;
        let done = work(&mut transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// What the session's transaction is.
    ///
    /// # Errors
    /// Where the connection is lost.
    pub fn transaction_state(&mut self) -> Result<TransactionState, Error> {
        self.link.settle()?;
        Ok(self.link.transaction)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn begin_statement(&self) -> &str {
        &self.options.begin
    }

    pub(crate) fn savepoint_name(&mut self) -> String {
        self.savepoints += 1;
        format!("litebase_{}", self.savepoints)
    }

    // What else the daemon can do

    /// Asks the daemon how it is.
    ///
    /// # Errors
    /// Where it does not say "healthy".
    pub fn health(&mut self) -> Result<Health, Error> {
        let reply = self.request("health_check", &Data::Null)?;
        let text = |key: &str| reply.get(key).as_str().unwrap_or_default().to_owned();
        Ok(Health {
            status: text("status"),
            version: text("version"),
            pid: reply.get("pid").as_u64().unwrap_or(0),
            uptime: Duration::from_millis(reply.get("uptime_ms").as_u64().unwrap_or(0)),
        })
    }

    /// The databases that the caller may open.
    ///
    /// # Errors
    /// What the daemon says.
    pub fn databases(&mut self) -> Result<Vec<DatabaseInfo>, Error> {
        let reply = self.request("list_databases", &Data::Null)?;
        let list = reply.get("databases").items().iter().map(|entry| DatabaseInfo {
            name: entry.get("name").as_str().unwrap_or_default().to_owned(),
            engine: Engine::of(entry.get("engine").as_str().unwrap_or_default()),
            is_read_only: entry.get("access").as_str() != Some("read_write"),
            is_default: entry.get("default").as_bool().unwrap_or(false),
            is_disabled: entry.get("disabled").as_bool().unwrap_or(false),
        });
        Ok(list.collect())
    }

    /// Sends any request of docs/protocol.md that has one reply, such as "activity", "stats" or "describe", and returns its data.
    ///
    /// # Errors
    /// What the daemon says of it.
    pub fn request(&mut self, kind: &str, data: &Data) -> Result<Data, Error> {
        self.end_pages();
        self.link.ask_with(kind, data)
    }

    /// The session's name, for requests that have a field `session`.
    pub fn session(&self) -> &str {
        &self.session
    }
}

/// Connects, without a session, and says who this is. One that will have a session takes notices and passes files.
///
/// The link has the time limit of connecting until somebody takes it off. Returns what the daemon says of itself, too.
pub(crate) fn greet(options: &Options, has_session: bool) -> Result<(Link, Data), Error> {
    let socket = address::open(options.socket.as_deref(), &options.trusted)?;
    let on_notice = options.on_notice.clone().filter(|_| has_session);
    let mut link = Link::new(socket, options.patience, on_notice)
        .map_err(|error| Error::lost(format!("The socket cannot be used: {error}.")))?;
    link.connect_timeout = Some(options.connect_timeout);
    let own = env::args_os().next().map(PathBuf::from);
    let own = own.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let hello = link.ask("hello", |fields| {
        fields.text("client", options.client.as_deref().or(own.as_deref()).unwrap_or("rust"));
        let versions = fields.field("protocol");
        codec::put_list_head(versions, 1);
        codec::put_integer(versions, 1);
        fields.boolean("notices", has_session);
        fields.boolean("descriptors", has_session);
        Ok(())
    })?;
    if let Some(bytes) = hello.get("limits").get("frame_bytes_max").as_u64() {
        link.limit_frames(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    Ok((link, hello))
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("engine", &self.engine)
            .field("transaction", &self.link.transaction)
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}
