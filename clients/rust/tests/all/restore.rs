//! Databases that get the content of a file: they have it, or the one that they had.

use std::fs::{self, File};
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use litebase::{Connection, Error};

use crate::daemon::{count, lost_at_every_step, while_cancelling, Daemon, Directory};

const ROWS: i64 = 20_000;

/// A database with one row, and a copy of it with many.
fn start() -> (Daemon, Connection, Vec<u8>) {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    db.execute("CREATE TABLE t(a)", ()).unwrap();
    let rows = format!("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT {ROWS}) SELECT x FROM c");
    db.execute(&format!("INSERT INTO t {rows}"), ()).unwrap();
    let mut copy = Vec::new();
    db.backup_to(&mut copy, |_, _| {}).unwrap();
    forget(&mut db);
    (daemon, db, copy)
}

fn forget(db: &mut Connection) {
    db.execute("DELETE FROM t WHERE a > 1", ()).unwrap();
    assert_eq!(count(db, "t"), 1);
}

/// Bytes, and then an error.
struct Half<'a>(&'a [u8]);

impl Read for Half<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            count => Ok(count),
        }
    }
}

#[test]
fn files_and_readers() {
    let (daemon, mut db, copy) = start();
    let directory = Directory::new();
    let path = directory.0.join("copy.db");
    fs::write(&path, &copy).unwrap();
    let size = copy.len() as u64;
    let mut other = daemon.connect();
    let told = |bytes, total: Option<u64>| assert!(bytes <= size && total.map_or(true, |total| total == size));
    assert_eq!(db.restore(&File::open(&path).unwrap(), told).unwrap(), size);
    assert_eq!((count(&mut db, "t"), count(&mut other, "t")), (ROWS, ROWS));
    forget(&mut db);
    assert_eq!(db.restore_from(&copy[..], told).unwrap(), size);
    assert_eq!(count(&mut other, "t"), ROWS);
}

#[test]
fn what_cannot_be_restored_is_said() {
    let (daemon, mut db, copy) = start();
    let error = db.restore_from(&b"no database".repeat(1_000)[..], |_, _| {}).unwrap_err();
    assert_eq!(error.sqlstate(), Some("22P04"), "{error}");
    assert!(db.restore_from(&copy[..copy.len() - 4096], |_, _| {}).is_err());
    let error = db.restore_from(Half(&copy[..100_000]), |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error:?}");
    let mut transaction = db.transaction().unwrap();
    transaction.execute("DELETE FROM t", ()).unwrap();
    let error = transaction.restore_from(&copy[..], |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::BadRequest(_)) && error.hint().is_some(), "{error:?}");
    drop(transaction);
    let mut memory = daemon.options().url("sqlite::memory:").connect().unwrap();
    assert!(matches!(memory.restore_from(&copy[..], |_, _| {}), Err(Error::BadRequest(_))));
    let mut reading = daemon.options().read_only(true).connect().unwrap();
    assert!(matches!(reading.restore_from(&copy[..], |_, _| {}), Err(Error::ReadOnly(_))));
    assert_eq!(count(&mut db, "t"), 1);
}

#[test]
fn another_thread_cancels_at_any_moment() {
    let (_daemon, mut db, copy) = start();
    let handle = db.cancel_handle();
    for round in 0..20 {
        let done =
            while_cancelling(&handle, Duration::from_millis(round % 10), || db.restore_from(&copy[..], |_, _| {}));
        assert!(matches!(done, Ok(_) | Err(Error::Cancelled(_))), "{done:?}");
        let rows = db.query_one::<(i64,)>("SELECT count(*) FROM t", ());
        // A cancellation that is late may stop this one.
        if let Ok((rows,)) = rows {
            assert_eq!(rows, if done.is_ok() { ROWS } else { 1 });
        }
        forget(&mut db);
    }
}

#[test]
fn a_daemon_that_dies() {
    let (mut daemon, mut db, copy) = start();
    struct Endless(Vec<u8>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(1));
            let count = buffer.len().min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            Ok(count)
        }
    }
    let running = thread::spawn(move || (db.restore_from(Endless(copy), |_, _| {}).unwrap_err(), db));
    thread::sleep(Duration::from_millis(100));
    daemon.kill();
    let (error, mut db) = running.join().unwrap();
    assert!(matches!(error, Error::OutcomeUnknown(_)) && db.is_lost(), "{error:?}");
    daemon.restart();
    db.reconnect().unwrap();
    assert_eq!(count(&mut db, "t"), 1);
}

/// Through a connection that ends behind so many bytes in one of the directions.
#[test]
fn a_connection_that_is_lost_at_every_step() {
    let (daemon, mut db, copy) = start();
    lost_at_every_step(&daemon, 37, |cut| cut.restore_from(&copy[..], |_, _| {}).map(drop));
    assert_eq!(count(&mut db, "t"), 1);
}
