//! Cancelling, time limits, and connections that are lost at every step: no hang, and never a wrong word of what happened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use litebase::{params, Connection, Error, Options, TransactionState};

use crate::daemon::{count, cut_connection, wait_until, while_cancelling, Daemon, Directory, Over, LONG};

const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c";
const ENDLESS_ROWS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c";

#[test]
fn another_thread_cancels() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let handle = db.cancel_handle();
    handle.cancel(); // Stops nothing, since nothing runs.
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    for _ in 0..10 {
        let error = while_cancelling(&handle, Duration::ZERO, || db.execute(ENDLESS, ()).unwrap_err());
        assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
        assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    }
    // A stream, and pages.
    let mut rows = db.query(ENDLESS_ROWS, ()).unwrap();
    handle.cancel();
    let last = rows.by_ref().find(Result::is_err).unwrap();
    assert!(matches!(last, Err(Error::Cancelled(_))), "{last:?}");
    assert!(rows.next().is_none());
    drop(rows);
    let mut pages = db.pages(ENDLESS_ROWS, (), 10).unwrap();
    pages.next(&mut db).unwrap();
    handle.cancel();
    let error = pages.next(&mut db).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[test]
fn the_daemon_keeps_time_limits() {
    let daemon = Daemon::start();
    let mut db = daemon.options().timeout(Duration::from_millis(50)).connect().unwrap();
    let error = db.execute(ENDLESS, ()).unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    assert_eq!(error.details().hint.as_deref(), Some("Raise the timeout, or make the statement do less."));
    db.set_timeout(None);
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[test]
fn abort_wakes_whoever_waits() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let handle = db.cancel_handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            handle.abort();
        });
        let error = db.execute(ENDLESS, ()).unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_) | Error::ConnectionLost(_)), "{error:?}");
        assert!(error.to_string().contains("The program closed the connection"), "{error}");
    });
    assert!(db.is_lost());
}

#[test]
fn a_daemon_that_is_killed_leaves_no_doubt() {
    let mut daemon = Daemon::start();
    let mut idle = daemon.connect();
    let mut busy = daemon.connect();
    let mut watcher = daemon.connect();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| busy.execute(ENDLESS, ()).unwrap_err());
        wait_until("the statement runs", || {
            let reply = watcher.request("activity", &litebase::Data::Null).unwrap();
            reply.get("entries").items().iter().any(|entry| entry.get("sql").as_str() == Some(ENDLESS))
        });
        daemon.kill();
        let error = waiting.join().unwrap();
        assert!(matches!(error, Error::OutcomeUnknown(_)) && error.sqlstate() == Some("08007"), "{error:?}");
    });
    let error = idle.execute("SELECT 1", ()).unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_) | Error::OutcomeUnknown(_)), "{error:?}");
    assert!(matches!(busy.execute("SELECT 1", ()), Err(Error::ConnectionLost(_))));
    assert!(matches!(daemon.options().connect(), Err(Error::ConnectionLost(_))));
}

/// What the steps of a program have done, as far as it was told.
#[derive(Default, Debug)]
struct Told {
    single: Option<Result<(), Error>>,
    batch: Option<Result<(), Error>>,
    transaction: Option<Result<(), Error>>,
}

impl Told {
    fn is_failure(&self) -> bool {
        [&self.single, &self.batch, &self.transaction].iter().any(|step| !matches!(step, Some(Ok(()))))
    }
}

/// A program of several steps, each of which writes a row with its number.
fn steps(db: &mut Connection, number: i64, told: &mut Told) -> Result<(), Error> {
    let write = "INSERT INTO written VALUES (?, ?)";
    told.single = Some(db.execute(write, params![number, "single"]).map(drop));
    let batch = db.batch().add_rows(write, [params![number, "batch"]])?.add("SELECT 1", ())?;
    told.batch = Some(batch.run().map(drop));
    let read = db.query("SELECT a FROM many", ()).and_then(|rows| rows.collect_as::<(String,)>());
    if let Ok(read) = read {
        assert_eq!(read.len(), 20);
    }
    told.transaction = Some(db.in_transaction(|transaction| {
        transaction.execute(write, params![number, "transaction"])?;
        transaction.query("SELECT a FROM many", ())?.next();
        Ok(())
    }));
    Ok(())
}

fn check(witness: &mut Connection, number: i64, told: &Told, context: &str) {
    let mut there = |step: &str| {
        let sql = "SELECT count(*) FROM written WHERE number = ? AND step = ?";
        witness.query_one::<(i64,)>(sql, params![number, step]).unwrap().0
    };
    for (step, said) in [("single", &told.single), ("batch", &told.batch), ("transaction", &told.transaction)] {
        let rows = there(step);
        match said {
            Some(Ok(())) => assert_eq!(rows, 1, "{context}: {step} was done, it said"),
            Some(Err(Error::OutcomeUnknown(_))) => assert!(rows <= 1, "{context}: {step} was repeated"),
            Some(Err(Error::ConnectionLost(_) | Error::Cancelled(_))) => {
                assert_eq!(rows, 0, "{context}: nothing of {step} was done, it said: {said:?}")
            }
            Some(Err(error)) => panic!("{context}: {step}: {error:?}"),
            None => assert_eq!(rows, 0, "{context}: {step} was not begun"),
        }
    }
}

fn prepare(db: &mut Connection) {
    db.execute("CREATE TABLE written(number, step)", ()).unwrap();
    let batch = db.batch().add("CREATE TABLE many(a)", ()).unwrap();
    batch.add_rows("INSERT INTO many VALUES (?)", (0..20).map(|_| ("x".repeat(20),))).unwrap().run().unwrap();
}

#[test]
fn a_connection_that_ends_at_any_byte_is_an_error_and_repeats_no_write() {
    let daemon = Daemon::start();
    let directory = Directory::new();
    let mut witness = daemon.connect();
    prepare(&mut witness);
    let mut number = 0;
    for to_daemon in [true, false] {
        let mut cut = 1;
        loop {
            number += 1;
            let context = format!("cut behind {cut} bytes, to_daemon {to_daemon}");
            let (path, proxy) = cut_connection(&daemon.socket, &directory.0, to_daemon, cut);
            let mut told = Told::default();
            let opened = Options::new().socket(&path).connect();
            let is_lost = match opened {
                Err(error) => {
                    assert!(matches!(error, Error::ConnectionLost(_)), "{context}: {error:?}");
                    true
                }
                Ok(mut db) => {
                    steps(&mut db, number, &mut told).unwrap();
                    db.is_lost()
                }
            };
            proxy.join().unwrap();
            // What the daemon has got of it, it does or rolls back before it says so to somebody else.
            wait_until("the connection's session is over", || sessions(&mut witness) == 1);
            check(&mut witness, number, &told, &context);
            if !is_lost && !told.is_failure() {
                break;
            }
            // Every byte of the shorter direction's frames, with steps that meet all places of a frame in the longer one.
            cut += if to_daemon { 5 } else { 23 };
        }
        assert!(cut > 500, "{cut}");
    }
}

/// How many connections the daemon has.
fn sessions(db: &mut Connection) -> u64 {
    let stats = db.request("stats", &litebase::Data::Null).unwrap();
    stats.get("sessions").get("open").as_u64().unwrap()
}

#[test]
fn a_cancellation_at_any_moment_says_what_was_done() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let mut witness = daemon.connect();
    prepare(&mut witness);
    let handle = db.cancel_handle();
    let is_over = AtomicBool::new(false);
    let (mut cancelled, mut done) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut pause = 0;
            while !is_over.load(Ordering::SeqCst) {
                handle.cancel();
                pause += 37;
                // Now and then long enough for a whole round, also on a busy machine.
                let longer = if pause % 50 == 0 { 1_000 * (pause % 130) } else { 0 };
                thread::sleep(Duration::from_micros(pause % 700 + longer));
            }
        });
        let _over = Over(&is_over);
        let begin = Instant::now();
        let mut number = 0;
        // Until both have happened often enough.
        while number < 200 || cancelled < 10 || done < 10 {
            assert!(begin.elapsed() < LONG, "{cancelled} cancelled, {done} done");
            number += 1;
            let mut told = Told::default();
            steps(&mut db, number, &mut told).unwrap();
            if told.is_failure() {
                cancelled += 1;
            } else {
                done += 1;
            }
            let state = db.transaction_state();
            assert_eq!(state.unwrap(), TransactionState::None);
            check(&mut witness, number, &told, &format!("round {number}"));
        }
    });
    assert!(!db.is_lost());
    assert!(count(&mut db, "written") > 0);
}
