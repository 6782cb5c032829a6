//! The engines on servers. tests/test_rust.py starts them.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use litebase::{params, ChangesQuery, Connection, Data, Decimal, Engine, Error, Options, TransactionState, Value};

const WHY: &str = "LITEBASE_TEST_SERVERS is the socket of a daemon with servers: tests/test_rust.py starts it";

fn options(database: &str) -> Options {
    Options::new().socket(std::env::var_os("LITEBASE_TEST_SERVERS").expect(WHY)).database(database)
}

fn open(database: &str) -> Connection {
    options(database).connect().unwrap()
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn postgresql_has_types() {
    let mut db = open("pg");
    assert_eq!(db.engine(), Engine::PostgreSql);
    let sql =
        "SELECT $1::int8, 12.50::numeric(6,2), 'é', timestamptz '2026-11-28 10:11:12.5+01', date '2026-11-28', true, \
               NULL::text, 'infinity'::timestamptz";
    let row: litebase::Row = db.query_one(sql, params![i64::MIN]).unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), i64::MIN);
    assert_eq!(row.get::<Decimal>(1).unwrap().to_string(), "12.50");
    assert_eq!((row.get::<&str>(2).unwrap(), row.get::<bool>(5).unwrap()), ("é", true));
    let moment = UNIX_EPOCH + Duration::from_millis(1_795_857_072_500);
    assert_eq!(row.get::<SystemTime>(3).unwrap(), moment);
    assert_eq!(row.get::<SystemTime>(4).unwrap(), UNIX_EPOCH + Duration::from_secs(1_795_824_000));
    assert_eq!(row.get::<Option<&str>>(6).unwrap(), None);
    assert!(row.get::<SystemTime>(7).is_err());
    assert_eq!(row.get::<&str>(7).unwrap(), "infinity");
    assert_eq!(row.columns()[3].kind, "timestamptz");
    let same: (bool,) = db.query_one("SELECT $1::timestamptz = '2026-11-28 09:11:12.5Z'", (moment,)).unwrap();
    assert!(same.0);
    let long: (String,) = db.query_one("SELECT $1::numeric", ("1".repeat(60),)).unwrap();
    assert_eq!(long.0.len(), 60);
    let error = db.query_one::<(Decimal,)>("SELECT 'NaN'::numeric", ()).unwrap_err();
    assert!(matches!(error, Error::Conversion(_)), "{error:?}");
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn postgresql_keeps_transactions() {
    let told = Arc::new(Mutex::new(Vec::<Data>::new()));
    let list = Arc::clone(&told);
    let mut db = options("pg").on_notice(move |notice| list.lock().unwrap().push(notice.clone())).connect().unwrap();
    let mut transaction = db.transaction_by("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY").unwrap();
    let level: (String,) = transaction.query_one("SELECT current_setting('transaction_isolation')", ()).unwrap();
    assert_eq!(level.0, "serializable");
    // Rows that are left within a transaction do not cost it.
    let mut rows = transaction.query("SELECT generate_series(1, 50000)", ()).unwrap();
    rows.next().unwrap().unwrap();
    drop(rows);
    assert_eq!(transaction.transaction_state().unwrap(), TransactionState::Active);
    assert_eq!(transaction.query_one::<(i64,)>("SELECT 1::int8", ()).unwrap().0, 1);
    transaction.commit().unwrap();
    // A transaction in which a statement has failed is not committed, and it is said.
    let mut transaction = db.transaction().unwrap();
    assert!(transaction.execute("SELECT 1/0", ()).is_err());
    assert_eq!(transaction.transaction_state().unwrap(), TransactionState::Failed);
    let error = transaction.commit().unwrap_err();
    assert!(matches!(error, Error::TransactionRolledBack(_)), "{error:?}");
    assert_eq!(db.transaction_state().unwrap(), TransactionState::None);
    let mut transaction = db.transaction().unwrap();
    let mut savepoint = transaction.transaction().unwrap();
    assert!(savepoint.execute("SELECT 1/0", ()).is_err());
    drop(savepoint);
    assert_eq!(transaction.query_one::<(i32,)>("SELECT 1", ()).unwrap().0, 1);
    transaction.commit().unwrap();
    db.execute("DO $$ BEGIN RAISE NOTICE 'a word'; END $$", ()).unwrap();
    assert!(told.lock().unwrap().iter().any(|notice| notice.get("message").as_str() == Some("a word")));
    // Pages, also where another statement ends them, within a transaction too.
    for in_transaction in [false, true] {
        if in_transaction {
            db.execute("BEGIN", ()).unwrap();
        }
        let mut pages = db.pages("SELECT generate_series(1, 100)", (), 40).unwrap();
        let mut sizes = Vec::new();
        while let Some(page) = pages.next(&mut db).unwrap() {
            sizes.push(page.len());
        }
        assert_eq!(sizes, [40, 40, 20]);
        let mut pages = db.pages("SELECT generate_series(1, 100000)", (), 40).unwrap();
        pages.next(&mut db).unwrap();
        assert_eq!(db.query_one::<(i32,)>("SELECT 1", ()).unwrap().0, 1);
    }
    db.execute("COMMIT", ()).unwrap();
    // Rows without end do not keep a transaction from being rolled back.
    for with_pages in [false, true] {
        let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c";
        let mut transaction = db.transaction().unwrap();
        if with_pages {
            transaction.pages(endless, (), 10).unwrap();
        } else {
            drop(transaction.query(endless, ()).unwrap());
        }
        drop(transaction);
        assert_eq!(db.transaction_state().unwrap(), TransactionState::None);
    }
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn servers_stop_what_is_cancelled() {
    for (name, sleep) in [("pg", "SELECT pg_sleep(600)"), ("my", "SELECT sleep(600)")] {
        let mut db = open(name);
        let handle = db.cancel_handle();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| db.execute(sleep, ()).map(drop));
            while !waiting.is_finished() {
                handle.cancel();
                thread::sleep(Duration::from_millis(10));
            }
            let result = waiting.join().unwrap();
            assert!(matches!(result, Err(Error::Cancelled(_))), "{name}: {result:?}");
        });
        assert_eq!(db.query_one::<(i32,)>("SELECT 1", ()).unwrap().0, 1);
    }
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn mysql_has_unsigned_integers_and_several_results() {
    let mut db = open("my");
    let moment = UNIX_EPOCH + Duration::from_millis(1_795_860_672_500);
    let sql = "SELECT CAST(? AS UNSIGNED), CAST(12.50 AS DECIMAL(6,2)), CAST(? AS DATETIME(1))";
    let row: (u64, Decimal, SystemTime) = db.query_one(sql, params![u64::MAX, moment]).unwrap();
    assert_eq!((row.0, row.1.to_string().as_str(), row.2), (u64::MAX, "12.50", moment));
    let row: litebase::Row = db.query_one("SELECT CAST(? AS UNSIGNED)", [u64::MAX]).unwrap();
    assert_eq!(row.get::<Value<'_>>(0).unwrap(), Value::Unsigned(u64::MAX));
    assert!(row.get::<i64>(0).is_err());
    let body = "BEGIN SELECT 1 AS a UNION ALL SELECT 2; SELECT 'x' AS b, 'y' AS c; END";
    db.execute(&format!("CREATE OR REPLACE PROCEDURE two_of_rust() {body}"), ()).unwrap();
    let mut rows = db.query("CALL two_of_rust()", ()).unwrap();
    assert_eq!((rows.by_ref().count(), rows.columns().len()), (2, 1));
    assert!(rows.next_result().unwrap());
    assert_eq!(rows.columns()[1].name, "c");
    let row: (String, String) = rows.next().unwrap().unwrap().read().unwrap();
    assert_eq!(row, ("x".to_owned(), "y".to_owned()));
    assert!(rows.next().is_none() && !rows.next_result().unwrap());
    drop(rows);
    // Without a look at the first one, and without any.
    let mut rows = db.query("CALL two_of_rust()", ()).unwrap();
    assert!(rows.next_result().unwrap());
    assert_eq!(rows.count(), 1);
    drop(db.query("CALL two_of_rust()", ()).unwrap());
    db.execute("CALL two_of_rust()", ()).unwrap();
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    db.execute("CREATE OR REPLACE TABLE written_by_rust(x int)", ()).unwrap();
    let mut transaction = db.transaction().unwrap();
    transaction.execute("INSERT INTO written_by_rust VALUES (1)", ()).unwrap();
    drop(transaction);
    assert_eq!(db.query_one::<(i64,)>("SELECT count(*) FROM written_by_rust", ()).unwrap().0, 0);
    let mut pages = db.pages("SELECT seq FROM seq_1_to_100", (), 40).unwrap();
    assert_eq!(pages.next(&mut db).unwrap().unwrap().len(), 40);
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn redis_takes_parameters_as_arguments() {
    let mut db = open("redis");
    db.execute("SET", ("rust test", "a value")).unwrap();
    let value: (String,) = db.query_one("GET", ["rust test"]).unwrap();
    assert_eq!(value.0, "a value");
    assert!(db.transaction().is_err());
    db.set_timeout(Some(Duration::from_millis(100)));
    let error = db.execute("BLPOP", ("nothing here", 0)).unwrap_err();
    assert!(matches!(error, Error::Timeout(_) | Error::OutcomeUnknown(_)), "{error:?}");
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn channels_are_heard() {
    for (name, send) in [("pg", "SELECT pg_notify($1, $2)"), ("redis", "PUBLISH")] {
        let mut db = open(name);
        let query = || ChangesQuery::new().channel("news").channel("straße");
        let mut changes = db.changes(&query()).unwrap();
        assert_eq!(changes.covers(), "channels");
        let begin = changes.position().to_owned();
        let mut sent: Vec<_> = (0..50).map(|number| ("news", format!("{number}é"))).collect();
        sent.push(("straße", String::new()));
        db.execute(send, ("other", "not told")).unwrap();
        for about in &sent {
            db.execute(send, about.clone()).unwrap();
        }
        for (channel, payload) in &sent {
            let change = changes.next().unwrap().unwrap();
            let message = change.message.as_ref().expect("a message");
            assert_eq!((message.channel(), message.payload()), (Ok(*channel), Ok(payload.as_str())));
            assert_eq!((message.pid().is_some(), message.pattern_bytes()), (name == "pg", None));
            assert!(change.relations.is_empty() && change.resync.is_none());
            assert_eq!(change.position, changes.position());
        }
        assert_eq!(changes.wait(Duration::from_millis(10)).unwrap(), None);
        let mut again = db.changes(&query().since(&begin)).unwrap();
        let change = again.wait(Duration::from_secs(60)).unwrap().expect("a message");
        assert_eq!(change.message.unwrap().payload(), Ok("0é"));
        assert!(db.changes(&query().relation("city")).is_err());
    }
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn patterns_and_bytes_of_channels() {
    let mut db = open("redis");
    let mut changes = db.changes(&ChangesQuery::new().channel("sport.ski").pattern("sport.*")).unwrap();
    db.execute("PUBLISH", params!["sport.ski", [0u8, 255]]).unwrap();
    let mut heard: Vec<_> = changes.by_ref().take(2).map(|change| change.unwrap().message.unwrap()).collect();
    heard.sort_by_key(|message| message.pattern_bytes().map(<[u8]>::to_vec));
    assert!(heard.iter().all(|message| message.payload().is_err() && message.payload_bytes() == [0, 255]));
    assert_eq!((heard[0].pattern_bytes(), heard[1].pattern_bytes()), (None, Some(&b"sport.*"[..])));
}
