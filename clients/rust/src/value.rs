//! The values of rows and parameters, and what they are in Rust.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use crate::codec;
use crate::moment;
use crate::{Decimal, Engine, Error};

/// A value of a row, or of a parameter.
///
/// Decimals, dates, times and whatever else a server has types for are text, as the engine writes them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// Only of servers that have such a type.
    Boolean(bool),
    /// Exact to 64 bits.
    Integer(i64),
    /// Beyond `i64`; only of MySQL.
    Unsigned(u64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes; also text that is not UTF-8.
    Blob(Cow<'a, [u8]>),
    /// A moment, for parameters: it is sent as the text that the engine reads.
    Moment(SystemTime),
}

impl<'a> Value<'a> {
    /// The same, with no reference to where it came from.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Boolean(value) => Value::Boolean(value),
            Value::Integer(value) => Value::Integer(value),
            Value::Unsigned(value) => Value::Unsigned(value),
            Value::Real(value) => Value::Real(value),
            Value::Text(value) => Value::Text(Cow::Owned(value.into_owned())),
            Value::Blob(value) => Value::Blob(Cow::Owned(value.into_owned())),
            Value::Moment(value) => Value::Moment(value),
        }
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "NULL",
            Value::Boolean(_) => "a boolean",
            Value::Integer(_) | Value::Unsigned(_) => "an integer",
            Value::Real(_) => "a real",
            Value::Text(_) => "text",
            Value::Blob(_) => "a blob",
            Value::Moment(_) => "a moment",
        }
    }

    /// Appends it to a message.
    pub(crate) fn put(&self, to: &mut Vec<u8>, engine: Engine) {
        match self {
            Value::Null => codec::put_null(to),
            Value::Boolean(value) => codec::put_boolean(to, *value),
            Value::Integer(value) => codec::put_integer(to, *value),
            Value::Unsigned(value) => codec::put_unsigned(to, *value),
            Value::Real(value) => codec::put_real(to, *value),
            Value::Text(value) => codec::put_text(to, value),
            Value::Blob(value) => codec::put_blob(to, value),
            // MySQL's DATETIME has no zone: UTC, as the values that come back.
            Value::Moment(value) => codec::put_text(to, &moment::text(*value, engine != Engine::MySql)),
        }
    }
}

/// What can be a parameter.
///
/// ```
/// use litebase::{ToValue, Value};
///
/// struct Id(i64);
///
/// impl ToValue for Id {
///     fn to_value(&self) -> Value<'_> {
///         Value::Integer(self.0)
///     }
/// }
/// ```
pub trait ToValue {
    /// The parameter's value.
    fn to_value(&self) -> Value<'_>;
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue + ?Sized> ToValue for Box<T> {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl ToValue for Value<'_> {
    fn to_value(&self) -> Value<'_> {
        match self {
            Value::Text(value) => Value::Text(Cow::Borrowed(value)),
            Value::Blob(value) => Value::Blob(Cow::Borrowed(value)),
            other => other.clone(),
        }
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Boolean(*self)
    }
}

macro_rules! integer_to_value {
    ($($type:ty)*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }
    )*};
}

integer_to_value!(i8 i16 i32 i64 u8 u16 u32);

impl ToValue for u64 {
    fn to_value(&self) -> Value<'_> {
        i64::try_from(*self).map_or(Value::Unsigned(*self), Value::Integer)
    }
}

impl ToValue for usize {
    fn to_value(&self) -> Value<'_> {
        // As wide as u64 at most.
        i64::try_from(*self).map_or(Value::Unsigned(*self as u64), Value::Integer)
    }
}

impl ToValue for isize {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self as i64)
    }
}

impl ToValue for f32 {
    fn to_value(&self) -> Value<'_> {
        Value::Real(f64::from(*self))
    }
}

impl ToValue for f64 {
    fn to_value(&self) -> Value<'_> {
        Value::Real(*self)
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for Cow<'_, str> {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl ToValue for Decimal {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Owned(self.to_string()))
    }
}

impl ToValue for SystemTime {
    fn to_value(&self) -> Value<'_> {
        Value::Moment(*self)
    }
}

/// Why a value is not what was asked for: a part of a sentence, such as "it is beyond i32".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(pub Cow<'static, str>);

impl Mismatch {
    fn of(value: &Value<'_>, wanted: &str) -> Mismatch {
        Mismatch(Cow::Owned(format!("it is {}, not {wanted}", value.kind())))
    }
}

/// What a value of a row can be in Rust. `Option<T>` takes NULL as `None`; nothing else takes it.
pub trait FromValue<'a>: Sized {
    /// Makes it of a value.
    ///
    /// # Errors
    /// Where the value is none of this type, or has no exact one.
    fn from_value(value: Value<'a>) -> Result<Self, Mismatch>;
}

impl<'a> FromValue<'a> for Value<'a> {
    fn from_value(value: Value<'a>) -> Result<Self, Mismatch> {
        Ok(value)
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn from_value(value: Value<'a>) -> Result<Self, Mismatch> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// SQLite and MySQL, which have no booleans, have 0 and 1.
impl FromValue<'_> for bool {
    fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
        match value {
            Value::Boolean(value) => Ok(value),
            Value::Integer(value @ (0 | 1)) => Ok(value == 1),
            value => Err(Mismatch::of(&value, "a boolean")),
        }
    }
}

macro_rules! integer_from_value {
    ($($type:ty)*) => {$(
        impl FromValue<'_> for $type {
            fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
                let exact = match value {
                    Value::Integer(value) => <$type>::try_from(value).ok(),
                    Value::Unsigned(value) => <$type>::try_from(value).ok(),
                    value => return Err(Mismatch::of(&value, "an integer")),
                };
                exact.ok_or(Mismatch(Cow::Borrowed(concat!("it is beyond ", stringify!($type)))))
            }
        }
    )*};
}

integer_from_value!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

/// An integer is taken where it is exact, within 2^53.
impl FromValue<'_> for f64 {
    fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
        match value {
            Value::Real(value) => Ok(value),
            Value::Integer(value) if value.unsigned_abs() <= 1 << 53 => Ok(value as f64),
            value => Err(Mismatch::of(&value, "a real")),
        }
    }
}

impl FromValue<'_> for String {
    fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
        match value {
            Value::Text(value) => Ok(value.into_owned()),
            value => Err(Mismatch::of(&value, "text")),
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(value: Value<'a>) -> Result<Self, Mismatch> {
        match value {
            Value::Text(Cow::Borrowed(value)) => Ok(value),
            value => Err(Mismatch::of(&value, "text")),
        }
    }
}

impl FromValue<'_> for Vec<u8> {
    fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
        match value {
            Value::Blob(value) => Ok(value.into_owned()),
            Value::Text(value) => Ok(value.into_owned().into_bytes()),
            value => Err(Mismatch::of(&value, "a blob")),
        }
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    fn from_value(value: Value<'a>) -> Result<Self, Mismatch> {
        match value {
            Value::Blob(Cow::Borrowed(value)) => Ok(value),
            Value::Text(Cow::Borrowed(value)) => Ok(value.as_bytes()),
            value => Err(Mismatch::of(&value, "a blob")),
        }
    }
}

/// Of a server's decimal, which comes as text, or of an integer.
impl FromValue<'_> for Decimal {
    fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
        match value {
            Value::Integer(value) => Ok(Decimal::from(value)),
            Value::Unsigned(value) => Ok(Decimal::from(value)),
            Value::Text(text) => text
                .parse()
                .map_err(|_| Mismatch(Cow::Borrowed("it is no number of at most 38 digits; take it as String"))),
            value => Err(Mismatch::of(&value, "a decimal")),
        }
    }
}

/// Of a timestamp or a date, which come as text; without a zone, UTC.
impl FromValue<'_> for SystemTime {
    fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
        match value {
            Value::Text(text) => moment::parsed(&text)
                .ok_or(Mismatch(Cow::Borrowed("it is no moment that SystemTime has a value for; take it as String"))),
            value => Err(Mismatch::of(&value, "a timestamp")),
        }
    }
}

/// The parameters of a statement: `()` for none, a tuple, an array, slice or `Vec`, [`params!`](crate::params).
pub trait Params {
    /// Appends them to a request, as its field `params`, if there are some. Returns how many fields that are.
    #[doc(hidden)]
    fn put(&self, to: &mut Vec<u8>, engine: Engine) -> Result<usize, Error>;

    /// Appends them as a row of a batch.
    #[doc(hidden)]
    fn put_row(&self, to: &mut Vec<u8>, engine: Engine) -> Result<(), Error>;
}

fn put_list<'a>(to: &mut Vec<u8>, engine: Engine, count: usize, values: impl Iterator<Item = Value<'a>>) {
    codec::put_list_head(to, count);
    values.for_each(|value| value.put(to, engine));
}

macro_rules! list_params {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> Params for $type {
            fn put(&self, to: &mut Vec<u8>, engine: Engine) -> Result<usize, Error> {
                if self.is_empty() {
                    return Ok(0);
                }
                codec::put_text(to, "params");
                self.put_row(to, engine).map(|()| 1)
            }

            fn put_row(&self, to: &mut Vec<u8>, engine: Engine) -> Result<(), Error> {
                put_list(to, engine, self.len(), self.iter().map(ToValue::to_value));
                Ok(())
            }
        }
    )*};
}

list_params! {
    [T: ToValue] &[T];
    [T: ToValue] Vec<T>;
    [T: ToValue] &Vec<T>;
    [T: ToValue, const N: usize] [T; N];
    [T: ToValue, const N: usize] &[T; N];
}

impl Params for () {
    fn put(&self, _: &mut Vec<u8>, _: Engine) -> Result<usize, Error> {
        Ok(0)
    }

    fn put_row(&self, to: &mut Vec<u8>, _: Engine) -> Result<(), Error> {
        codec::put_list_head(to, 0);
        Ok(())
    }
}

macro_rules! tuple_params {
    ($($name:ident)+) => {
        impl<$($name: ToValue),+> Params for ($($name,)+) {
            fn put(&self, to: &mut Vec<u8>, engine: Engine) -> Result<usize, Error> {
                codec::put_text(to, "params");
                self.put_row(to, engine).map(|()| 1)
            }

            #[allow(non_snake_case)]
            fn put_row(&self, to: &mut Vec<u8>, engine: Engine) -> Result<(), Error> {
                let ($($name,)+) = self;
                let values = [$($name.to_value()),+];
                put_list(to, engine, values.len(), values.into_iter());
                Ok(())
            }
        }
    };
}

tuple_params!(A);
tuple_params!(A B);
tuple_params!(A B C);
tuple_params!(A B C D);
tuple_params!(A B C D E);
tuple_params!(A B C D E F);
tuple_params!(A B C D E F G);
tuple_params!(A B C D E F G H);

/// Parameters with names, without the `:` of the statement. SQLite alone has them.
#[derive(Clone, Copy)]
pub struct Named<'a>(pub &'a [(&'a str, &'a dyn ToValue)]);

impl fmt::Debug for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the values, which may be secrets.
        f.debug_set().entries(self.0.iter().map(|pair| pair.0)).finish()
    }
}

impl Params for Named<'_> {
    fn put(&self, to: &mut Vec<u8>, engine: Engine) -> Result<usize, Error> {
        if self.0.is_empty() {
            return Ok(0);
        }
        codec::put_text(to, "params");
        codec::put_map_head(to, self.0.len());
        for (name, value) in self.0 {
            codec::put_text(to, name);
            value.to_value().put(to, engine);
        }
        Ok(1)
    }

    fn put_row(&self, _: &mut Vec<u8>, _: Engine) -> Result<(), Error> {
        Err(Error::new("bad_request", "The rows of a batch have no names.", Some("Write ? for each value.")))
    }
}

/// Parameters of different types, by position or by name.
///
/// ```
/// # fn main() -> Result<(), litebase::Error> { Ok(()) }
/// # fn run(db: &mut litebase::Connection) -> Result<(), litebase::Error> {
/// use litebase::params;
///
/// db.execute("INSERT INTO city VALUES (?, ?)", params!["Oslo", 717_710])?;
/// db.execute("DELETE FROM city WHERE people < :least", params! {"least" => 1_000})?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! params {
    () => { () };
    ($($name:expr => $value:expr),+ $(,)?) => {
        $crate::Named(&[$(($name, &$value as &dyn $crate::ToValue)),+])
    };
    ($($value:expr),+ $(,)?) => {
        &[$(&$value as &dyn $crate::ToValue),+]
    };
}
