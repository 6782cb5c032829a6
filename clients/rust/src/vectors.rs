//! The vectors that the tests of every client read (clients/vectors), in both directions.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::codec::{self, Data, Reader};
use crate::input::{data_of, Envelope, Id, Input};
use crate::link::Link;
use crate::page::{Head, PageData};
use crate::Value;

#[path = "../examples/commands/json.rs"]
mod json;

use json::Json;

fn lines(name: &str) -> Vec<Json> {
    let path = format!("{}/../vectors/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().map(|line| Json::parse(line).expect(line)).collect();
    assert!(lines.len() >= 8, "{name}");
    lines
}

fn bytes(hex: &Json) -> Vec<u8> {
    let text = hex.as_str().expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn native(vector: &Json) -> Data {
    let value = || vector.get("value").as_str().unwrap();
    match vector.get("kind").as_str().unwrap() {
        "null" => Data::Null,
        "boolean" => Data::Boolean(*vector.get("value") == Json::Boolean(true)),
        "integer" => value().parse().map_or_else(|_| Data::Unsigned(value().parse().unwrap()), Data::Integer),
        "real" => Data::Real(f64::from_bits(u64::from_str_radix(vector.get("bits").as_str().unwrap(), 16).unwrap())),
        "text" => Data::Text(String::from_utf8(bytes(vector.get("utf8"))).unwrap()),
        "blob" => Data::Blob(bytes(vector.get("hex"))),
        other => panic!("{other}"),
    }
}

/// By bits, since NaN equals nothing.
fn is_same(a: &Data, b: &Data) -> bool {
    match (a, b) {
        (Data::Real(a), Data::Real(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

fn decoded(bytes: &[u8]) -> Option<Data> {
    let mut reader = Reader::new(bytes);
    reader.data().ok().filter(|_| reader.rest().is_empty())
}

#[test]
fn values_are_written_and_read() {
    for vector in lines("values") {
        let wanted = native(vector.get("native"));
        let form = bytes(vector.get("msgpack"));
        let mut packed = Vec::new();
        wanted.put(&mut packed);
        assert_eq!(packed, form, "{wanted:?} is written");
        let also = vector.get("msgpack_also").items().iter().map(bytes);
        for form in also.chain([form]) {
            let read = decoded(&form).unwrap();
            assert!(is_same(&read, &wanted), "{form:x?} is read as {read:?}, not as {wanted:?}");
            let cell = cell(&form);
            assert!(is_same(&cell, &wanted), "{form:x?} is a cell with {cell:?}, not {wanted:?}");
        }
    }
}

/// The value of the only row with the only column of a reply.
fn cell(form: &[u8]) -> Data {
    let mut reply = Vec::new();
    codec::put_map_head(&mut reply, 2);
    codec::put_text(&mut reply, "columns");
    Data::List(vec![Data::map([("name", Data::from("a"))])]).put(&mut reply);
    codec::put_text(&mut reply, "rows");
    reply.extend([0x91, 0x91]);
    reply.extend(form);
    let mut page = PageData::default();
    Head::read(&reply, Some(&mut page)).unwrap();
    let row = crate::Row { page: Arc::new(page), index: 0 };
    match row.get::<Value<'_>>(0).unwrap() {
        Value::Null => Data::Null,
        Value::Boolean(value) => Data::Boolean(value),
        Value::Integer(value) => Data::Integer(value),
        Value::Unsigned(value) => Data::Unsigned(value),
        Value::Real(value) => Data::Real(value),
        Value::Text(value) => Data::Text(value.into_owned()),
        Value::Blob(value) => Data::Blob(value.into_owned()),
        Value::Moment(_) => panic!("a reply has none"),
    }
}

#[test]
fn requests_are_read_and_written() {
    for vector in lines("requests") {
        let form = bytes(vector.get("msgpack"));
        let request = decoded(&form).unwrap();
        assert_eq!(request.get("type").as_str(), vector.get("type").as_str());
        let mut packed = Vec::new();
        request.put(&mut packed);
        assert_eq!(packed, form, "{}", vector.get("name"));
    }
}

/// Gives so many bytes at a time.
struct Pieces<'a>(Cursor<&'a [u8]>, usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.1);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn streams_are_read_wherever_they_are_cut() {
    let mut seen = 0;
    for vector in lines("streams") {
        if vector.get("framing").as_str() != Some("frames") {
            continue;
        }
        let stream = bytes(vector.get("bytes"));
        let bodies: Vec<_> = vector.get("bodies").items().iter().map(bytes).collect();
        for size in 1..=stream.len() {
            let mut source = Pieces(Cursor::new(&stream), size);
            let mut input = Input::default();
            for body in &bodies {
                let place = input.frame(&mut source).unwrap();
                assert_eq!(&input.buffer[place], body, "{} in pieces of {size}", vector.get("name"));
            }
            assert!(input.frame(&mut source).is_err());
            seen += 1;
        }
    }
    assert!(seen > 1_000, "{seen}");
}

#[test]
fn replies_are_those_of_their_requests() {
    let mut codes = BTreeSet::new();
    for vector in lines("replies") {
        let name = vector.get("name");
        let bodies: Vec<_> = vector.get("msgpack").items().iter().map(bytes).collect();
        let mut stream = Vec::new();
        for body in &bodies {
            stream.extend((body.len() as u32).to_be_bytes());
            stream.extend(body);
        }
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut theirs, &stream).unwrap();
        let notices = Arc::new(Mutex::new(0));
        let count = Arc::clone(&notices);
        let on_notice = Arc::new(move |_: &Data| *count.lock().unwrap() += 1);
        let mut link = Link::new(ours, Duration::from_secs(5), Some(on_notice)).unwrap();
        let mut wanted_notices = 0;
        for body in &bodies {
            let message = decoded(body).unwrap();
            let envelope = Envelope::read(body).unwrap();
            match envelope.id {
                Id::None => wanted_notices += 1,
                Id::Other => {} // Of no client that numbers its requests.
                Id::Number(id) => match link.receive(id, "query") {
                    Ok(place) => {
                        assert!(!envelope.is_error, "{name}");
                        assert_eq!(&data_of(&link.input.buffer[place.clone()]).unwrap(), message.get("data"), "{name}");
                        if message.get("type").as_str() == Some("query_response") {
                            let mut page = PageData::with_columns(columns_of(&bodies));
                            let head = Head::read(&link.input.buffer[place], Some(&mut page)).expect("rows");
                            assert_eq!(page.rows, message.get("data").get("rows").items().len(), "{name}");
                            assert_eq!(Some(head.more), message.get("data").get("more").as_bool(), "{name}");
                        }
                    }
                    Err(error) => {
                        assert!(envelope.is_error, "{name}: {error}");
                        assert_eq!(Some(error.code()), message.get("data").get("code").as_str(), "{name}");
                        codes.insert(error.code().to_owned());
                    }
                },
            }
        }
        assert_eq!(*notices.lock().unwrap(), wanted_notices, "{name}");
    }
    assert!(!codes.is_empty());
}

#[test]
fn changes_are_told() {
    let (mut seen, mut messages) = (0, 0);
    for vector in lines("replies") {
        for (body, told) in vector.get("msgpack").items().iter().zip(vector.get("changes").items()) {
            let change = crate::Change::of(decoded(&bytes(body)).unwrap().get("data"));
            let relations: Vec<_> = told.get("relations").items().iter().filter_map(Json::as_str).collect();
            assert_eq!(Some(change.position.as_str()), told.get("position").as_str());
            assert_eq!(change.relations, relations, "{}", vector.get("name"));
            assert_eq!(change.is_of_schema, matches!(told.get("schema"), Json::Boolean(true)));
            assert_eq!(change.resync.as_deref(), told.get("resync").as_str());
            let wanted = told.get("message");
            let text = |key| match wanted.get(key) {
                Json::Null => None,
                value => Some(native(value)),
            };
            let of_bytes = |found: &[u8], wanted: Option<Data>| match wanted {
                Some(Data::Text(text)) => text.as_bytes() == found,
                Some(Data::Blob(bytes)) => bytes == found,
                _ => false,
            };
            assert_eq!(change.message.is_some(), !matches!(wanted, Json::Null));
            if let Some(message) = change.message {
                assert!(of_bytes(message.channel_bytes(), text("channel")));
                assert!(of_bytes(message.payload_bytes(), text("payload")));
                assert_eq!(message.payload().is_ok(), matches!(text("payload"), Some(Data::Text(_))));
                assert_eq!(message.pattern_bytes().is_some(), text("pattern").is_some());
                assert!(message.pattern_bytes().map_or(true, |pattern| of_bytes(pattern, text("pattern"))));
                assert_eq!(
                    message.pid().map_or("null".to_owned(), |pid| pid.to_string()),
                    wanted.get("pid").to_string()
                );
                messages += 1;
            }
            seen += 1;
        }
    }
    assert!(seen >= 5 && messages >= 4, "{seen} {messages}");
}

/// The columns of the first reply of a query, as those behind it have none.
fn columns_of(bodies: &[Vec<u8>]) -> Arc<Vec<crate::Column>> {
    let mut page = PageData::default();
    let data = Envelope::read(&bodies[0]).unwrap().data;
    Head::read(&bodies[0][data], Some(&mut page)).unwrap();
    page.columns
}

#[test]
fn whatever_comes_is_read_or_refused() {
    // Not random: every byte of real messages is replaced by every tag, and they are cut everywhere.
    let mut seeds: Vec<_> = lines("requests").iter().map(|vector| bytes(vector.get("msgpack"))).collect();
    seeds.extend(
        lines("replies").iter().map(|vector| bytes(&vector.get("msgpack").items()[0])).filter(|body| body.len() < 250),
    );
    let mut refused = 0;
    for seed in &seeds {
        for at in 0..seed.len() {
            for tag in (0x00..=0xff).step_by(23) {
                let mut changed = seed.clone();
                changed[at] = tag;
                refused += usize::from(is_refused(&changed));
            }
            assert!(is_refused(&seed[..at]) || at == 0);
        }
    }
    assert!(refused > 1_000, "{refused}");
    for hostile in ["dfffffffff", "ddffffffff", "c6ffffffff", "dbffffffff", "c70cff", "c1", "d5ff0000", "a1ff"] {
        assert!(is_refused(&bytes(&Json::Text(hostile.to_owned()))), "{hostile}");
    }
    for depth in [100, 1_000_000] {
        assert!(decoded(&vec![0x91; depth]).is_none());
        assert!(Reader::new(&vec![0x91; depth]).skip().is_err());
    }
}

fn is_refused(message: &[u8]) -> bool {
    if let Ok(envelope) = Envelope::read(message) {
        let data = &message[envelope.data];
        let _ = Head::read(data, Some(&mut PageData::default()));
        let _ = Head::read(data, None);
        let _ = data_of(data).map(|data| crate::Error::of_reply(&data));
    }
    decoded(message).is_none()
}
