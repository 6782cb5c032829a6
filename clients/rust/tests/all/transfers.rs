//! Files that the daemon writes into.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use litebase::{params, CatalogQuery, Connection, Error, Export, Format, Level};

use crate::daemon::{cut_connection, wait_until, while_cancelling, Daemon, Directory};

const CITIES: &str = "SELECT 'Oslo' AS name, 717710 AS people UNION ALL SELECT 'Bergen', 294029";
const AS_CSV: &str = "name,people\r\nOslo,717710\r\nBergen,294029\r\n";
const ENDLESS_ROWS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c";

fn content(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

fn create(directory: &Directory, name: &str) -> File {
    File::options().read(true).write(true).create(true).truncate(true).open(directory.0.join(name)).unwrap()
}

#[test]
fn exports_are_written_from_where_a_file_stands() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let mut db = daemon.connect();
    let mut file = create(&directory, "a");
    file.write_all(b"before\n").unwrap();
    let done = db.export(CITIES, (), &file, Export::new()).unwrap();
    file.write_all(b"after\n").unwrap();
    assert_eq!((done.bytes, done.rows, done.is_truncated), (AS_CSV.len() as u64, 2, false));
    assert_eq!(content(&mut file), format!("before\n{AS_CSV}after\n"));
    for (format, wanted) in [
        (Format::Tsv, "Oslo\t717710\n"),
        (Format::Csv, "Oslo,717710\r\n"),
        (Format::JsonLines, "{\"name\":\"Oslo\",\"people\":717710}\n"),
    ] {
        let mut file = create(&directory, "b");
        let done = db.export(CITIES, (), &file, Export::new().format(format).header(false).max_rows(1)).unwrap();
        assert!(done.is_truncated);
        assert_eq!(content(&mut file), wanted);
    }
    let mut file = create(&directory, "c");
    db.export("SELECT ? AS a, ? AS b", params![1, "x"], &file, Export::new().format(Format::Json)).unwrap();
    assert!(content(&mut file).contains("\"b\":\"x\""));
    let mut transaction = db.transaction().unwrap();
    transaction.execute("CREATE TABLE t(a)", ()).unwrap();
    transaction.execute("INSERT INTO t VALUES (7)", ()).unwrap();
    let mut file = create(&directory, "d");
    transaction.export("SELECT a FROM t", (), &file, Export::new()).unwrap();
    assert_eq!(content(&mut file), "a\r\n7\r\n");
}

#[test]
fn a_pipe_takes_them_too() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let mut counting = Command::new("wc").arg("-l").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = counting.stdin.take().unwrap();
    let done = db.export(&format!("{ENDLESS_ROWS} LIMIT 100000"), (), &input, Export::new()).unwrap();
    drop(input);
    let output = counting.wait_with_output().unwrap();
    assert_eq!((done.rows, String::from_utf8(output.stdout).unwrap().trim()), (100_000, "100001"));
}

/// Fails behind so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn writers_take_them_too() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let mut text = Vec::new();
    let done = db.export_to(CITIES, (), &mut text, Export::new()).unwrap();
    assert_eq!((done.bytes, done.rows), (AS_CSV.len() as u64, 2));
    assert_eq!(String::from_utf8(text).unwrap(), AS_CSV);
    // More than a pipe holds, with others beside it.
    let (mut text, mut told) = (Vec::new(), Vec::new());
    let sql = format!("{ENDLESS_ROWS} LIMIT 2000000");
    let done = db.export_to(&sql, (), &mut text, Export::new().on_progress(|bytes| told.push(bytes))).unwrap();
    assert_eq!((done.bytes, done.rows), (text.len() as u64, 2_000_000));
    assert!(text.ends_with(b"\r\n2000000\r\n") && !told.is_empty());
    let mut none = Vec::new();
    assert!(matches!(db.export_to("SELEC", (), &mut none, Export::new()), Err(Error::Syntax(_))));
    assert!(matches!(db.export_to("SELECT json('{')", (), &mut none, Export::new()), Err(Error::Database(_))));
    for bytes in [0, 1, 100_000, 10_000_000] {
        let error = db.export_to(ENDLESS_ROWS, (), Full(bytes), Export::new()).unwrap_err();
        assert!(matches!(error, Error::Output(_)), "{error:?}");
    }
    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("enough")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let exporting = || db.export_to(ENDLESS_ROWS, (), Panics, Export::new());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(exporting)).is_err());
    // The writer's slowness is not the statement's: nothing of this driver gives up.
    db.set_timeout(Some(Duration::from_millis(50)));
    assert!(matches!(db.export_to(ENDLESS_ROWS, (), io::sink(), Export::new()), Err(Error::Timeout(_))));
    db.set_timeout(None);
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    db.execute("CREATE TABLE t(a)", ()).unwrap();
    db.execute(&format!("INSERT INTO t {ENDLESS_ROWS} LIMIT 100000"), ()).unwrap();
    let mut copy = Vec::new();
    assert_eq!(db.backup_to(&mut copy, |copied, total| assert!(copied <= total)).unwrap(), copy.len() as u64);
    assert!(copy.starts_with(b"SQLite format 3\0"));
    assert!(matches!(db.backup_to(Full(5_000), |_, _| {}), Err(Error::Output(_))));
}

/// What was opened for an export is closed, however it ended.
#[test]
fn no_descriptors_stay() {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    let before = daemon.pipes();
    for _ in 0..20 {
        db.export_to(CITIES, (), io::sink(), Export::new()).unwrap();
        let _ = db.export_to(ENDLESS_ROWS, (), Full(1_000), Export::new()).unwrap_err();
        let _ = db.export_to("SELEC", (), io::sink(), Export::new()).unwrap_err();
    }
    wait_until("the daemon has closed its pipes", || daemon.pipes() == before);
}

#[test]
fn what_fails_is_said_and_the_connection_goes_on() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let mut db = daemon.connect();
    let file = create(&directory, "a");
    assert!(matches!(db.export("SELEC", (), &file, Export::new()), Err(Error::Syntax(_))));
    let read_only = File::open(directory.0.join("a")).unwrap();
    assert!(matches!(db.export(CITIES, (), &read_only, Export::new()), Err(Error::BadRequest(_))));
    let terminal = File::options().write(true).open("/dev/null").unwrap();
    assert!(matches!(db.export(CITIES, (), &terminal, Export::new()), Err(Error::BadRequest(_))));
    db.set_timeout(Some(Duration::from_millis(50)));
    assert!(matches!(db.export(ENDLESS_ROWS, (), &file, Export::new()), Err(Error::Timeout(_))));
    db.set_timeout(None);
    let mut memory = daemon.options().url("sqlite::memory:").connect().unwrap();
    assert!(matches!(memory.backup(&file, |_, _| {}), Err(Error::BadRequest(_))));
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[test]
fn progress_is_told_and_whoever_panics_stops_it() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let mut db = daemon.connect();
    let file = create(&directory, "a");
    let mut told = Vec::new();
    let sql = format!("{ENDLESS_ROWS} LIMIT 5000000");
    let done = db.export(&sql, (), &file, Export::new().on_progress(|bytes| told.push(bytes))).unwrap();
    assert!(!told.is_empty() && told.windows(2).all(|two| two[0] <= two[1]) && *told.last().unwrap() <= done.bytes);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        db.export(ENDLESS_ROWS, (), &file, Export::new().on_progress(|_| panic!("enough")))
    }));
    assert!(panicked.is_err());
    assert_eq!(db.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
}

#[test]
fn a_backup_is_a_database() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let mut db = daemon.connect();
    db.execute("CREATE TABLE t(a)", ()).unwrap();
    db.execute(&format!("INSERT INTO t {ENDLESS_ROWS} LIMIT 100000"), ()).unwrap();
    let file = create(&directory, "copy.db");
    let bytes = db.backup(&file, |copied, total| assert!(copied <= total)).unwrap();
    assert_eq!(fs::metadata(directory.0.join("copy.db")).unwrap().len(), bytes);
    let url = format!("sqlite:{}", directory.0.join("copy.db").display());
    let mut copy = daemon.options().url(&url).read_only(true).connect().unwrap();
    assert_eq!(copy.query_one::<(i64,)>("SELECT count(*) FROM t", ()).unwrap().0, 100_000);
}

#[test]
fn another_thread_cancels_at_any_moment() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let mut db = daemon.connect();
    let handle = db.cancel_handle();
    for round in 0..30 {
        let file = create(&directory, "a");
        let error = while_cancelling(&handle, Duration::from_millis(round % 10), || match round % 2 {
            0 => db.export(ENDLESS_ROWS, (), &file, Export::new()).unwrap_err(),
            _ => db.export_to(ENDLESS_ROWS, (), io::sink(), Export::new()).unwrap_err(),
        });
        assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
    }
}

type Request = fn(&mut Connection, &File) -> Result<(), Error>;

/// Every request here, through a connection that ends behind so many bytes in one of the directions.
#[test]
fn a_connection_that_is_lost_at_every_step() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let requests: [Request; 4] = [
        |db, _| db.catalog(Level::Columns, CatalogQuery::new())?.collect::<Result<Vec<_>, _>>().map(drop),
        |db, _| db.complete("SELECT ", 7, 50, &[]).map(drop),
        |db, file| db.export(CITIES, (), file, Export::new()).map(drop),
        |db, _| db.export_to(CITIES, (), io::sink(), Export::new()).map(drop),
    ];
    for (number, request) in requests.iter().enumerate() {
        for to_daemon in [false, true] {
            for bytes in (0..).step_by(23) {
                let place = Directory::new();
                let (path, worker) = cut_connection(&daemon.socket, &place.0, to_daemon, bytes);
                let file = create(&directory, "a");
                let done = match daemon.options().socket(&path).connect() {
                    Ok(mut db) => request(&mut db, &file),
                    Err(error) => Err(error),
                };
                worker.join().unwrap();
                match done {
                    // The proxy passes no files: the daemon says that there is none.
                    Ok(()) | Err(Error::BadRequest(_)) => break,
                    Err(Error::ConnectionLost(_)) => {}
                    Err(Error::OutcomeUnknown(_)) => assert!(number >= 2),
                    Err(error) => panic!("{error:?}"),
                }
                assert!(bytes < 100_000);
            }
        }
    }
}

#[test]
fn a_daemon_that_dies() {
    let directory = Directory::new();
    for into_file in [true, false] {
        let mut daemon = Daemon::start();
        let mut db = daemon.connect();
        let file = create(&directory, "a");
        let running = thread::spawn(move || {
            let done = match into_file {
                true => db.export(ENDLESS_ROWS, (), &file, Export::new()),
                false => db.export_to(ENDLESS_ROWS, (), io::sink(), Export::new()),
            };
            (done.unwrap_err(), db.is_lost())
        });
        thread::sleep(Duration::from_millis(100));
        daemon.kill();
        let (error, is_lost) = running.join().unwrap();
        assert!(matches!(error, Error::OutcomeUnknown(_)) && is_lost, "{error:?}");
    }
}
