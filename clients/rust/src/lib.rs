//! A driver for the databases that a local LiteBase daemon serves: SQLite, PostgreSQL, MySQL, MariaDB, Redis.
//!
//! ```no_run
//! use litebase::{params, Connection};
//!
//! fn main() -> Result<(), litebase::Error> {
//!     let mut db = Connection::connect()?;
//!     db.execute("CREATE TABLE IF NOT EXISTS city (name TEXT PRIMARY KEY, people INTEGER)", ())?;
//!     db.execute("INSERT OR REPLACE INTO city VALUES (?, ?)", params!["Oslo", 717_710])?;
//!     for row in db.query("SELECT name, people FROM city WHERE people > ?", [100_000])? {
//!         let (name, people): (String, i64) = row?.read()?;
//!         println!("{name} has {people}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Calls wait for their replies; there are no threads beneath, and nothing but the standard library. A [`Connection`] is a session
//! with one database, in which one statement runs at a time, as the borrow checker sees to it. Rows come as the program takes them.
//!
//! A lost connection stays lost until [`Connection::reconnect`]: what may have had an effect is never repeated, and
//! [`Error::OutcomeUnknown`] says where that is not known.
#![deny(unsafe_code)]
#![warn(missing_docs, rust_2018_idioms, missing_debug_implementations)]

mod address;
mod batch;
mod catalog;
mod changes;
mod codec;
mod connection;
mod decimal;
mod descriptors;
mod error;
mod import;
mod input;
mod link;
mod moment;
mod options;
mod page;
mod reading;
mod restore;
mod rows;
mod shared;
mod transaction;
mod transfers;
mod value;
#[cfg(test)]
mod vectors;

pub use batch::{Batch, BatchResult};
pub use catalog::{Catalog, CatalogQuery, CatalogRow, Completion, CompletionItem, Level};
pub use changes::{Change, Changes, ChangesQuery, ChannelMessage};
pub use codec::Data;
pub use connection::{Connection, DatabaseInfo, Engine, Health, TransactionState};
pub use decimal::{Decimal, NoDecimal};
pub use error::{Details, Error, Holder, Limit, Position};
pub use import::{Import, ImportProgress, Imported, ImportedColumn, RejectedLine};
pub use options::Options;
pub use page::{Column, ColumnIndex, FromRow, Page, Row};
pub use rows::{Outcome, Pages, Rows};
pub use shared::CancelHandle;
pub use transaction::Transaction;
pub use transfers::{Export, Exported, Format};
pub use value::{FromValue, Mismatch, Named, Params, ToValue, Value};
