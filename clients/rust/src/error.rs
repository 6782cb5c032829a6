//! What can go wrong.

use std::fmt;
use std::time::Duration;

use crate::codec::Data;

/// Why a request failed. The kind says what a program may want to handle; [`details`](Error::details) what is known.
///
/// `to_string()` is the message, with the hint behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection, or no session any more. Nothing of the request took effect.
    ConnectionLost(Box<Details>),
    /// It is not known whether the request took effect: look before doing it again.
    OutcomeUnknown(Box<Details>),
    /// A COMMIT has committed nothing: the transaction was rolled back, since a statement in it had failed.
    TransactionRolledBack(Box<Details>),
    /// Somebody else has a lock or a place, and did not give it up in time ([`Details::holder`]). Nothing took effect.
    Busy(Box<Details>),
    /// The statement was stopped and changed nothing.
    Cancelled(Box<Details>),
    /// The statement took longer than it may, and changed nothing.
    Timeout(Box<Details>),
    /// A constraint does not hold; [`Details::sqlstate`] says which kind.
    Constraint(Box<Details>),
    /// The statement cannot be compiled: its syntax, or a name that does not exist ([`Details::position`]).
    Syntax(Box<Details>),
    /// The caller, the connection or the database may only read.
    ReadOnly(Box<Details>),
    /// The caller's Unix user may not do this.
    PermissionDenied(Box<Details>),
    /// A limit was reached ([`Details::limit`]).
    LimitExceeded(Box<Details>),
    /// No database of that name is configured for the caller.
    DatabaseNotFound(Box<Details>),
    /// Who may listen at the socket is not trusted. Nothing was sent to him.
    Untrusted(Box<Details>),
    /// The request is not one that can be done: its parameters, for example.
    BadRequest(Box<Details>),
    /// A value is not of the type that was asked for, or there is no such column.
    Conversion(Box<Details>),
    /// There is no row where one was asked for.
    NoRow(Box<Details>),
    /// What an import reads from has failed ([`Connection::import_from`](crate::Connection::import_from)): the import was stopped.
    Input(Box<Details>),
    /// What an export writes into has failed ([`Connection::export_to`](crate::Connection::export_to)): the export was stopped.
    Output(Box<Details>),
    /// Whatever else a database or the daemon says: [`Details::code`] and [`Details::sqlstate`] tell it apart.
    Database(Box<Details>),
}

/// What is known of an error; `None` where nothing is.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Details {
    /// One of docs/errors.md, or of this driver: "connection_lost", "untrusted", "conversion", "no_row", "input",
    /// "output".
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What else is known.
    pub detail: Option<String>,
    /// Of every error of a database.
    pub sqlstate: Option<String>,
    /// SQLite's extended code, MySQL's errno.
    pub vendor_code: Option<i64>,
    /// Where in the statement.
    pub position: Option<Position>,
    /// Which statement of a batch, from 0.
    pub statement_index: Option<u64>,
    /// Which row of its parameters, from 0.
    pub row_index: Option<u64>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// When it may.
    pub retry_after: Option<Duration>,
    /// Who has what was waited for.
    pub holder: Option<Holder>,
    /// The limit that was reached.
    pub limit: Option<Limit>,
}

/// What is known, and nothing of what is not: a `main` that returns an error prints it so.
impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut known = f.debug_struct("Details");
        known.field("code", &self.code).field("message", &self.message);
        let texts = [("hint", &self.hint), ("detail", &self.detail), ("sqlstate", &self.sqlstate)];
        for (name, text) in texts.iter().filter_map(|(name, text)| text.as_ref().map(|text| (name, text))) {
            known.field(name, text);
        }
        let values: [(&str, Option<&dyn fmt::Debug>); 8] = [
            ("vendor_code", self.vendor_code.as_ref().map(|value| value as _)),
            ("position", self.position.as_ref().map(|value| value as _)),
            ("statement_index", self.statement_index.as_ref().map(|value| value as _)),
            ("row_index", self.row_index.as_ref().map(|value| value as _)),
            ("retryable", self.retryable.then_some(&true as _)),
            ("retry_after", self.retry_after.as_ref().map(|value| value as _)),
            ("holder", self.holder.as_ref().map(|value| value as _)),
            ("limit", self.limit.as_ref().map(|value| value as _)),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                known.field(name, value);
            }
        }
        known.finish()
    }
}

/// Where in a statement an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// In bytes, from 0.
    pub offset: u64,
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
}

/// Who has what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// His user.
    pub uid: Option<u64>,
    /// His process.
    pub pid: Option<u64>,
    /// For how long he has had it.
    pub since: Option<Duration>,
}

/// The limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit {
    /// Its name in the configuration.
    pub name: String,
    /// How much it allows.
    pub value: Option<u64>,
    /// How much is used, where that is counted.
    pub used: Option<u64>,
    /// Whose it is.
    pub uid: Option<u64>,
}

impl Error {
    /// What is known of it.
    pub fn details(&self) -> &Details {
        match self {
            Error::ConnectionLost(details)
            | Error::OutcomeUnknown(details)
            | Error::TransactionRolledBack(details)
            | Error::Busy(details)
            | Error::Cancelled(details)
            | Error::Timeout(details)
            | Error::Constraint(details)
            | Error::Syntax(details)
            | Error::ReadOnly(details)
            | Error::PermissionDenied(details)
            | Error::LimitExceeded(details)
            | Error::DatabaseNotFound(details)
            | Error::Untrusted(details)
            | Error::BadRequest(details)
            | Error::Conversion(details)
            | Error::NoRow(details)
            | Error::Input(details)
            | Error::Output(details)
            | Error::Database(details) => details,
        }
    }

    /// One of docs/errors.md, or of this driver: "connection_lost", "untrusted", "conversion", "no_row", "input",
    /// "output".
    pub fn code(&self) -> &str {
        &self.details().code
    }

    /// The SQLSTATE of an error of a database.
    pub fn sqlstate(&self) -> Option<&str> {
        self.details().sqlstate.as_deref()
    }

    /// What to do.
    pub fn hint(&self) -> Option<&str> {
        self.details().hint.as_deref()
    }

    /// Where in the statement it is.
    pub fn position(&self) -> Option<Position> {
        self.details().position
    }

    /// Whether the same request may succeed later, as the daemon says; of what this driver finds, never.
    pub fn is_retryable(&self) -> bool {
        self.details().retryable
    }

    /// The error that the data of an `error` reply say. A code that is not known is taken for `database_error`.
    pub(crate) fn of_reply(data: &Data) -> Error {
        let text = |key: &str| data.get(key).as_str().map(str::to_owned);
        let place = data.get("position");
        let holder = data.get("holder");
        let limit = data.get("limit");
        let details = Details {
            code: text("code").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            hint: text("hint").map(in_words_of_rust),
            detail: text("detail"),
            sqlstate: text("sqlstate"),
            vendor_code: data.get("vendor_code").as_i64(),
            position: place.get("line").as_u64().map(|line| Position {
                offset: place.get("offset").as_u64().unwrap_or(0),
                line,
                column: place.get("column").as_u64().unwrap_or(0),
            }),
            statement_index: data.get("statement_index").as_u64(),
            row_index: data.get("row_index").as_u64(),
            retryable: data.get("retryable").as_bool().unwrap_or(false),
            retry_after: milliseconds(data.get("retry_after_ms")),
            holder: matches!(holder, Data::Map(_)).then(|| Holder {
                uid: holder.get("uid").as_u64(),
                pid: holder.get("pid").as_u64(),
                since: milliseconds(holder.get("since_ms")),
            }),
            limit: limit.get("name").as_str().map(|name| Limit {
                name: name.to_owned(),
                value: limit.get("value").as_u64(),
                used: limit.get("used").as_u64(),
                uid: limit.get("uid").as_u64(),
            }),
        };
        Error::of_code(details)
    }

    fn of_code(details: Details) -> Error {
        let details = Box::new(details);
        match details.code.as_str() {
            "connection_lost" | "session_not_found" | "shutting_down" | "connect_failed" => {
                Error::ConnectionLost(details)
            }
            "outcome_unknown" => Error::OutcomeUnknown(details),
            "transaction_rolled_back" => Error::TransactionRolledBack(details),
            "busy" => Error::Busy(details),
            "cancelled" => Error::Cancelled(details),
            "timeout" => Error::Timeout(details),
            "constraint_violation" => Error::Constraint(details),
            "syntax_error" => Error::Syntax(details),
            "read_only" => Error::ReadOnly(details),
            "permission_denied" => Error::PermissionDenied(details),
            "limit_exceeded" | "frame_too_large" => Error::LimitExceeded(details),
            "database_not_found" => Error::DatabaseNotFound(details),
            "untrusted" => Error::Untrusted(details),
            "bad_request" | "needs_session" | "unknown_type" => Error::BadRequest(details),
            "conversion" => Error::Conversion(details),
            "no_row" => Error::NoRow(details),
            "input" => Error::Input(details),
            "output" => Error::Output(details),
            _ => Error::Database(details),
        }
    }

    /// An error that this driver finds itself.
    pub(crate) fn new(code: &str, message: impl Into<String>, hint: Option<&str>) -> Error {
        Error::of_code(Details {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.map(str::to_owned),
            ..Details::default()
        })
    }

    pub(crate) fn lost(message: impl Into<String>) -> Error {
        Error::new("connection_lost", message, None)
    }

    /// What is said of a request that was sent, and whose reply nobody will see.
    pub(crate) fn unknown(cause: &Error) -> Error {
        Error::of_code(Details {
            code: "outcome_unknown".to_owned(),
            sqlstate: Some("08007".to_owned()),
            message: format!("It is not known whether the request took effect: {}", cause.details().message),
            hint: Some("Look before you do it again.".to_owned()),
            ..Details::default()
        })
    }
}

/// What hints have of the protocol's words, and what does the same here.
const WORDS: [(&str, &str); 3] =
    [("timeout_ms", "the timeout"), ("db_connect", "Connection::connect"), ("db_disconnect", "drop")];

fn in_words_of_rust(hint: String) -> String {
    WORDS.iter().fold(hint, |hint, (word, own)| hint.replace(word, own))
}

fn milliseconds(data: &Data) -> Option<Duration> {
    data.as_u64().map(Duration::from_millis)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = self.details();
        f.write_str(&details.message)?;
        match &details.hint {
            Some(hint) => write!(f, " {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        let kind = match &error {
            Error::ConnectionLost(_) | Error::OutcomeUnknown(_) => std::io::ErrorKind::ConnectionAborted,
            Error::Timeout(_) => std::io::ErrorKind::TimedOut,
            Error::PermissionDenied(_) | Error::Untrusted(_) => std::io::ErrorKind::PermissionDenied,
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}
