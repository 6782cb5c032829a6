//! One measurement of clients.py, of a driver for Rust: `measure DRIVER rows TARGET ROWS SELECTS`; prints JSON.
//!
//! DRIVER: litebase, rusqlite.

use std::time::Instant;

const ALL: &str = "SELECT id, number, name, price, text FROM item";

type Failure = Box<dyn std::error::Error>;
type Item = (i64, i64, String, f64, String);

/// Both take each value as what it is, and text as text of its own.
trait Driver {
    fn one(&mut self, sql: &str, key: i64) -> Result<Item, Failure>;
    fn all(&mut self) -> Result<i64, Failure>;
}

impl Driver for litebase::Connection {
    fn one(&mut self, sql: &str, key: i64) -> Result<Item, Failure> {
        Ok(self.query_one(sql, [key])?)
    }

    fn all(&mut self) -> Result<i64, Failure> {
        let mut count = 0;
        for row in self.query(ALL, ())? {
            let _: Item = row?.read()?;
            count += 1;
        }
        Ok(count)
    }
}

fn item(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

impl Driver for rusqlite::Connection {
    fn one(&mut self, sql: &str, key: i64) -> Result<Item, Failure> {
        Ok(self.prepare_cached(sql)?.query_row([key], item)?)
    }

    fn all(&mut self) -> Result<i64, Failure> {
        let mut statement = self.prepare(ALL)?;
        let mut count = 0;
        for row in statement.query_map([], item)? {
            row?;
            count += 1;
        }
        Ok(count)
    }
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().collect();
    let (target, count, selects) = (&words[3], words[4].parse::<i64>()?, words[5].parse::<i64>()?);
    let mut driver: Box<dyn Driver> = match &*words[1] {
        "litebase" => Box::new(litebase::Options::new().database(target).connect()?),
        _ => Box::new(rusqlite::Connection::open(target)?),
    };
    let mark = if target.starts_with("pg") { "$1" } else { "?" };
    let one = format!("{ALL} WHERE id = {mark}");
    let mut taken = Vec::new();
    for number in 0..selects {
        let key = number * 7919 % count;
        let began = Instant::now();
        let found = driver.one(&one, key)?;
        taken.push(began.elapsed().as_secs_f64() * 1e6);
        assert_eq!(found.0, key);
    }
    taken.sort_by(f64::total_cmp);
    let began = Instant::now();
    assert_eq!(driver.all()?, count);
    println!("{{\"point_us\": {}, \"seconds\": {}}}", taken[taken.len() / 2], began.elapsed().as_secs_f64());
    Ok(())
}
