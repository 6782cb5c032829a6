//! How long a point SELECT takes, and a million rows: `cargo run --release --example figures`. It measures the daemon that
//! `litebase` would find, with a database in memory.

use std::time::{Duration, Instant};

use litebase::{Connection, Error, Options};

const ROUNDS: usize = 20_000;

fn main() -> Result<(), Error> {
    let mut db = Options::new().url("sqlite::memory:").client("figures").connect()?;
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, price REAL)", ())?;
    db.execute(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 1000000) \
         INSERT INTO t SELECT x, 'item ' || x, x / 4.0 FROM c",
        (),
    )?;
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let id = (round * 7_919 % 1_000_000 + 1) as i64;
        let begin = Instant::now();
        let (name, _): (String, f64) = db.query_one("SELECT name, price FROM t WHERE id = ?", [id])?;
        times.push(begin.elapsed());
        assert_eq!(name, format!("item {id}"));
    }
    times.sort();
    println!("point SELECT: p50 {:?}, p99 {:?}", times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
    let best = (0..5).map(|_| million(&mut db)).collect::<Result<Vec<_>, _>>()?.into_iter().min();
    println!("1,000,000 rows of an integer, a text and a real, each read: {:?}", best.unwrap_or_default());
    Ok(())
}

fn million(db: &mut Connection) -> Result<Duration, Error> {
    let begin = Instant::now();
    let (mut ids, mut letters, mut prices) = (0, 0, 0.0);
    for row in db.query("SELECT id, name, price FROM t", ())? {
        let row = row?;
        ids += row.get::<i64>(0)?;
        letters += row.get::<&str>(1)?.len();
        prices += row.get::<f64>(2)?;
    }
    assert_eq!((ids, letters, prices), (500_000_500_000, 10_888_896, 125_000_125_000.0));
    Ok(begin.elapsed())
}
