//! Files that the daemon writes into.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::io::{AsFd, BorrowedFd};

use crate::codec::Data;
use crate::connection::milliseconds;
use crate::descriptors;
use crate::link::{Fields, Piped};
use crate::reading::{is_last, no_pipe, read_piece};
use crate::{Connection, Error, Params};

/// How often the closure of [`Export::on_progress`] is called at most.
pub(crate) const PROGRESS_MS: u64 = 100;

/// How rows stand in a file: docs/protocol.md, Transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// RFC 4180.
    #[default]
    Csv,
    /// The text format of PostgreSQL's COPY.
    Tsv,
    /// One array of objects.
    Json,
    /// An object on each line.
    JsonLines,
    /// The stream of Apache Arrow's IPC format.
    Arrow,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Tsv => "tsv",
            Format::Json => "json",
            Format::JsonLines => "jsonl",
            Format::Arrow => "arrow",
        }
    }
}

/// What is said of an export, beside its statement.
#[derive(Default)]
pub struct Export<'a> {
    format: Format,
    leaves_out_header: bool,
    max_rows: Option<u64>,
    on_progress: Option<Box<dyn FnMut(u64) + 'a>>,
}

impl<'a> Export<'a> {
    /// CSV of all rows, with a line of names.
    pub fn new() -> Self {
        Export::default()
    }

    /// In another format than CSV.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Whether CSV and TSV begin with the names of the columns.
    pub fn header(mut self, is_wanted: bool) -> Self {
        self.leaves_out_header = !is_wanted;
        self
    }

    /// At most so many rows.
    pub fn max_rows(mut self, count: u64) -> Self {
        self.max_rows = Some(count);
        self
    }

    /// What is called with the bytes that are written, about ten times a second.
    pub fn on_progress(mut self, call: impl FnMut(u64) + 'a) -> Self {
        self.on_progress = Some(Box::new(call));
        self
    }

    fn put(&self, fields: &mut Fields<'_>) {
        fields.text("format", self.format.name());
        if self.leaves_out_header {
            fields.boolean("header", false);
        }
        if let Some(count) = self.max_rows {
            fields.integer("max_rows", count);
        }
    }
}

impl fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("format", &self.format).finish_non_exhaustive()
    }
}

/// Where the daemon writes.
enum Target<'a> {
    File(BorrowedFd<'a>),
    Writer(&'a mut dyn Write),
}

/// What an export has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Into the file.
    pub bytes: u64,
    /// How many there were.
    pub rows: u64,
    /// Whether [`Export::max_rows`] has cut the result.
    pub is_truncated: bool,
}

impl Connection {
    /// Writes the rows of a statement into a file or a pipe that is open for writing, from where it stands. The daemon writes: the
    /// rows do not go through this program. After an error the file may have a part.
    ///
    /// # Errors
    /// What the daemon says of the statement or the file; of a file in memory (a tmpfs), too, which would be the daemon's memory, and
    /// which [`export_to`](Connection::export_to) takes.
    pub fn export(
        &mut self,
        sql: &str,
        params: impl Params,
        file: impl AsFd,
        export: Export<'_>,
    ) -> Result<Exported, Error> {
        self.run_export(sql, params, Target::File(file.as_fd()), export)
    }

    /// [`export`](Connection::export) into whatever can be written to, such as a `Vec<u8>` or an encoder: the daemon writes into a
    /// pipe, and this thread from there into the writer. While the writer waits, nothing else is done. It is not flushed.
    ///
    /// # Errors
    /// As [`export`](Connection::export). [`Error::Output`] where writing fails, which stops the export.
    pub fn export_to(
        &mut self,
        sql: &str,
        params: impl Params,
        mut writer: impl Write,
        export: Export<'_>,
    ) -> Result<Exported, Error> {
        self.run_export(sql, params, Target::Writer(&mut writer), export)
    }

    fn run_export(
        &mut self,
        sql: &str,
        params: impl Params,
        target: Target<'_>,
        mut export: Export<'_>,
    ) -> Result<Exported, Error> {
        let (session, engine) = (self.session.clone(), self.engine);
        let mut on_progress = export.on_progress.take();
        let put = |fields: &mut Fields<'_>| {
            fields.text("sql", sql);
            fields.text("session", &session);
            export.put(fields);
            let count = params.put(fields.to, engine)?;
            fields.added(count);
            Ok(())
        };
        let told = on_progress.is_some();
        let reply = self.transfer("export", target, told, put, |bytes, _| {
            if let Some(call) = &mut on_progress {
                call(bytes);
            }
        })?;
        Ok(Exported {
            bytes: reply.get("bytes").as_u64().unwrap_or(0),
            rows: reply.get("row_count").as_u64().unwrap_or(0),
            is_truncated: reply.get("truncated").as_bool() == Some(true),
        })
    }

    /// Copies a SQLite database of the daemon's configuration as it is at one moment, while others write to it, into a file or a
    /// pipe. The closure is called with the bytes that are copied, and those of the database. Returns the latter.
    ///
    /// # Errors
    /// What the daemon says of the database or the file.
    pub fn backup(&mut self, file: impl AsFd, on_progress: impl FnMut(u64, u64)) -> Result<u64, Error> {
        self.run_backup(Target::File(file.as_fd()), on_progress)
    }

    /// [`backup`](Connection::backup) into whatever can be written to, as [`export_to`](Connection::export_to) does.
    ///
    /// # Errors
    /// As [`backup`](Connection::backup). [`Error::Output`] where writing fails, which stops it.
    pub fn backup_to(&mut self, mut writer: impl Write, on_progress: impl FnMut(u64, u64)) -> Result<u64, Error> {
        self.run_backup(Target::Writer(&mut writer), on_progress)
    }

    fn run_backup(&mut self, target: Target<'_>, on_progress: impl FnMut(u64, u64)) -> Result<u64, Error> {
        if self.options().url.is_some() {
            let message = "Only databases of the daemon's configuration can be copied.";
            return Err(Error::new("bad_request", message, Some("Connect to it by its name.")));
        }
        let database = self.options().database.clone();
        let put = |fields: &mut Fields<'_>| {
            if let Some(name) = &database {
                fields.text("database", name);
            }
            Ok(())
        };
        let reply = self.transfer("backup", target, true, put, on_progress)?;
        Ok(reply.get("bytes").as_u64().unwrap_or(0))
    }

    fn transfer(
        &mut self,
        kind: &str,
        target: Target<'_>,
        is_told: bool,
        put: impl FnOnce(&mut Fields<'_>) -> Result<(), Error>,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Data, Error> {
        self.end_pages();
        if !self.takes_descriptors {
            return Err(Error::new("bad_request", "This daemon takes no files.", None));
        }
        let mut tell = |reply: &Data| {
            let count = |key: &str| reply.get(key).as_u64().unwrap_or(0);
            on_progress(count("bytes"), count("total_bytes"));
        };
        match target {
            Target::File(file) => {
                let id = self.send_transfer(kind, file, is_told, put)?;
                loop {
                    let reply = self.link.receive_data(id, kind)?;
                    if is_last(&reply) {
                        return Ok(reply);
                    }
                    tell(&reply);
                }
            }
            Target::Writer(writer) => {
                let (output, input) = descriptors::pipe().map_err(|error| no_pipe("output", &error))?;
                let id = self.send_transfer(kind, input.as_fd(), is_told, put)?;
                // From now on the daemon alone writes, so that its end is noticed.
                drop(input);
                self.empty(id, kind, output, writer, &mut tell)
            }
        }
    }

    fn send_transfer(
        &mut self,
        kind: &str,
        file: BorrowedFd<'_>,
        is_told: bool,
        put: impl FnOnce(&mut Fields<'_>) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        let timeout = self.link.timeout;
        self.link.send_with(file, kind, |fields| {
            put(fields)?;
            fields.integer("descriptors", 1);
            if is_told {
                fields.integer("progress_ms", PROGRESS_MS);
            }
            if let Some(timeout) = timeout {
                fields.integer("timeout_ms", milliseconds(timeout));
            }
            Ok(())
        })
    }

    /// Writes what the daemon writes into a pipe on into the writer, until both have ended. Returns the daemon's last reply.
    fn empty(
        &mut self,
        id: i64,
        kind: &str,
        mut pipe: File,
        writer: &mut dyn Write,
        tell: &mut dyn FnMut(&Data),
    ) -> Result<Data, Error> {
        let (mut piece, mut done, mut is_empty) = (Vec::new(), None, false);
        loop {
            let next = match &done {
                None => self.link.next_or_bytes(id, kind, Some(&pipe).filter(|_| !is_empty))?,
                Some(_) => self.link.rest_of(&pipe, kind).map(|()| Piped::Ready)?,
            };
            match next {
                Piped::Reply(reply) if is_last(&reply) => done = Some(reply),
                Piped::Reply(reply) => tell(&reply),
                Piped::Ready => {
                    let written = read_piece(&mut pipe, &mut piece).and_then(|()| writer.write_all(&piece));
                    if let Err(error) = written {
                        // Who still writes into the pipe gets EPIPE.
                        drop(pipe);
                        if done.is_none() {
                            self.link.cancel_handle().cancel();
                            while !self.link.receive_at_leisure(id, kind).map_or(true, |reply| is_last(&reply)) {}
                        }
                        return Err(Error::new("output", format!("Writing has failed: {error}."), None));
                    }
                    is_empty = piece.is_empty();
                }
            }
            if is_empty {
                if let Some(reply) = done {
                    return Ok(reply);
                }
            }
        }
    }
}
