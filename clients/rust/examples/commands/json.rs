//! A JSON reader for the example and for the vectors: the standard library has none.

// The tests, which read the vectors with it, need what the example does not.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Boolean(bool),
    /// As it is written, so that no digit is lost.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

impl Json {
    pub fn parse(text: &str) -> Option<Json> {
        let mut parser = Parser { rest: text };
        let value = parser.value()?;
        parser.space();
        parser.rest.is_empty().then_some(value)
    }

    /// The value of a map by its name; null where there is none.
    pub fn get(&self, key: &str) -> &Json {
        match self {
            Json::Map(pairs) => pairs.get(key).unwrap_or(&Json::Null),
            _ => &Json::Null,
        }
    }

    pub fn items(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::Text(text) | Json::Number(text) => Some(text),
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, wanted: &str) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        match self.rest.chars().next()? {
            'n' => self.take("null").map(|()| Json::Null),
            't' => self.take("true").map(|()| Json::Boolean(true)),
            'f' => self.take("false").map(|()| Json::Boolean(false)),
            '"' => self.text().map(Json::Text),
            '[' => {
                self.take("[")?;
                let mut items = Vec::new();
                while self.take("]").is_none() {
                    if !items.is_empty() {
                        self.take(",")?;
                    }
                    items.push(self.value()?);
                }
                Some(Json::List(items))
            }
            '{' => {
                self.take("{")?;
                let mut pairs = BTreeMap::new();
                while self.take("}").is_none() {
                    if !pairs.is_empty() {
                        self.take(",")?;
                    }
                    self.space();
                    let key = self.text()?;
                    self.take(":")?;
                    pairs.insert(key, self.value()?);
                }
                Some(Json::Map(pairs))
            }
            _ => {
                let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
                let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
                let (number, rest) = self.rest.split_at(end);
                self.rest = rest;
                (!number.is_empty()).then(|| Json::Number(number.to_owned()))
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let mut rest = self.rest.chars();
            let next = match rest.next()? {
                '"' => {
                    self.rest = rest.as_str();
                    return Some(text);
                }
                '\\' => match rest.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => {
                        let mut unit = || {
                            let unit = u16::from_str_radix(rest.as_str().get(..4)?, 16).ok()?;
                            rest = rest.as_str()[4..].chars();
                            Some(unit)
                        };
                        let first = unit()?;
                        let mut units = vec![first];
                        if (0xd800..0xdc00).contains(&first) {
                            rest = rest.as_str().strip_prefix("\\u")?.chars();
                            let unit = u16::from_str_radix(rest.as_str().get(..4)?, 16).ok()?;
                            rest = rest.as_str()[4..].chars();
                            units.push(unit);
                        }
                        char::decode_utf16(units).next()?.ok()?
                    }
                    other => other,
                },
                other => other,
            };
            text.push(next);
            self.rest = rest.as_str();
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Boolean(value) => write!(f, "{value}"),
            Json::Number(value) => f.write_str(value),
            Json::Text(value) => write_text(f, value),
            Json::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Map(pairs) => {
                f.write_str("{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write_text(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
