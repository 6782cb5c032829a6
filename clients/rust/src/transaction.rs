//! Transactions: a guard that rolls back when it is dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::{Connection, Error, TransactionState};

/// A transaction, or within another one a savepoint. It is a [`Connection`] in all but name; when it is dropped without
/// [`commit`](Transaction::commit), it is rolled back.
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    /// None of a transaction itself.
    savepoint: Option<String>,
    is_over: bool,
}

impl<'a> Transaction<'a> {
    pub(crate) fn begin(connection: &'a mut Connection, statement: Option<&str>) -> Result<Transaction<'a>, Error> {
        let savepoint = match (connection.transaction_state()?, statement) {
            (TransactionState::None, _) => None,
            (_, None) => Some(connection.savepoint_name()),
            (_, Some(_)) => {
                let hint = Some("Connection::transaction makes a savepoint in it.");
                return Err(Error::new("bad_request", "A transaction is open.", hint));
            }
        };
        match &savepoint {
            Some(name) => connection.execute(&format!("SAVEPOINT {name}"), ())?,
            None => {
                let begin = statement.map_or_else(|| connection.begin_statement().to_owned(), str::to_owned);
                connection.execute(&begin, ())?
            }
        };
        Ok(Transaction { connection, savepoint, is_over: false })
    }

    /// Makes it last.
    ///
    /// # Errors
    /// What the engine says: [`Error::TransactionRolledBack`] where a statement in it had failed (PostgreSQL) or the server has
    /// rolled it back; [`Error::OutcomeUnknown`] where the connection was lost meanwhile. It is rolled back where it is still
    /// there.
    pub fn commit(mut self) -> Result<(), Error> {
        let statement = match &self.savepoint {
            Some(name) => format!("RELEASE SAVEPOINT {name}"),
            None => "COMMIT".to_owned(),
        };
        self.connection.execute(&statement, ())?;
        self.is_over = true;
        Ok(())
    }

    /// Rolls it back, and waits for that.
    ///
    /// # Errors
    /// Where the connection is lost, with which the transaction is rolled back, too.
    pub fn rollback(mut self) -> Result<(), Error> {
        self.undo();
        self.connection.link.settle()
    }

    fn undo(&mut self) {
        // SQLite and MySQL end some by themselves, with the error of a statement.
        let is_there = self.connection.link.transaction != TransactionState::None;
        if !self.is_over && is_there {
            self.connection.end_pages();
            let session = self.connection.session.clone();
            match &self.savepoint {
                None => self.connection.link.roll_back(&session, "ROLLBACK"),
                Some(name) => {
                    self.connection.link.roll_back(&session, &format!("ROLLBACK TO SAVEPOINT {name}"));
                    self.connection.link.roll_back(&session, &format!("RELEASE SAVEPOINT {name}"));
                }
            }
        }
        self.is_over = true;
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.undo();
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("savepoint", &self.savepoint).finish_non_exhaustive()
    }
}
