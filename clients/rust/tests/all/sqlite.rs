//! What the driver does with SQLite, which is in the daemon.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use litebase::{
    params, CancelHandle, Connection, Data, Decimal, Engine, Error, FromRow, FromValue, Mismatch, Options, Row,
    ToValue, TransactionState, Value,
};

use crate::daemon::{count, wait_until, Daemon};

#[test]
fn values_there_and_back() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    assert_eq!(db.engine(), Engine::Sqlite);
    let long = "x".repeat(3 << 20);
    for value in [
        Value::Null,
        Value::Integer(0),
        Value::Integer(i64::MAX),
        Value::Integer(i64::MIN),
        Value::Integer((1 << 53) + 1),
        Value::Real(0.1),
        Value::Real(f64::INFINITY),
        Value::Text("".into()),
        Value::Text("é\0😀".into()),
        Value::Text(long.as_str().into()),
        Value::Blob(vec![].into()),
        Value::Blob(vec![0, 255].into()),
    ] {
        let row: Row = db.query_one("SELECT ?", [&value]).unwrap();
        assert!(row.get::<Value<'_>>(0).unwrap() == value, "{:?} came back as {row:?}", value.kind());
    }
    let moment = UNIX_EPOCH + Duration::new(1_795_860_672, 345_678_000);
    let (text, back): (String, std::time::SystemTime) = db.query_one("SELECT ?1, ?1", (moment,)).unwrap();
    assert_eq!((text.as_str(), back), ("2026-11-28 10:11:12.345678+00:00", moment));
    let price: Decimal = "12.50".parse().unwrap();
    assert_eq!(db.query_one::<(String,)>("SELECT ?", (price,)).unwrap().0, "12.50");
    let error = db.query("SELECT ?", [u64::MAX]).unwrap_err();
    assert!(matches!(error, Error::BadRequest(_)), "SQLite has no integer beyond 64 bits with a sign: {error:?}");
}

#[test]
fn parameters_have_positions_or_names() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let sum: (i64,) = db.query_one("SELECT :a - :b", params! {"b" => 2, "a" => 7_i64}).unwrap();
    assert_eq!(sum.0, 5);
    let row: (i64, String, Option<i64>) = db.query_one("SELECT ?, ?, ?", params![1, "x", None::<i64>]).unwrap();
    assert_eq!(row, (1, "x".to_owned(), None));
    let row: (i64, String) = db.query_one("SELECT ?, ?", (1_u8, String::from("x"))).unwrap();
    assert_eq!(row, (1, "x".to_owned()));
    for params in [vec![1, 2], vec![3, 4]] {
        assert_eq!(db.query_one::<(i64, i64)>("SELECT ?, ?", &params).unwrap(), (params[0], params[1]));
    }
    let values: Vec<Box<dyn ToValue>> = vec![Box::new(1), Box::new("x")];
    assert_eq!(db.query_one::<(i64, String)>("SELECT ?, ?", values).unwrap().1, "x");
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", params![]).unwrap().0, 1);
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", &[] as &[i64]).unwrap().0, 1);
    assert!(matches!(db.execute("SELECT ?, ?", (1,)), Err(Error::BadRequest(_))));
    // What is too long is refused before it is sent, and the connection goes on.
    let error = db.execute("SELECT ?", ("x".repeat(17 << 20),)).unwrap_err();
    assert_eq!((error.code(), db.is_lost()), ("frame_too_large", false));
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[derive(Debug, PartialEq)]
struct Id(i64);

impl FromValue<'_> for Id {
    fn from_value(value: Value<'_>) -> Result<Self, Mismatch> {
        i64::from_value(value).map(Id)
    }
}

struct City {
    id: Id,
    name: String,
}

impl FromRow for City {
    fn from_row(row: &Row) -> Result<City, Error> {
        Ok(City { id: row.get("id")?, name: row.get("name")? })
    }
}

#[test]
fn rows_are_read_by_type() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    db.execute("CREATE TABLE city(id INTEGER PRIMARY KEY, name VARCHAR(20))", ()).unwrap();
    let done = db.execute("INSERT INTO city(name) VALUES ('Oslo'), ('Bergen')", ()).unwrap();
    assert_eq!((done.rows_affected, done.last_insert_id), (2, Some(2)));
    let rows = db.query("SELECT * FROM city ORDER BY id", ()).unwrap();
    assert_eq!((rows.columns()[1].name.as_str(), rows.columns()[1].declared.as_deref()), ("name", Some("VARCHAR(20)")));
    let cities: Vec<City> = rows.collect_as().unwrap();
    assert_eq!((&cities[1].id, cities[1].name.as_str()), (&Id(2), "Bergen"));
    let row: Row = db.query_one("SELECT 300, NULL, 'x', 1.5, x'ff', 1", ()).unwrap();
    assert_eq!((row.get::<&str>(2).unwrap(), row.get::<&[u8]>(4).unwrap()), ("x", &[0xff][..]));
    assert_eq!((row.get::<f64>(0).unwrap(), row.get::<bool>(5).unwrap()), (300.0, true));
    for (error, words) in [
        (row.get::<u8>(0).unwrap_err(), "beyond u8"),
        (row.get::<i64>(1).unwrap_err(), "NULL"),
        (row.get::<i64>(2).unwrap_err(), "text"),
        (row.get::<i64>(3).unwrap_err(), "real"),
        (row.get::<String>(4).unwrap_err(), "blob"),
        (row.get::<bool>(0).unwrap_err(), "integer"),
        (row.get::<i64>(9).unwrap_err(), "no column 9"),
        (row.get::<i64>("nam").unwrap_err(), "no column nam"),
        (row.read::<(i64,)>().unwrap_err(), "6 values"),
    ] {
        assert!(matches!(error, Error::Conversion(_)) && error.to_string().contains(words), "{error}");
    }
    assert_eq!(db.query_optional::<(i64,)>("SELECT 1 WHERE 0", ()).unwrap(), None);
    assert!(matches!(db.query_one::<(i64,)>("SELECT 1 WHERE 0", ()), Err(Error::NoRow(_))));
    let found: HashMap<String, i64> = db
        .query("SELECT name, id FROM city", ())
        .unwrap()
        .map(|row| row.and_then(|row| row.read()))
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(found["Oslo"], 1);
}

const NUMBERS: &str =
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT ?) SELECT x, 'row ' || x FROM c";

#[test]
fn many_rows_stream() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let mut sum = 0;
    let mut kept = Vec::new();
    for row in db.query(NUMBERS, [100_000]).unwrap() {
        let row = row.unwrap();
        let number: i64 = row.get(0).unwrap();
        sum += number;
        if number % 10_000 == 0 {
            kept.push(row);
        }
    }
    assert_eq!(sum, 100_000 * 100_001 / 2);
    // Rows outlive their reply.
    assert_eq!(kept[4].get::<&str>(1).unwrap(), "row 50000");
    let done = db.query(NUMBERS, [5_000]).unwrap().finish().unwrap();
    assert_eq!(done.rows_affected, 0);
    // The daemon waits while nobody reads: a result without end needs no memory.
    let mut rows = db.query(NUMBERS, [i64::MAX]).unwrap();
    assert_eq!(rows.by_ref().take(10_000).count(), 10_000);
    drop(rows);
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    // Rows that are not even dropped.
    std::mem::forget(db.query(NUMBERS, [i64::MAX]).unwrap());
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    std::mem::forget(db.query(NUMBERS, [i64::MAX]).unwrap());
    assert!(db.health().is_ok());
}

#[test]
fn pages_come_when_they_are_asked_for() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    for (rows, size) in [(10, 4), (8, 4), (5_000, 1_700), (3, 10), (0, 2), (1, 1)] {
        let mut pages = db.pages(NUMBERS, [rows], size).unwrap();
        assert_eq!(pages.columns().len(), 2);
        let mut seen = Vec::new();
        while let Some(page) = pages.next(&mut db).unwrap() {
            assert!(!page.is_empty() && page.len() <= size);
            seen.push(page.len());
            for (index, row) in page.iter().enumerate() {
                assert_eq!(row.get::<usize>(0).unwrap(), (seen.len() - 1) * size + index + 1);
            }
        }
        assert_eq!(seen.iter().sum::<usize>(), rows, "{seen:?}");
        assert!(pages.is_complete() && pages.next(&mut db).unwrap().is_none());
    }
    let mut pages = db.pages(NUMBERS, [i64::MAX], 3).unwrap();
    assert_eq!(pages.next(&mut db).unwrap().unwrap().len(), 3);
    assert_eq!(db.transaction_state().unwrap(), TransactionState::None);
    assert_eq!(pages.next(&mut db).unwrap().unwrap().len(), 3);
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    let error = pages.next(&mut db).unwrap_err();
    assert!(matches!(error, Error::BadRequest(_)), "{error}");
    assert!(matches!(db.pages("SELECT 1", (), 0), Err(Error::BadRequest(_))));
    let mut pages = db.pages("SELECT nam", (), 3);
    assert!(matches!(pages, Err(Error::Syntax(_))));
    // An error on a later page: the absolute value of the least integer is none.
    let sql = "SELECT CASE x WHEN 5 THEN abs(-9223372036854775807 - 1) ELSE x END FROM (WITH RECURSIVE c(x) AS \
               (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 10) SELECT x FROM c)";
    pages = db.pages(sql, (), 3);
    let mut pages = pages.unwrap();
    assert_eq!(pages.next(&mut db).unwrap().unwrap().len(), 3);
    assert!(pages.next(&mut db).is_err() && pages.next(&mut db).unwrap().is_none());
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[test]
fn transactions_are_committed_or_rolled_back() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let mut other = daemon.connect();
    db.execute("CREATE TABLE t(x UNIQUE)", ()).unwrap();
    let mut transaction = db.transaction().unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(transaction.transaction_state().unwrap(), TransactionState::Active);
    drop(transaction);
    assert_eq!(db.transaction_state().unwrap(), TransactionState::None);
    assert_eq!(count(&mut other, "t"), 0);
    let mut transaction = db.transaction().unwrap();
    transaction.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    {
        let mut savepoint = transaction.transaction().unwrap();
        savepoint.execute("INSERT INTO t VALUES (2)", ()).unwrap();
        // Dropped while its rows are still coming.
        let mut rows = savepoint.query(NUMBERS, [i64::MAX]).unwrap();
        rows.next().unwrap().unwrap();
    }
    let mut savepoint = transaction.transaction().unwrap();
    savepoint.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    savepoint.commit().unwrap();
    assert_eq!(count(&mut other, "t"), 0);
    let error = transaction.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
    assert!(matches!(error, Error::Constraint(_)) && error.sqlstate() == Some("23505"), "{error:?}");
    assert!(matches!(transaction.transaction_by("BEGIN"), Err(Error::BadRequest(_))));
    transaction.commit().unwrap();
    assert_eq!(count(&mut other, "t"), 2);
    let done: Result<i64, Error> = db.in_transaction(|transaction| {
        transaction.execute("INSERT INTO t VALUES (4)", ())?;
        Ok(7)
    });
    assert_eq!((done.unwrap(), count(&mut other, "t")), (7, 3));
    let failed: Result<(), Box<dyn std::error::Error>> = db.in_transaction(|transaction| {
        transaction.execute("INSERT INTO t VALUES (5)", ())?;
        "no number".parse::<i64>()?;
        Ok(())
    });
    assert!(failed.is_err());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _: Result<(), Error> = db.in_transaction(|transaction| {
            transaction.execute("INSERT INTO t VALUES (6)", ())?;
            panic!("as a program may");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(db.transaction_state().unwrap(), TransactionState::None);
    // A commit that fails leaves nothing open.
    db.execute("CREATE TABLE child(x REFERENCES t(x) DEFERRABLE INITIALLY DEFERRED)", ()).unwrap();
    let mut transaction = db.transaction().unwrap();
    transaction.execute("INSERT INTO child VALUES (99)", ()).unwrap();
    assert!(matches!(transaction.commit(), Err(Error::Constraint(_))));
    assert_eq!((db.transaction_state().unwrap(), count(&mut other, "child")), (TransactionState::None, 0));
    assert_eq!(count(&mut other, "t"), 3);
    db.transaction().unwrap().rollback().unwrap();
    let mut immediate = daemon.options().begin("BEGIN IMMEDIATE").connect().unwrap();
    let _holds = immediate.transaction().unwrap();
    other.set_timeout(Some(Duration::from_millis(300)));
    let error = other.execute("INSERT INTO t VALUES (8)", ()).unwrap_err();
    assert!(matches!(error, Error::Busy(_) | Error::Timeout(_)), "{error:?}");
    let mut read = other.transaction_by("BEGIN DEFERRED").unwrap();
    assert_eq!(count(&mut read, "t"), 3);
}

#[test]
fn batches_are_done_as_a_whole() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let batch = db.batch().add("CREATE TABLE t(a, b)", ()).unwrap();
    let batch = batch.add_rows("INSERT INTO t VALUES (?, ?)", (1..=1_000).map(|a| (a, format!("b{a}")))).unwrap();
    let batch = batch.add("DELETE FROM t WHERE a = :a", params! {"a" => 3}).unwrap();
    let results = batch.add("DELETE FROM t WHERE a <= ?", params![10]).unwrap().run().unwrap();
    assert_eq!(results.iter().map(|result| result.rows_affected).collect::<Vec<_>>(), [0, 1_000, 1, 9]);
    let batch = db.batch().add("DELETE FROM t", ()).unwrap().add("SELEC", ()).unwrap();
    let error = batch.run().unwrap_err();
    assert_eq!(error.details().statement_index, Some(1));
    assert_eq!(count(&mut db, "t"), 990);
    let batch = db.batch().not_atomic().add("DELETE FROM t WHERE a = 11", ()).unwrap().add("SELEC", ()).unwrap();
    assert!(batch.run().is_err());
    assert_eq!(count(&mut db, "t"), 989);
    assert!(db.batch().add_rows("INSERT INTO t(a) VALUES (:a)", [params! {"a" => 1}]).is_err());
    assert_eq!(db.batch().run().unwrap(), []);
}

#[test]
fn errors_say_where_and_what() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let error = db.execute("SELECT\nnam FROM sqlite_schema", ()).unwrap_err();
    assert!(matches!(error, Error::Syntax(_)) && error.position().map(|place| place.line) == Some(2), "{error:?}");
    assert!(!error.is_retryable() && error.to_string().contains("nam"));
    let printed = format!("{error:?}");
    assert!(printed.contains("line: 2") && printed.contains("42") && !printed.contains("None"), "{printed}");
    let mut reader = daemon.options().read_only(true).connect().unwrap();
    assert!(reader.is_read_only());
    assert!(matches!(reader.execute("CREATE TABLE t(x)", ()), Err(Error::ReadOnly(_))));
    assert!(matches!(daemon.options().database("nobody's").connect(), Err(Error::DatabaseNotFound(_))));
    assert!(matches!(daemon.options().database("default").url("sqlite::memory:").connect(), Err(Error::BadRequest(_))));
    let error = Options::new().socket("/nonexistent/litebase.sock").connect().unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)) && error.to_string().contains("/nonexistent/litebase.sock"));
    // It is an error as others are.
    let other: std::io::Error = error.into();
    assert_eq!(other.kind(), std::io::ErrorKind::ConnectionAborted);
    // An error among the rows ends them.
    let sql = "SELECT CASE x WHEN 300000 THEN abs(-9223372036854775807 - 1) ELSE x END FROM \
               (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 900000) SELECT x FROM c)";
    let mut rows = db.query(sql, ()).unwrap();
    let taken = rows.by_ref().take_while(Result::is_ok).count();
    assert!(0 < taken && taken < 300_000 && rows.next().is_none(), "{taken}");
    drop(rows);
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[test]
fn the_daemon_says_what_it_is_and_has() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let health = db.health().unwrap();
    assert_eq!((health.status.as_str(), health.pid), ("healthy", u64::from(daemon.pid())));
    assert_eq!(health.version, db.daemon_version());
    assert!(db.server_version().starts_with('3'));
    let databases = db.databases().unwrap();
    let default = databases.iter().find(|database| database.is_default).unwrap();
    assert_eq!((default.engine, default.is_read_only, default.is_disabled), (Engine::Sqlite, false, false));
    let question = Data::map([("sql", "SELECT 1 AS one".into()), ("session", db.session().into())]);
    let about = db.request("describe", &question).unwrap();
    assert_eq!(about.get("columns").items()[0].get("name").as_str(), Some("one"));
    let error = db.request("nothing", &Data::Null).unwrap_err();
    assert_eq!((error.code(), db.is_lost()), ("unknown_type", false));
}

#[test]
fn notices_are_told() {
    let daemon = Daemon::start();
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let options = daemon.options().on_notice(move |data| list.lock().unwrap().push(data.clone()));
    assert!(options.connect().unwrap().execute("SELECT 1", ()).is_ok());
    assert!(told.lock().unwrap().is_empty(), "SQLite says nothing; PostgreSQL does (servers.rs)");
}

#[test]
fn threads_have_connections_or_share_one() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Connection>();
    is_send_and_sync::<CancelHandle>();
    is_send_and_sync::<Row>();
    is_send_and_sync::<Error>();
    let daemon = Daemon::start();
    let shared = Mutex::new(daemon.connect());
    shared.lock().unwrap().execute("CREATE TABLE t(x)", ()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut own = daemon.connect();
                for x in 0..25 {
                    own.execute("INSERT INTO t VALUES (?)", (x,)).unwrap();
                    shared.lock().unwrap().execute("INSERT INTO t VALUES (?)", (x,)).unwrap();
                }
            });
        }
    });
    assert_eq!(count(&mut shared.into_inner().unwrap(), "t"), 200);
}

#[test]
fn a_lost_connection_stays_lost_until_reconnect() {
    let mut daemon = Daemon::start();
    let mut db = daemon.connect();
    db.execute("CREATE TEMP TABLE mine(x)", ()).unwrap();
    db.cancel_handle().abort();
    let first = db.execute("SELECT 1", ()).unwrap_err();
    assert!(matches!(first, Error::ConnectionLost(_) | Error::OutcomeUnknown(_)), "{first:?}");
    let again = db.execute("SELECT 1", ()).unwrap_err();
    assert!(matches!(again, Error::ConnectionLost(_)) && db.is_lost(), "{again:?}");
    db.reconnect().unwrap();
    assert!(!db.is_lost());
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    // It is another session.
    assert!(matches!(db.execute("SELECT * FROM mine", ()), Err(Error::Syntax(_))));
    daemon.kill();
    wait_until("the connection is lost", || db.execute("SELECT 1", ()).is_err());
    assert!(matches!(db.reconnect(), Err(Error::ConnectionLost(_))) && db.is_lost());
}

/// It is rolled back, and keeps no locks from others.
#[test]
fn a_commit_that_fails_leaves_no_transaction() {
    let daemon = Daemon::start();
    let (mut db, mut other) = (daemon.connect(), daemon.options().timeout(Duration::from_secs(5)).connect().unwrap());
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)", ()).unwrap();
    db.execute("CREATE TABLE u(b REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)", ()).unwrap();
    let done = db.in_transaction(|transaction| transaction.execute("INSERT INTO u VALUES (7)", ()).map(drop));
    assert!(matches!(done, Err(Error::Constraint(_))), "{done:?}");
    other.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(db.transaction_state().unwrap(), TransactionState::None);
    assert_eq!(db.query_one::<(i64,)>("SELECT count(*) FROM u", ()).unwrap().0, 0);
}
