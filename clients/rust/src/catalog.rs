//! What is in a database, and what may come next in a statement.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::codec::{self, Data};
use crate::connection::milliseconds;
use crate::{Connection, Error};

/// What [`Connection::catalog`] tells, one level at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Schemas, attached databases, databases of MySQL.
    Namespaces,
    /// Tables, views and the like.
    Relations,
    /// Of relations.
    Columns,
    /// Primary and unique keys.
    Keys,
    /// With both sides.
    ForeignKeys,
    /// Of relations.
    Indexes,
    /// Of relations.
    Triggers,
    /// Functions and procedures.
    Routines,
    /// Types of the database's own.
    Types,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Namespaces => "namespaces",
            Level::Relations => "relations",
            Level::Columns => "columns",
            Level::Keys => "keys",
            Level::ForeignKeys => "foreign_keys",
            Level::Indexes => "indexes",
            Level::Triggers => "triggers",
            Level::Routines => "routines",
            Level::Types => "types",
        }
    }
}

/// What is wanted of a catalog: all of a level, unless it is narrowed.
#[derive(Debug, Clone, Default)]
pub struct CatalogQuery {
    texts: Vec<(&'static str, String)>,
    flags: Vec<&'static str>,
    kinds: Vec<String>,
    max_rows: Option<u64>,
}

impl CatalogQuery {
    /// All of a level.
    pub fn new() -> Self {
        CatalogQuery::default()
    }

    fn text(mut self, key: &'static str, value: &str) -> Self {
        self.texts.retain(|pair| pair.0 != key);
        self.texts.push((key, value.to_owned()));
        self
    }

    fn flag(mut self, key: &'static str) -> Self {
        if !self.flags.contains(&key) {
            self.flags.push(key);
        }
        self
    }

    /// Only what is in this namespace.
    pub fn namespace(self, name: &str) -> Self {
        self.text("namespace", name)
    }

    /// Only this relation, and what belongs to it.
    pub fn relation(self, name: &str) -> Self {
        self.text("relation", name)
    }

    /// Only names that fit this text, the best first.
    pub fn matching(self, text: &str) -> Self {
        self.text("match", text)
    }

    /// Only this kind of relations, keys, routines or types, such as "view"; several may be given.
    pub fn kind(mut self, kind: &str) -> Self {
        self.kinds.push(kind.to_owned());
        self
    }

    /// Also the texts that make the objects.
    pub fn definitions(self) -> Self {
        self.flag("definitions")
    }

    /// Has the daemon read it anew in any case.
    pub fn refresh(self) -> Self {
        self.flag("refresh")
    }

    /// The [`etag`](Catalog::etag) of an earlier catalog: if it still holds, there are no rows.
    pub fn etag(self, etag: &str) -> Self {
        self.text("etag", etag)
    }

    /// At most so many rows.
    pub fn max_rows(mut self, count: u64) -> Self {
        self.max_rows = Some(count);
        self
    }
}

/// A row of a catalog. What the engine does not have or know is null.
#[derive(Clone, PartialEq)]
pub struct CatalogRow {
    columns: Arc<Vec<String>>,
    values: Vec<Data>,
}

impl CatalogRow {
    /// The names of the columns: docs/protocol.md, Catalog.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The value of a column; [`Data::Null`] where there is none.
    pub fn get(&self, column: &str) -> &Data {
        let place = self.columns.iter().position(|name| name == column);
        place.and_then(|place| self.values.get(place)).unwrap_or(&Data::Null)
    }

    /// A text; none for null.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.get(column).as_str()
    }

    /// An integer; none for null.
    pub fn integer(&self, column: &str) -> Option<i64> {
        self.get(column).as_i64()
    }

    /// A boolean, false for null.
    pub fn is(&self, column: &str) -> bool {
        self.get(column).as_bool().unwrap_or(false)
    }

    /// A list of names, such as the columns of a key; in that of an index, "" stands for an expression.
    pub fn texts(&self, column: &str) -> Vec<&str> {
        self.get(column).items().iter().map(|item| item.as_str().unwrap_or_default()).collect()
    }
}

impl fmt::Debug for CatalogRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.columns.iter().zip(&self.values)).finish()
    }
}

/// The rows of a catalog, as they come. Made by [`Connection::catalog`]; where it is dropped before its end, it is stopped.
pub struct Catalog<'a> {
    connection: &'a mut Connection,
    id: i64,
    columns: Arc<Vec<String>>,
    rows: std::vec::IntoIter<Data>,
    /// The last reply.
    end: Option<Data>,
    has_failed: bool,
}

impl Catalog<'_> {
    /// A mark of the whole catalog, for a later query; none as long as not all rows were taken.
    pub fn etag(&self) -> Option<&str> {
        self.end.as_ref().and_then(|end| end.get("etag").as_str())
    }

    /// Whether the mark of the query still holds, so that there are no rows.
    pub fn is_unchanged(&self) -> bool {
        self.end.as_ref().map_or(false, |end| end.get("unchanged").as_bool() == Some(true))
    }

    fn is_over(&self) -> bool {
        self.end.is_some() || self.has_failed
    }

    fn receive(&mut self) -> Result<(), Error> {
        let data = self.connection.link.receive_data(self.id, "catalog").map_err(|error| {
            self.has_failed = true;
            error
        })?;
        let names = data.get("columns").items().iter().map(|column| column.get("name").as_str().unwrap_or_default());
        let names: Vec<_> = names.map(str::to_owned).collect();
        if !names.is_empty() {
            self.columns = Arc::new(names);
        }
        let (mut rows, mut rest) = (Vec::new(), Vec::new());
        if let Data::Map(pairs) = data {
            for (key, value) in pairs {
                match value {
                    Data::List(list) if key == "rows" => rows = list,
                    value => rest.push((key, value)),
                }
            }
        }
        self.rows = rows.into_iter();
        let rest = Data::Map(rest);
        if rest.get("more").as_bool() != Some(true) {
            self.end = Some(rest);
        }
        Ok(())
    }
}

impl Iterator for Catalog<'_> {
    type Item = Result<CatalogRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(Data::List(values)) = self.rows.next() {
                return Some(Ok(CatalogRow { columns: Arc::clone(&self.columns), values }));
            }
            if self.is_over() {
                return None;
            }
            if let Err(error) = self.receive() {
                return Some(Err(error));
            }
        }
    }
}

impl fmt::Debug for Catalog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Drop for Catalog<'_> {
    fn drop(&mut self) {
        if !self.is_over() {
            // It is nothing of a transaction, and may be stopped within one.
            self.connection.link.leave(self.id, true, None);
        }
    }
}

/// One proposal of a [`Completion`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletionItem {
    /// What is to be inserted, in quotes where it needs them.
    pub text: String,
    /// What is to be shown.
    pub label: String,
    /// "keyword", "relation", "column", "join" and so on: docs/protocol.md.
    pub kind: String,
    /// A type or a signature.
    pub detail: Option<String>,
    /// What a column belongs to.
    pub relation: Option<String>,
}

/// What may come next in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// What an item takes the place of, in bytes: `sql.replace_range(range, &item.text)`.
    pub range: Range<usize>,
    /// The best first.
    pub items: Vec<CompletionItem>,
    /// Whether the names of the database are not all known yet, so that it is worth asking again after a moment.
    pub is_incomplete: bool,
}

impl Connection {
    /// Tells what is in the database, one level at a time, in rows that are the same for every engine.
    ///
    /// # Errors
    /// What the daemon says of it.
    pub fn catalog(&mut self, level: Level, query: CatalogQuery) -> Result<Catalog<'_>, Error> {
        self.end_pages();
        let Connection { link, session, .. } = self;
        let timeout = link.timeout;
        let id = link.send("catalog", |fields| {
            fields.text("level", level.name());
            fields.text("session", session);
            query.texts.iter().for_each(|(key, value)| fields.text(key, value));
            query.flags.iter().for_each(|key| fields.boolean(key, true));
            if !query.kinds.is_empty() {
                codec::put_texts(fields.field("kinds"), &query.kinds);
            }
            if let Some(count) = query.max_rows {
                fields.integer("max_rows", count);
            }
            if let Some(timeout) = timeout {
                fields.integer("timeout_ms", milliseconds(timeout));
            }
            Ok(())
        })?;
        let columns = Arc::default();
        let mut catalog =
            Catalog { connection: self, id, columns, rows: Vec::new().into_iter(), end: None, has_failed: false };
        catalog.receive()?;
        Ok(catalog)
    }

    /// Says what may come next in a statement, which need not be whole, at a place of it in bytes (`sql.len()` for its end). Names
    /// in `recent`, the latest first, come before others. It is answered from memory.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the place is none of the text.
    pub fn complete(&mut self, sql: &str, cursor: usize, limit: u64, recent: &[&str]) -> Result<Completion, Error> {
        if !sql.is_char_boundary(cursor) {
            let message = format!("{cursor} is no place between characters of a text of {} bytes.", sql.len());
            return Err(Error::new("bad_request", message, None));
        }
        self.end_pages();
        let Connection { link, session, .. } = self;
        let reply = link.ask("complete", |fields| {
            fields.text("sql", sql);
            fields.integer("cursor", cursor as u64);
            fields.text("session", session);
            fields.integer("limit", limit);
            if !recent.is_empty() {
                codec::put_texts(fields.field("recent"), recent);
            }
            Ok(())
        })?;
        let place = |key: &str| reply.get("replace").get(key).as_u64().and_then(|place| usize::try_from(place).ok());
        let range = place("from").unwrap_or(cursor)..place("to").unwrap_or(cursor);
        if sql.get(range.clone()).is_none() {
            return Err(self.link.lost_beneath("complete", Error::lost(codec::Malformed.to_string())));
        }
        let text = |item: &Data, key: &str| item.get(key).as_str().map(str::to_owned);
        let items = reply.get("items").items().iter().map(|item| CompletionItem {
            text: text(item, "text").unwrap_or_default(),
            label: text(item, "label").unwrap_or_default(),
            kind: text(item, "kind").unwrap_or_default(),
            detail: text(item, "detail"),
            relation: text(item, "relation"),
        });
        let is_incomplete = reply.get("incomplete").as_bool() == Some(true);
        Ok(Completion { range, items: items.collect(), is_incomplete })
    }
}
