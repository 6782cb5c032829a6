//! Rows as they come: a reply of the daemon is read into one piece of memory, and a row is a place in it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::codec::{text_of, Malformed, Reader, Token};
use crate::{Error, FromValue, TransactionState, Value};

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// As the statement names it.
    pub name: String,
    /// "integer", "real", "boolean", "text", "blob", "decimal", the engine's name of the type, or "any".
    pub kind: String,
    /// As the table declares it, of SQLite.
    pub declared: Option<String>,
}

#[derive(Clone, Copy)]
enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Real(f64),
    // Where they begin and end. A frame has less than 4 GiB.
    Text(u32, u32),
    Blob(u32, u32),
}

/// The rows of a reply.
#[derive(Default)]
pub(crate) struct PageData {
    pub(crate) columns: Arc<Vec<Column>>,
    pub(crate) rows: usize,
    cells: Vec<Cell>,
    text: String,
    blobs: Vec<u8>,
}

impl PageData {
    pub(crate) fn with_columns(columns: Arc<Vec<Column>>) -> PageData {
        PageData { columns, ..PageData::default() }
    }

    pub(crate) fn clear(&mut self) {
        self.rows = 0;
        self.cells.clear();
        self.text.clear();
        self.blobs.clear();
    }

    fn add_row(&mut self, reader: &mut Reader<'_>) -> Result<usize, Malformed> {
        let count = reader.list_head()?;
        for _ in 0..count {
            let cell = match reader.token()? {
                Token::Null => Cell::Null,
                Token::Boolean(value) => Cell::Boolean(value),
                Token::Integer(value) => Cell::Integer(value),
                Token::Unsigned(value) => Cell::Unsigned(value),
                Token::Real(value) => Cell::Real(value),
                Token::Text(bytes) => {
                    let begin = self.text.len();
                    self.text.push_str(text_of(bytes)?);
                    Cell::Text(place(begin)?, place(self.text.len())?)
                }
                Token::Blob(bytes) => {
                    let begin = self.blobs.len();
                    self.blobs.extend_from_slice(bytes);
                    Cell::Blob(place(begin)?, place(self.blobs.len())?)
                }
                Token::Timestamp(..) | Token::List(_) | Token::Map(_) => return Err(Malformed),
            };
            self.cells.push(cell);
        }
        self.rows += 1;
        Ok(count)
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        match self.cells[row * self.columns.len() + column] {
            Cell::Null => Value::Null,
            Cell::Boolean(value) => Value::Boolean(value),
            Cell::Integer(value) => Value::Integer(value),
            Cell::Unsigned(value) => Value::Unsigned(value),
            Cell::Real(value) => Value::Real(value),
            Cell::Text(begin, end) => Value::Text(Cow::Borrowed(&self.text[begin as usize..end as usize])),
            Cell::Blob(begin, end) => Value::Blob(Cow::Borrowed(&self.blobs[begin as usize..end as usize])),
        }
    }
}

fn place(index: usize) -> Result<u32, Malformed> {
    u32::try_from(index).map_err(|_| Malformed)
}

/// What a reply to a query says beside its rows.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) more: bool,
    /// How many rows it has.
    pub(crate) rows: usize,
    /// Whether it begins a result.
    pub(crate) has_columns: bool,
    /// Whether one result of several ends in it.
    pub(crate) ends_result: bool,
    pub(crate) transaction: Option<TransactionState>,
    pub(crate) rows_affected: u64,
    pub(crate) last_insert_id: Option<i64>,
    pub(crate) warning_count: Option<u64>,
    pub(crate) is_truncated: bool,
}

impl Head {
    /// Reads the data of a `query_response`. Its rows are added to the page, or passed where there is none.
    pub(crate) fn read(bytes: &[u8], mut page: Option<&mut PageData>) -> Result<Head, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut head = Head::default();
        let mut width = None;
        for _ in 0..reader.map_head()? {
            match (reader.text()?, page.as_deref_mut()) {
                ("columns", Some(page)) => {
                    head.has_columns = true;
                    page.columns = columns(&mut reader)?;
                }
                ("columns", None) => {
                    head.has_columns = true;
                    reader.skip()?;
                }
                ("rows", None) => {
                    head.rows = reader.list_head()?;
                    for _ in 0..head.rows {
                        reader.skip()?;
                    }
                }
                ("rows", Some(page)) => {
                    head.rows = reader.list_head()?;
                    for _ in 0..head.rows {
                        let count = page.add_row(&mut reader)?;
                        if *width.get_or_insert(count) != count {
                            return Err(Malformed);
                        }
                    }
                }
                ("more", _) => head.more = matches!(reader.token()?, Token::Boolean(true)),
                ("truncated", _) => head.is_truncated = matches!(reader.token()?, Token::Boolean(true)),
                ("transaction", _) => head.transaction = Some(TransactionState::of(reader.text()?)),
                ("rows_affected", _) => {
                    let count = integer(&mut reader)?.and_then(|count| u64::try_from(count).ok());
                    head.rows_affected = count.unwrap_or(0);
                }
                ("last_insert_id", _) => head.last_insert_id = integer(&mut reader)?,
                ("warning_count", _) => {
                    head.warning_count = integer(&mut reader)?.and_then(|count| u64::try_from(count).ok());
                }
                ("result_end", _) => {
                    head.ends_result = true;
                    reader.skip()?;
                }
                _ => reader.skip()?,
            }
        }
        let fits = match (width, page) {
            (Some(width), Some(page)) => width == page.columns.len(),
            _ => true,
        };
        if fits && reader.rest().is_empty() {
            Ok(head)
        } else {
            Err(Malformed)
        }
    }
}

/// An integer, nothing for one beyond `i64`, such as an id of MySQL.
fn integer(reader: &mut Reader<'_>) -> Result<Option<i64>, Malformed> {
    match reader.token()? {
        Token::Integer(value) => Ok(Some(value)),
        Token::Unsigned(_) | Token::Null => Ok(None),
        _ => Err(Malformed),
    }
}

fn columns(reader: &mut Reader<'_>) -> Result<Arc<Vec<Column>>, Malformed> {
    let mut columns = Vec::new();
    for _ in 0..reader.list_head()? {
        let data = reader.data()?;
        let text = |key: &str| data.get(key).as_str().map(str::to_owned);
        columns.push(Column {
            name: text("name").ok_or(Malformed)?,
            kind: text("type").unwrap_or_else(|| "any".to_owned()),
            declared: text("declared_type"),
        });
    }
    Ok(Arc::new(columns))
}

/// Several rows that came together.
#[derive(Clone)]
pub struct Page(pub(crate) Vec<Row>);

impl Page {
    /// One without rows, for a program that shows what there is.
    pub fn empty() -> Page {
        Page(Vec::new())
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its rows.
    pub fn iter(&self) -> std::slice::Iter<'_, Row> {
        self.0.iter()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl IntoIterator for Page {
    type Item = Row;
    type IntoIter = std::vec::IntoIter<Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Page {
    type Item = &'a Row;
    type IntoIter = std::slice::Iter<'a, Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A row: a place in the memory of the reply with which it came. Who keeps a row, keeps about 64 KiB.
#[derive(Clone)]
pub struct Row {
    pub(crate) page: Arc<PageData>,
    pub(crate) index: usize,
}

impl Row {
    /// The columns, in the order of the values. Names may occur twice.
    pub fn columns(&self) -> &[Column] {
        &self.page.columns
    }

    /// The value of a column, by number from 0 or by name: `row.get::<i64>(0)?`, `row.get::<Option<&str>>("name")?`.
    ///
    /// # Errors
    /// [`Error::Conversion`] where there is no such column, or its value is not of the type.
    pub fn get<'a, T: FromValue<'a>>(&'a self, column: impl ColumnIndex) -> Result<T, Error> {
        let index = column.index(self.columns())?;
        T::from_value(self.page.value(self.index, index)).map_err(|mismatch| {
            let about = &self.columns()[index];
            Error::new(
                "conversion",
                format!("The value of column {} ({}) is not taken: {}.", about.name, about.kind, mismatch.0),
                None,
            )
        })
    }

    /// All values as a tuple, or whatever implements [`FromRow`].
    ///
    /// # Errors
    /// [`Error::Conversion`] where their number or one of them is not as wanted.
    pub fn read<T: FromRow>(&self) -> Result<T, Error> {
        T::from_row(self)
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.columns().iter().enumerate();
        f.debug_map().entries(pairs.map(|(index, column)| (&column.name, self.page.value(self.index, index)))).finish()
    }
}

/// What names a column: its number from 0, or its name.
pub trait ColumnIndex {
    /// Its number.
    ///
    /// # Errors
    /// [`Error::Conversion`] where there is none.
    fn index(&self, columns: &[Column]) -> Result<usize, Error>;
}

impl ColumnIndex for usize {
    fn index(&self, columns: &[Column]) -> Result<usize, Error> {
        if *self < columns.len() {
            return Ok(*self);
        }
        let message = format!("There is no column {self}: there are {}, counted from 0.", columns.len());
        Err(Error::new("conversion", message, None))
    }
}

impl ColumnIndex for &str {
    fn index(&self, columns: &[Column]) -> Result<usize, Error> {
        columns.iter().position(|column| column.name == *self).ok_or_else(|| {
            let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            Error::new("conversion", format!("There is no column {self}: there are {}.", names.join(", ")), None)
        })
    }
}

/// What a row can be in Rust: tuples of up to eight values, and what you implement it for.
pub trait FromRow: Sized {
    /// Makes it of a row.
    ///
    /// # Errors
    /// Where the values are not as wanted.
    fn from_row(row: &Row) -> Result<Self, Error>;
}

impl FromRow for Row {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(row.clone())
    }
}

macro_rules! tuple_from_row {
    ($count:literal $($name:ident $index:tt)+) => {
        impl<$($name: for<'a> FromValue<'a>),+> FromRow for ($($name,)+) {
            fn from_row(row: &Row) -> Result<Self, Error> {
                let count = row.columns().len();
                if count != $count {
                    let message = format!("A row has {count} values; {} were asked for.", $count);
                    return Err(Error::new("conversion", message, None));
                }
                Ok(($(row.get::<$name>($index)?,)+))
            }
        }
    };
}

tuple_from_row!(1 A 0);
tuple_from_row!(2 A 0 B 1);
tuple_from_row!(3 A 0 B 1 C 2);
tuple_from_row!(4 A 0 B 1 C 2 D 3);
tuple_from_row!(5 A 0 B 1 C 2 D 3 E 4);
tuple_from_row!(6 A 0 B 1 C 2 D 3 E 4 F 5);
tuple_from_row!(7 A 0 B 1 C 2 D 3 E 4 F 5 G 6);
tuple_from_row!(8 A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7);
