//! Several statements in one message.

use std::fmt;

use crate::{codec, Connection, Error, Params};

/// What one statement of a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BatchResult {
    /// By INSERT, UPDATE, DELETE; of all rows of its parameters.
    pub rows_affected: u64,
    /// Where the engine gives one.
    pub last_insert_id: Option<i64>,
}

/// Statements that are sent in one message. Made by [`Connection::batch`].
#[must_use = "a batch does nothing until it is run"]
pub struct Batch<'a> {
    connection: &'a mut Connection,
    statements: Vec<u8>,
    count: usize,
    is_atomic: bool,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(connection: &'a mut Connection) -> Batch<'a> {
        Batch { connection, statements: Vec::new(), count: 0, is_atomic: true }
    }

    /// Each statement by itself: where one fails, those before it stay done, and those behind it are not begun.
    pub fn not_atomic(mut self) -> Self {
        self.is_atomic = false;
        self
    }

    /// Adds a statement.
    ///
    /// # Errors
    /// Where the parameters cannot be sent.
    pub fn add(mut self, sql: &str, params: impl Params) -> Result<Self, Error> {
        let head = self.statements.len();
        self.statements.push(0x81);
        codec::put_text(&mut self.statements, "sql");
        codec::put_text(&mut self.statements, sql);
        self.statements[head] += params.put(&mut self.statements, self.connection.engine)? as u8;
        self.count += 1;
        Ok(self)
    }

    /// Adds a statement that is executed for each row of parameters.
    ///
    /// # Errors
    /// Where the parameters cannot be sent.
    pub fn add_rows<P: Params>(mut self, sql: &str, rows: impl IntoIterator<Item = P>) -> Result<Self, Error> {
        codec::put_map_head(&mut self.statements, 2);
        codec::put_text(&mut self.statements, "sql");
        codec::put_text(&mut self.statements, sql);
        codec::put_text(&mut self.statements, "param_rows");
        let head = self.statements.len();
        self.statements.extend([0xdd, 0, 0, 0, 0]);
        let mut count = 0u32;
        for row in rows {
            row.put_row(&mut self.statements, self.connection.engine)?;
            count += 1;
        }
        self.statements[head + 1..head + 5].copy_from_slice(&count.to_be_bytes());
        self.count += 1;
        Ok(self)
    }

    /// Runs it: all of it or, where a statement fails, nothing. A result for each statement.
    ///
    /// # Errors
    /// What the daemon says; [`Details::statement_index`](crate::Details::statement_index) and
    /// [`row_index`](crate::Details::row_index) say of what.
    pub fn run(self) -> Result<Vec<BatchResult>, Error> {
        let Batch { connection, statements, count, is_atomic } = self;
        connection.end_pages();
        let session = connection.session.clone();
        let timeout = connection.link.timeout;
        let reply = connection.link.ask("batch", |fields| {
            fields.text("session", &session);
            if !is_atomic {
                fields.boolean("atomic", false);
            }
            if let Some(timeout) = timeout {
                fields.integer("timeout_ms", crate::connection::milliseconds(timeout));
            }
            let to = fields.field("statements");
            codec::put_list_head(to, count);
            to.extend_from_slice(&statements);
            Ok(())
        })?;
        let results = reply.get("results").items().iter().map(|result| BatchResult {
            rows_affected: result.get("rows_affected").as_u64().unwrap_or(0),
            last_insert_id: result.get("last_insert_id").as_i64(),
        });
        Ok(results.collect())
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("statements", &self.count).finish_non_exhaustive()
    }
}
