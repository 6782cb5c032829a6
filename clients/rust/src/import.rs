//! Rows of files that the daemon reads.

use std::fmt;
use std::io::Read;
use std::os::unix::io::AsFd;

use crate::codec::{self, Data};
use crate::link::Fields;
use crate::reading::Reading;
use crate::{Connection, Error, Format};

/// How a file is taken, and what becomes of its rows.
#[derive(Default)]
pub struct Import<'a> {
    format: Format,
    texts: Vec<(&'static str, String)>,
    flags: Vec<(&'static str, bool)>,
    columns: Option<Vec<String>>,
    max_rejected: u64,
    on_progress: Option<Box<dyn FnMut(ImportProgress) + 'a>>,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportProgress {
    /// That are done.
    pub bytes: u64,
    /// Of the file; not known of a pipe.
    pub total_bytes: Option<u64>,
    /// That are written.
    pub rows: u64,
    /// Lines that were refused.
    pub rejected: u64,
}

/// A line of the file that is no row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedLine {
    /// Counted from 1.
    pub line: u64,
    /// Why it was refused.
    pub reason: String,
}

/// A column of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedColumn {
    /// As in the table.
    pub name: String,
    /// Such as "integer" or "any", where it is known.
    pub type_name: Option<String>,
}

/// What an import has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Of the file.
    pub bytes: u64,
    /// That were written; in a dry run, how many there are.
    pub rows: u64,
    /// How many lines were refused.
    pub rejected_count: u64,
    /// The first 100 of them.
    pub rejected: Vec<RejectedLine>,
    /// Those that the fields belong to.
    pub columns: Vec<ImportedColumn>,
    /// The statement that makes the table, where [`Import::create`] was wanted.
    pub sql: Option<String>,
}

impl<'a> Import<'a> {
    /// CSV with a line of names, into a table that is there.
    pub fn new() -> Self {
        Import::default()
    }

    fn text(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.texts.push((key, value.into()));
        self
    }

    fn flag(mut self, key: &'static str, value: bool) -> Self {
        self.flags.push((key, value));
        self
    }

    /// In another format than CSV.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Whether the first line of CSV and TSV has the names of the columns.
    pub fn header(self, is_there: bool) -> Self {
        self.flag("header", is_there)
    }

    /// The table's schema, on MySQL its database.
    pub fn namespace(self, name: &str) -> Self {
        self.text("namespace", name)
    }

    /// Columns for the fields of each line, in order. Without them they are those that the first line names, or all of the table.
    /// In JSON, other keys are left out.
    pub fn columns<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// What is between two fields, instead of the comma or the tab.
    pub fn delimiter(self, character: char) -> Self {
        self.text("delimiter", character)
    }

    /// What stands for null, instead of the empty field of CSV or `\N` of TSV.
    pub fn null(self, text: &str) -> Self {
        self.text("null", text)
    }

    /// "utf-8", "utf-16le", "utf-16be" or "latin-1"; without, what the first bytes say.
    pub fn encoding(self, name: &str) -> Self {
        self.text("encoding", name)
    }

    /// Makes the table, with types by the first rows.
    pub fn create(self) -> Self {
        self.flag("create", true)
    }

    /// Only looks at the file: nothing is changed.
    pub fn dry_run(self) -> Self {
        self.flag("dry_run", true)
    }

    /// Leaves none of the rows where one is refused; on SQLite other writers wait until the end.
    pub fn atomic(self) -> Self {
        self.flag("atomic", true)
    }

    /// How many lines may be refused, and be named in the result, before it is an error.
    pub fn max_rejected(mut self, count: u64) -> Self {
        self.max_rejected = count;
        self
    }

    /// What is called about ten times a second.
    pub fn on_progress(mut self, call: impl FnMut(ImportProgress) + 'a) -> Self {
        self.on_progress = Some(Box::new(call));
        self
    }

    /// By which name of a request it is judged when the connection is lost: a dry run changes as little as a description.
    fn judged_as(&self) -> &'static str {
        if self.flags.contains(&("dry_run", true)) {
            "describe"
        } else {
            "import"
        }
    }

    fn put(&self, fields: &mut Fields<'_>) {
        fields.text("format", self.format.name());
        // The last word counts, and each is sent once.
        let texts = self.texts.iter().enumerate();
        for (_, (key, value)) in
            texts.filter(|(place, (key, _))| self.texts[place + 1..].iter().all(|later| later.0 != *key))
        {
            fields.text(key, value);
        }
        let flags = self.flags.iter().enumerate();
        for (_, (key, value)) in
            flags.filter(|(place, (key, _))| self.flags[place + 1..].iter().all(|later| later.0 != *key))
        {
            fields.boolean(key, *value);
        }
        if let Some(names) = &self.columns {
            codec::put_texts(fields.field("columns"), names);
        }
        if self.max_rejected > 0 {
            fields.integer("max_rejected", self.max_rejected);
        }
    }
}

impl fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("format", &self.format).finish_non_exhaustive()
    }
}

impl ImportProgress {
    fn of(reply: &Data) -> Self {
        let count = |key: &str| reply.get(key).as_u64();
        ImportProgress {
            bytes: count("bytes").unwrap_or(0),
            total_bytes: count("total_bytes"),
            rows: count("row_count").unwrap_or(0),
            rejected: count("rejected_count").unwrap_or(0),
        }
    }
}

impl Imported {
    fn of(reply: &Data) -> Self {
        let count = |data: &Data, key: &str| data.get(key).as_u64().unwrap_or(0);
        let text = |data: &Data, key: &str| data.get(key).as_str().map(str::to_owned);
        let rejected = reply
            .get("rejected")
            .items()
            .iter()
            .map(|item| RejectedLine { line: count(item, "line"), reason: text(item, "reason").unwrap_or_default() });
        let columns = reply
            .get("columns")
            .items()
            .iter()
            .map(|item| ImportedColumn { name: text(item, "name").unwrap_or_default(), type_name: text(item, "type") });
        Imported {
            bytes: count(reply, "bytes"),
            rows: count(reply, "row_count"),
            rejected_count: count(reply, "rejected_count"),
            rejected: rejected.collect(),
            columns: columns.collect(),
            sql: text(reply, "sql"),
        }
    }
}

impl Connection {
    /// Writes the rows of a file or a pipe that is open for reading into a table, from where it stands. The daemon reads: the rows do
    /// not go through this program.
    ///
    /// They are committed as they go, in a transaction at its end.
    ///
    /// # Errors
    /// What the daemon says, with the line of the file in the message, while [`Details::detail`](crate::Details::detail) says which
    /// rows are in the table.
    pub fn import(&mut self, table: &str, file: impl AsFd, import: Import<'_>) -> Result<Imported, Error> {
        self.run_import(table, import, |db, reading| db.read_file(file.as_fd(), reading))
    }

    /// [`import`](Connection::import) of what a reader gives, such as a slice of bytes or a decoder: a pipe is filled with it by this
    /// thread. While the reader waits, nothing else is done.
    ///
    /// # Errors
    /// As [`import`](Connection::import). [`Error::Input`] where reading fails, which stops the import as a cancellation does.
    pub fn import_from(&mut self, table: &str, mut reader: impl Read, import: Import<'_>) -> Result<Imported, Error> {
        self.run_import(table, import, |db, reading| db.read_from(&mut reader, reading))
    }

    fn run_import(
        &mut self,
        table: &str,
        mut import: Import<'_>,
        run: impl FnOnce(&mut Connection, Reading<'_>) -> Result<Data, Error>,
    ) -> Result<Imported, Error> {
        self.end_pages();
        let session = self.session.clone();
        let mut on_progress = import.on_progress.take();
        let put = |fields: &mut Fields<'_>| {
            fields.text("relation", table);
            fields.text("session", &session);
            import.put(fields);
        };
        let is_told = on_progress.is_some();
        let mut tell = |reply: &Data| {
            if let Some(call) = &mut on_progress {
                call(ImportProgress::of(reply));
            }
        };
        let judged_as = import.judged_as();
        let reply = run(self, Reading { kind: "import", judged_as, is_told, put: &put, tell: &mut tell })?;
        Ok(Imported::of(&reply))
    }
}
