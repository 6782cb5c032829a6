//! Databases that get the content of a file.

use std::io::Read;
use std::os::unix::io::AsFd;

use crate::codec::Data;
use crate::link::Fields;
use crate::reading::Reading;
use crate::{Connection, Error, TransactionState};

impl Connection {
    /// Gives a SQLite database of the daemon's configuration the content of a file or a pipe: a copy that
    /// [`backup`](Connection::backup) has made, or any other database file. The daemon reads it, from where it stands.
    ///
    /// Programs that have the database open see the former content until this returns, and the new one from then on. Nothing is
    /// changed before the file was found to be whole. The closure is called while the file is read, with the bytes so far, and those
    /// of the file where they are known. Returns how many it has.
    ///
    /// # Errors
    /// What the daemon says of the file, and [`Error::BadRequest`] within a transaction: the database is as it was. After
    /// [`Error::OutcomeUnknown`] it is as it was, or restored.
    pub fn restore(&mut self, file: impl AsFd, on_progress: impl FnMut(u64, Option<u64>)) -> Result<u64, Error> {
        self.run_restore(on_progress, |db, reading| db.read_file(file.as_fd(), reading))
    }

    /// [`restore`](Connection::restore) of what a reader gives, such as a decoder: a pipe is filled with it by this thread.
    ///
    /// # Errors
    /// As [`restore`](Connection::restore). [`Error::Input`] where reading fails: the database is as it was.
    pub fn restore_from(
        &mut self,
        mut reader: impl Read,
        on_progress: impl FnMut(u64, Option<u64>),
    ) -> Result<u64, Error> {
        self.run_restore(on_progress, |db, reading| db.read_from(&mut reader, reading))
    }

    fn run_restore(
        &mut self,
        mut on_progress: impl FnMut(u64, Option<u64>),
        run: impl FnOnce(&mut Connection, Reading<'_>) -> Result<Data, Error>,
    ) -> Result<u64, Error> {
        if self.options().url.is_some() {
            let message = "Only databases of the daemon's configuration can be restored.";
            return Err(Error::new("bad_request", message, Some("Connect to it by its name.")));
        }
        if self.is_read_only() {
            // The request is none of the session, so that the daemon would not refuse it.
            return Err(Error::new("read_only", "This session can change nothing.", None));
        }
        self.end_pages();
        if self.transaction_state()? != TransactionState::None {
            // It would wait for its own end, or go on reading what there was.
            let hint = Some("Commit it or roll it back first.");
            return Err(Error::new("bad_request", "A transaction is open.", hint));
        }
        let database = self.options().database.clone();
        let put = |fields: &mut Fields<'_>| {
            if let Some(name) = &database {
                fields.text("database", name);
            }
        };
        let mut tell = |reply: &Data| {
            on_progress(reply.get("bytes").as_u64().unwrap_or(0), reply.get("total_bytes").as_u64());
        };
        let kind = "restore";
        let reply = run(self, Reading { kind, judged_as: kind, is_told: true, put: &put, tell: &mut tell })?;
        Ok(reply.get("bytes").as_u64().unwrap_or(0))
    }
}
