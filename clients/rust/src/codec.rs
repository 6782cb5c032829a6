//! MessagePack, as the protocol uses it: <https://github.com/msgpack/msgpack/blob/master/spec.md>.

use std::fmt;

/// How deep the daemon nests at most (docs/protocol.md, Limits).
const NESTING_MAX: usize = 64;

/// Bytes that are no message of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

// Writing: each value in its shortest form.

pub(crate) fn put_null(to: &mut Vec<u8>) {
    to.push(0xc0);
}

pub(crate) fn put_boolean(to: &mut Vec<u8>, value: bool) {
    to.push(if value { 0xc3 } else { 0xc2 });
}

pub(crate) fn put_integer(to: &mut Vec<u8>, value: i64) {
    if let Ok(positive) = u64::try_from(value) {
        put_unsigned(to, positive);
    } else if value >= -32 {
        to.push(value as u8);
    } else if let Ok(small) = i8::try_from(value) {
        to.extend([0xd0, small as u8]);
    } else if let Ok(small) = i16::try_from(value) {
        to.push(0xd1);
        to.extend(small.to_be_bytes());
    } else if let Ok(small) = i32::try_from(value) {
        to.push(0xd2);
        to.extend(small.to_be_bytes());
    } else {
        to.push(0xd3);
        to.extend(value.to_be_bytes());
    }
}

pub(crate) fn put_unsigned(to: &mut Vec<u8>, value: u64) {
    if value < 128 {
        to.push(value as u8);
    } else if let Ok(small) = u8::try_from(value) {
        to.extend([0xcc, small]);
    } else if let Ok(small) = u16::try_from(value) {
        to.push(0xcd);
        to.extend(small.to_be_bytes());
    } else if let Ok(small) = u32::try_from(value) {
        to.push(0xce);
        to.extend(small.to_be_bytes());
    } else {
        to.push(0xcf);
        to.extend(value.to_be_bytes());
    }
}

pub(crate) fn put_real(to: &mut Vec<u8>, value: f64) {
    to.push(0xcb);
    to.extend(value.to_bits().to_be_bytes());
}

pub(crate) fn put_text(to: &mut Vec<u8>, value: &str) {
    put_head(to, value.len(), Some((0xa0, 31)), Some(0xd9), 0xda);
    to.extend_from_slice(value.as_bytes());
}

pub(crate) fn put_blob(to: &mut Vec<u8>, value: &[u8]) {
    put_head(to, value.len(), None, Some(0xc4), 0xc5);
    to.extend_from_slice(value);
}

pub(crate) fn put_list_head(to: &mut Vec<u8>, count: usize) {
    put_head(to, count, Some((0x90, 15)), None, 0xdc);
}

pub(crate) fn put_texts(to: &mut Vec<u8>, texts: &[impl AsRef<str>]) {
    put_list_head(to, texts.len());
    texts.iter().for_each(|text| put_text(to, text.as_ref()));
}

pub(crate) fn put_map_head(to: &mut Vec<u8>, count: usize) {
    put_head(to, count, Some((0x80, 15)), None, 0xde);
}

/// A length: within the tag if it is small, else behind the tag for 8 bits, for 16 or for 32, which is the next one.
fn put_head(to: &mut Vec<u8>, count: usize, small: Option<(u8, usize)>, tag8: Option<u8>, tag16: u8) {
    match (small, tag8) {
        (Some((tag, max)), _) if count <= max => to.push(tag | count as u8),
        (_, Some(tag)) if count <= 0xff => to.extend([tag, count as u8]),
        _ if count <= 0xffff => {
            to.push(tag16);
            to.extend((count as u16).to_be_bytes());
        }
        // What is longer than 4 GiB is longer than any frame, and refused as such before it is sent.
        _ => {
            to.push(tag16 + 1);
            to.extend((count as u32).to_be_bytes());
        }
    }
}

/// One value of a message; of a list or map, how many values or pairs follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Beyond `i64`.
    Unsigned(u64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// Seconds since 1970, and nanoseconds.
    Timestamp(i64, u32),
    List(usize),
    Map(usize),
}

/// Takes values from the bytes of one message.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        if count > self.bytes.len() {
            return Err(Malformed);
        }
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }

    /// A number of 1, 2, 4 or 8 bytes.
    fn number(&mut self, size: usize) -> Result<u64, Malformed> {
        Ok(self.take(size)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn count(&mut self, size: usize) -> Result<usize, Malformed> {
        usize::try_from(self.number(size)?).map_err(|_| Malformed)
    }

    /// How many elements follow, each of which has so many bytes at least: no memory is made for what is not there.
    fn elements(&self, count: usize, bytes: usize) -> Result<usize, Malformed> {
        match count.checked_mul(bytes) {
            Some(needed) if needed <= self.bytes.len() => Ok(count),
            _ => Err(Malformed),
        }
    }

    fn list(&self, count: usize) -> Result<Token<'a>, Malformed> {
        self.elements(count, 1).map(Token::List)
    }

    fn map(&self, count: usize) -> Result<Token<'a>, Malformed> {
        self.elements(count, 2).map(Token::Map)
    }

    pub(crate) fn token(&mut self) -> Result<Token<'a>, Malformed> {
        let tag = self.take(1)?[0];
        Ok(match tag {
            0x00..=0x7f => Token::Integer(i64::from(tag)),
            0x80..=0x8f => self.map(usize::from(tag & 0x0f))?,
            0x90..=0x9f => self.list(usize::from(tag & 0x0f))?,
            0xa0..=0xbf => Token::Text(self.take(usize::from(tag & 0x1f))?),
            0xe0..=0xff => Token::Integer(i64::from(tag as i8)),
            0xc0 => Token::Null,
            0xc2 | 0xc3 => Token::Boolean(tag == 0xc3),
            0xc4..=0xc6 => {
                let count = self.count(1 << (tag - 0xc4))?;
                Token::Blob(self.take(count)?)
            }
            0xca => Token::Real(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Token::Real(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => {
                let value = self.number(1 << (tag - 0xcc))?;
                i64::try_from(value).map_or(Token::Unsigned(value), Token::Integer)
            }
            0xd0 => Token::Integer(i64::from(self.number(1)? as i8)),
            0xd1 => Token::Integer(i64::from(self.number(2)? as i16)),
            0xd2 => Token::Integer(i64::from(self.number(4)? as i32)),
            0xd3 => Token::Integer(self.number(8)? as i64),
            0xd9..=0xdb => {
                let count = self.count(1 << (tag - 0xd9))?;
                Token::Text(self.take(count)?)
            }
            0xdc | 0xdd => {
                let count = self.count(2 << (tag - 0xdc))?;
                self.list(count)?
            }
            0xde | 0xdf => {
                let count = self.count(2 << (tag - 0xde))?;
                self.map(count)?
            }
            0xd6 | 0xd7 => self.timestamp(4 << (tag - 0xd6))?,
            0xc7 => {
                let count = self.count(1)?;
                self.timestamp(count)?
            }
            _ => return Err(Malformed),
        })
    }

    /// MessagePack's extension type -1, the only one of the protocol.
    fn timestamp(&mut self, size: usize) -> Result<Token<'a>, Malformed> {
        if self.number(1)? != 0xff {
            return Err(Malformed);
        }
        let (seconds, nanoseconds) = match size {
            4 => (self.number(4)? as i64, 0),
            8 => {
                let value = self.number(8)?;
                ((value & ((1 << 34) - 1)) as i64, value >> 34)
            }
            12 => {
                let nanoseconds = self.number(4)?;
                (self.number(8)? as i64, nanoseconds)
            }
            _ => return Err(Malformed),
        };
        match u32::try_from(nanoseconds) {
            Ok(nanoseconds) if nanoseconds < 1_000_000_000 => Ok(Token::Timestamp(seconds, nanoseconds)),
            _ => Err(Malformed),
        }
    }

    /// How many pairs a map has that comes next; 0 for null.
    pub(crate) fn map_head(&mut self) -> Result<usize, Malformed> {
        match self.token()? {
            Token::Map(count) => Ok(count),
            Token::Null => Ok(0),
            _ => Err(Malformed),
        }
    }

    /// How many elements a list has that comes next; 0 for null.
    pub(crate) fn list_head(&mut self) -> Result<usize, Malformed> {
        match self.token()? {
            Token::List(count) => Ok(count),
            Token::Null => Ok(0),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        match self.token()? {
            Token::Text(bytes) => text_of(bytes),
            _ => Err(Malformed),
        }
    }

    /// Goes behind the next value.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        // Values that are still to be passed, of each list and map that is open.
        let mut open = vec![1usize];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            match self.token()? {
                Token::List(count) => open.push(count),
                Token::Map(count) => open.push(2 * count),
                _ => {}
            }
            if open.len() > NESTING_MAX + 1 {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    pub(crate) fn data(&mut self) -> Result<Data, Malformed> {
        self.nested(NESTING_MAX)
    }

    fn nested(&mut self, depth: usize) -> Result<Data, Malformed> {
        Ok(match self.token()? {
            Token::Null => Data::Null,
            Token::Boolean(value) => Data::Boolean(value),
            Token::Integer(value) => Data::Integer(value),
            Token::Unsigned(value) => Data::Unsigned(value),
            Token::Real(value) => Data::Real(value),
            Token::Text(bytes) => Data::Text(text_of(bytes)?.to_owned()),
            Token::Blob(bytes) => Data::Blob(bytes.to_owned()),
            Token::Timestamp(seconds, nanoseconds) => Data::Timestamp { seconds, nanoseconds },
            Token::List(_) | Token::Map(_) if depth == 0 => return Err(Malformed),
            Token::List(count) => {
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(self.nested(depth - 1)?);
                }
                Data::List(list)
            }
            Token::Map(count) => {
                let mut pairs = Vec::new();
                for _ in 0..count {
                    let key = self.text()?.to_owned();
                    pairs.push((key, self.nested(depth - 1)?));
                }
                Data::Map(pairs)
            }
        })
    }
}

pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// The data of a request or a reply of the [protocol](https://github.com/litebase/litebase/blob/main/docs/protocol.md),
/// for [`Connection::request`](crate::Connection::request).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Data {
    /// Nothing.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// An integer beyond `i64`.
    Unsigned(u64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// A moment; only in replies.
    Timestamp {
        /// Since 1970, UTC.
        seconds: i64,
        /// Within the second.
        nanoseconds: u32,
    },
    /// Several values.
    List(Vec<Data>),
    /// Values with names, in their order.
    Map(Vec<(String, Data)>),
}

impl Data {
    /// A map of values with names, for a request.
    pub fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, Data)>) -> Data {
        Data::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The value of a map by its name. [`Data::Null`] where there is none, which in the protocol is the same.
    pub fn get(&self, key: &str) -> &Data {
        match self {
            Data::Map(pairs) => pairs.iter().find(|pair| pair.0 == key).map_or(&Data::Null, |pair| &pair.1),
            _ => &Data::Null,
        }
    }

    /// The elements of a list; none where this is no list.
    pub fn items(&self) -> &[Data] {
        match self {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The text, where this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, where this is one within `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Data::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, where this is one that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Data::Integer(value) => u64::try_from(*value).ok(),
            Data::Unsigned(value) => Some(*value),
            _ => None,
        }
    }

    /// The boolean, where this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Data::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// Appends it to a message. A timestamp, which no request has, is sent as null.
    pub(crate) fn put(&self, to: &mut Vec<u8>) {
        match self {
            Data::Null | Data::Timestamp { .. } => put_null(to),
            Data::Boolean(value) => put_boolean(to, *value),
            Data::Integer(value) => put_integer(to, *value),
            Data::Unsigned(value) => put_unsigned(to, *value),
            Data::Real(value) => put_real(to, *value),
            Data::Text(value) => put_text(to, value),
            Data::Blob(value) => put_blob(to, value),
            Data::List(items) => {
                put_list_head(to, items.len());
                items.iter().for_each(|item| item.put(to));
            }
            Data::Map(pairs) => {
                put_map_head(to, pairs.len());
                for (key, value) in pairs {
                    put_text(to, key);
                    value.put(to);
                }
            }
        }
    }
}

impl From<&str> for Data {
    fn from(value: &str) -> Data {
        Data::Text(value.to_owned())
    }
}

impl From<i64> for Data {
    fn from(value: i64) -> Data {
        Data::Integer(value)
    }
}

impl From<bool> for Data {
    fn from(value: bool) -> Data {
        Data::Boolean(value)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The daemon sent no message of its protocol.")
    }
}
