//! Results of statements: rows as they come, and pages.

use std::fmt;
use std::sync::Arc;

use crate::link::Link;
use crate::page::{Column, Head, Page, PageData, Row};
use crate::{Connection, Engine, Error, FromRow, TransactionState};

/// What a statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// By INSERT, UPDATE, DELETE.
    pub rows_affected: u64,
    /// Where the engine gives one.
    pub last_insert_id: Option<i64>,
    /// How many warnings a MySQL server has, which SHOW WARNINGS tells; `None` where it has none, or does not say it.
    pub warning_count: Option<u64>,
}

impl Outcome {
    pub(crate) fn of(head: &Head) -> Outcome {
        Outcome {
            rows_affected: head.rows_affected,
            last_insert_id: head.last_insert_id,
            warning_count: head.warning_count,
        }
    }
}

/// A query that gives rows.
pub(crate) struct Stream {
    pub(crate) id: i64,
    page: Arc<PageData>,
    taken: usize,
    /// Whether this result has no more rows; there may be another one.
    result_has_ended: bool,
    pub(crate) is_complete: bool,
    outcome: Outcome,
    is_truncated: bool,
}

impl Stream {
    pub(crate) fn new(id: i64) -> Stream {
        Stream {
            id,
            page: Arc::default(),
            taken: 0,
            result_has_ended: false,
            is_complete: false,
            outcome: Outcome::default(),
            is_truncated: false,
        }
    }

    /// Waits for the next reply; rows that were not taken are dropped. Returns whether it begins a result.
    pub(crate) fn receive(&mut self, link: &mut Link) -> Result<bool, Error> {
        // The memory of the former rows is used again if nobody has kept one.
        let columns = Arc::clone(&self.page.columns);
        if Arc::get_mut(&mut self.page).is_none() {
            self.page = Arc::default();
        }
        self.taken = 0;
        let page = Arc::get_mut(&mut self.page).expect("nobody else has it");
        page.clear();
        page.columns = columns;
        let head = link.receive_rows(self.id, Some(page)).map_err(|error| {
            page.clear();
            self.is_complete = true;
            error
        })?;
        self.result_has_ended = head.ends_result || !head.more;
        if !head.more {
            self.is_complete = true;
            self.outcome = Outcome::of(&head);
            self.is_truncated = head.is_truncated;
        }
        Ok(head.has_columns)
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.page.columns
    }

    /// The next row that is here.
    fn take(&mut self) -> Option<Row> {
        let index = self.taken;
        (index < self.page.rows).then(|| {
            self.taken += 1;
            Row { page: Arc::clone(&self.page), index }
        })
    }

    fn next(&mut self, link: &mut Link) -> Result<Option<Row>, Error> {
        loop {
            if let Some(row) = self.take() {
                return Ok(Some(row));
            }
            if self.result_has_ended || self.is_complete {
                return Ok(None);
            }
            self.receive(link)?;
        }
    }
}

/// The rows of a query, as they come: the daemon reads on when the program does. Made by
/// [`Connection::query`](crate::Connection::query).
///
/// Where it is dropped before its end, the statement is stopped; within a transaction of PostgreSQL, which would end with it, what
/// still comes is read and dropped before the next statement.
pub struct Rows<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) stream: Stream,
}

impl Rows<'_> {
    /// The columns, in the order of the values.
    pub fn columns(&self) -> &[Column] {
        self.stream.columns()
    }

    /// Goes to the next result of a procedure of MySQL. Returns whether there is one.
    ///
    /// # Errors
    /// What the statement ended with.
    pub fn next_result(&mut self) -> Result<bool, Error> {
        while !self.stream.result_has_ended && !self.stream.is_complete {
            self.stream.receive(&mut self.connection.link)?;
        }
        // Behind the last result comes what the statement did, which has no columns.
        Ok(!self.stream.is_complete && self.stream.receive(&mut self.connection.link)?)
    }

    /// Drops the rows that were not taken, and waits for what the statement did.
    ///
    /// # Errors
    /// What the statement ended with.
    pub fn finish(mut self) -> Result<Outcome, Error> {
        while !self.stream.is_complete {
            self.stream.receive(&mut self.connection.link)?;
        }
        Ok(self.stream.outcome)
    }

    /// All further rows as tuples, or whatever implements [`FromRow`].
    ///
    /// # Errors
    /// What the statement ended with; [`Error::Conversion`].
    pub fn collect_as<T: FromRow>(self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for row in self {
            all.push(row?.read()?);
        }
        Ok(all)
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stream.next(&mut self.connection.link).transpose()
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("columns", &self.columns()).finish_non_exhaustive()
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        if !self.stream.is_complete {
            self.connection.leave(self.stream.id, None);
        }
    }
}

/// The pages of a query, for a program that shows them one by one: between two of them the daemon stops, and nothing is
/// borrowed. Made by [`Connection::pages`](crate::Connection::pages).
///
/// Another statement on the same connection ends it.
#[derive(Debug)]
pub struct Pages {
    pub(crate) id: i64,
    pub(crate) rows_per_page: usize,
    pub(crate) columns: Arc<Vec<Column>>,
    pub(crate) first: Option<Page>,
    pub(crate) is_complete: bool,
}

impl Pages {
    /// The columns, in the order of the values.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether the last page was given, as far as that is known.
    pub fn is_complete(&self) -> bool {
        self.is_complete && self.first.is_none()
    }

    /// The next page; none behind the last one.
    ///
    /// # Errors
    /// What the statement ended with; [`Error::BadRequest`] where another statement has ended it.
    pub fn next(&mut self, connection: &mut Connection) -> Result<Option<Page>, Error> {
        if let Some(page) = self.first.take() {
            return Ok(Some(page));
        }
        if self.is_complete {
            return Ok(None);
        }
        if connection.open_pages.map(|open| open.0) != Some(self.id) {
            self.is_complete = true;
            return Err(Error::new(
                "bad_request",
                "The pages of this query cannot be continued: another statement was run on its connection.",
                Some("Take them to their end first, or use another connection."),
            ));
        }
        connection.link.fetch(self.id)?;
        let page = self.receive(connection)?;
        Ok((!page.is_empty() || !self.is_complete).then_some(page))
    }

    /// Waits until a page is full, or the statement ends.
    pub(crate) fn receive(&mut self, connection: &mut Connection) -> Result<Page, Error> {
        connection.open_pages = None;
        let mut stream = Stream::new(self.id);
        stream.page = Arc::new(PageData::with_columns(Arc::clone(&self.columns)));
        let mut rows = Vec::new();
        while rows.len() < self.rows_per_page && !stream.is_complete {
            stream.receive(&mut connection.link).map_err(|error| {
                self.is_complete = true;
                error
            })?;
            self.columns = Arc::clone(&stream.page.columns);
            while let Some(row) = stream.take() {
                rows.push(row);
            }
        }
        self.is_complete = stream.is_complete;
        connection.open_pages = (!self.is_complete).then_some((self.id, self.rows_per_page));
        Ok(Page(rows))
    }
}

impl Connection {
    /// Nobody takes further rows of a query; of one with pages, which waits, how many rows each has.
    pub(crate) fn leave(&mut self, id: i64, page_rows: Option<usize>) {
        // With a statement that is stopped, PostgreSQL would end the transaction.
        let must_go_on = self.engine == Engine::PostgreSql && self.link.transaction == TransactionState::Active;
        self.link.leave(id, !must_go_on, page_rows);
    }

    /// Nobody asks for further pages: what comes next is another request.
    pub(crate) fn end_pages(&mut self) {
        if let Some((id, page_rows)) = self.open_pages.take() {
            self.leave(id, Some(page_rows));
        }
    }
}
