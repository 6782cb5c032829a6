//! Files that the daemon reads.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use litebase::{Connection, Error, Format, Import};

use crate::daemon::{count, lost_at_every_step, wait_until, while_cancelling, Daemon, Directory};

const CSV: &str = "name,people\r\nOslo,717710\r\nBergen,294029\r\n";

/// Rows, and then an error or the end.
struct Rows {
    left: usize,
    error: Option<io::ErrorKind>,
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return self.error.map_or(Ok(0), |kind| Err(kind.into()));
        }
        let row = b"x,1\n";
        let wanted = self.left.min(buffer.len() / row.len());
        buffer.chunks_exact_mut(row.len()).take(wanted).for_each(|place| place.copy_from_slice(row));
        self.left -= wanted;
        Ok(wanted * row.len())
    }
}

fn rows(left: usize) -> Rows {
    Rows { left, error: None }
}

fn city(daemon: &Daemon) -> Connection {
    let mut db = daemon.options().url("sqlite::memory:").connect().unwrap();
    db.execute("CREATE TABLE city(name TEXT, people INTEGER)", ()).unwrap();
    db
}

#[test]
fn files_pipes_and_readers() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let mut db = city(&daemon);
    let path = directory.0.join("city.csv");
    std::fs::write(&path, format!("before\n{CSV}")).unwrap();
    let mut file = File::open(&path).unwrap();
    file.seek(SeekFrom::Start(7)).unwrap();
    let done = db.import("city", &file, Import::new()).unwrap();
    assert_eq!((done.bytes, done.rows, done.rejected_count, done.sql), (CSV.len() as u64, 2, 0, None));
    let mut printing = Command::new("printf").arg(CSV).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(db.import("city", printing.stdout.take().unwrap(), Import::new()).unwrap().rows, 2);
    printing.wait().unwrap();
    assert_eq!(db.import_from("city", CSV.as_bytes(), Import::new()).unwrap().rows, 2);
    assert_eq!(
        db.import_from("city", CSV[..13].as_bytes().chain(CSV[13..].as_bytes()), Import::new()).unwrap().rows,
        2
    );
    let done = db.import_from("town", CSV.as_bytes(), Import::new().create()).unwrap();
    assert!(done.sql.unwrap().starts_with("CREATE TABLE"));
    assert_eq!((done.columns[1].name.as_str(), done.columns[1].type_name.as_deref()), ("people", Some("integer")));
    assert_eq!((count(&mut db, "city"), count(&mut db, "town")), (8, 2));
}

#[test]
fn options_say_how_a_file_is_taken() {
    let daemon = Daemon::start();
    let mut db = city(&daemon);
    let headless = || Import::new().header(false);
    for (content, import) in [
        (&b"a;NA\n"[..], headless().delimiter(';').null("NA").namespace("main")),
        (b"b\n", headless().columns(["name"]).atomic()),
        (b"c\t1\n", headless().format(Format::Tsv)),
        (b"{\"name\":\"d\"}", Import::new().format(Format::JsonLines)),
        // The last word counts.
        (b"name\n\xe9\n", Import::new().header(false).header(true).encoding("utf-8").encoding("latin-1")),
    ] {
        db.import_from("city", content, import).unwrap();
    }
    let found: (String, i64) = db.query_one("SELECT group_concat(name, ''), count(people) FROM city", ()).unwrap();
    assert_eq!(found, ("abcdé".to_owned(), 1));
    // All that can be said at once.
    let all = headless()
        .format(Format::Csv)
        .namespace("main")
        .columns(["name", "people"])
        .delimiter('|')
        .null("")
        .encoding("utf-8")
        .create()
        .dry_run()
        .atomic()
        .max_rejected(1)
        .on_progress(|_| {});
    db.set_timeout(Some(Duration::from_secs(10)));
    assert_eq!(db.import_from("other", &b"x|1\ny|2\nz\n"[..], all).unwrap().rejected_count, 1);
}

#[test]
fn lines_that_are_refused_are_named() {
    let daemon = Daemon::start();
    let mut db = city(&daemon);
    db.execute("CREATE UNIQUE INDEX one ON city(people)", ()).unwrap();
    let lines = "name,people\na,1\nb,2\nc,1\nd\n".as_bytes();
    let error = db.import_from("city", lines, Import::new().atomic()).unwrap_err();
    assert!(["Line 4", "Line 5"].iter().any(|line| error.details().message.contains(line)), "{error}");
    assert_eq!(count(&mut db, "city"), 0);
    let done = db.import_from("city", lines, Import::new().max_rejected(5)).unwrap();
    assert_eq!((done.rows, done.rejected_count), (2, 2));
    let reason = |number| &done.rejected.iter().find(|line| line.line == number).unwrap().reason;
    assert!(reason(4).contains("UNIQUE") && reason(5).contains("1 field"), "{done:?}");
    let done = db.import_from("other", lines, Import::new().create().dry_run().max_rejected(1)).unwrap();
    assert_eq!((done.rows, done.columns[0].type_name.as_deref()), (3, Some("text")));
    let mut transaction = db.transaction().unwrap();
    transaction.execute("DELETE FROM city", ()).unwrap();
    transaction.import_from("city", CSV.as_bytes(), Import::new()).unwrap();
    drop(transaction);
    assert_eq!(count(&mut db, "city"), 2);
    assert_eq!(db.query_one::<(i64,)>("SELECT max(people) FROM city", ()).unwrap().0, 2);
}

#[test]
fn what_a_reader_fails_with_stops_the_import() {
    let daemon = Daemon::start();
    let mut db = city(&daemon);
    for left in [0, 1, 10_000, 500_000] {
        let failing = Rows { left, error: Some(io::ErrorKind::ConnectionReset) };
        let error = db.import_from("city", failing, Import::new().header(false).atomic()).unwrap_err();
        assert!(matches!(error, Error::Input(_)) && error.to_string().contains("reset"), "{error:?}");
        assert_eq!(count(&mut db, "city"), 0);
    }
    // So does a panic, of the reader or of what is told how far it is.
    struct Panics(Rows);
    impl Read for Panics {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => panic!("enough"),
                count => Ok(count),
            }
        }
    }
    for left in [1, 500_000] {
        let import = || Import::new().header(false).atomic();
        catch_unwind(AssertUnwindSafe(|| db.import_from("city", Panics(rows(left)), import()))).unwrap_err();
        assert_eq!(count(&mut db, "city"), 0);
    }
    let telling = Import::new().header(false).atomic().on_progress(|_| panic!("enough"));
    catch_unwind(AssertUnwindSafe(|| db.import_from("city", rows(usize::MAX), telling))).unwrap_err();
    assert_eq!(count(&mut db, "city"), 0);
}

#[test]
fn what_cannot_be_imported_is_said() {
    let (daemon, directory) = (Daemon::start(), Directory::new());
    let mut db = city(&daemon);
    for (table, import) in [("nowhere", Import::new()), ("", Import::new()), ("city", Import::new().encoding("ebcdic"))]
    {
        // More than a pipe holds: the daemon stops reading.
        assert!(db.import_from(table, rows(1_000_000), import).is_err(), "{table}");
    }
    let writing = File::create(directory.0.join("a")).unwrap();
    assert!(matches!(db.import("city", &writing, Import::new()), Err(Error::BadRequest(_))));
    let folder = File::open(&directory.0).unwrap();
    assert!(matches!(db.import("city", &folder, Import::new()), Err(Error::BadRequest(_))));
    daemon.connect().execute("CREATE TABLE city(name TEXT, people INTEGER)", ()).unwrap();
    let mut reading = daemon.options().read_only(true).connect().unwrap();
    assert!(matches!(reading.import_from("city", CSV.as_bytes(), Import::new()), Err(Error::ReadOnly(_))));
    assert_eq!(count(&mut db, "city"), 0);
}

#[test]
fn a_million_rows_and_how_far_they_are() {
    let daemon = Daemon::start();
    let mut db = city(&daemon);
    let mut told = Vec::new();
    let import = Import::new().header(false).on_progress(|progress| told.push(progress));
    assert_eq!(db.import_from("city", rows(1_000_000), import).unwrap().rows, 1_000_000);
    assert!(!told.is_empty() && told.windows(2).all(|two| two[0].rows <= two[1].rows), "{told:?}");
    assert!(told.iter().all(|progress| progress.total_bytes.is_none()));
    assert_eq!(count(&mut db, "city"), 1_000_000);
}

/// The clock of a time limit stands while a pipe has nothing.
#[test]
fn a_slow_reader_and_a_time_limit() {
    let daemon = Daemon::start();
    let mut db = daemon.options().url("sqlite::memory:").patience(Duration::from_millis(200)).connect().unwrap();
    db.execute("CREATE TABLE city(name TEXT, people INTEGER)", ()).unwrap();
    db.set_timeout(Some(Duration::from_millis(300)));
    struct Slow(usize);
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(300));
            self.0 += 1;
            if self.0 > 4 {
                return Ok(0);
            }
            buffer[..4].copy_from_slice(b"x,1\n");
            Ok(4)
        }
    }
    assert_eq!(db.import_from("city", Slow(0), Import::new().header(false)).unwrap().rows, 4);
}

#[test]
fn another_thread_cancels_at_any_moment() {
    let daemon = Daemon::start();
    let mut db = city(&daemon);
    let handle = db.cancel_handle();
    for round in 0..30 {
        let error = while_cancelling(&handle, Duration::from_millis(round % 10), || {
            db.import_from("city", rows(usize::MAX), Import::new().header(false).atomic()).unwrap_err()
        });
        assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
        assert_eq!(count(&mut db, "city"), 0);
    }
}

#[test]
fn a_daemon_that_dies_or_stands_still() {
    for (is_dry, signal) in [(false, "KILL"), (true, "KILL"), (false, "STOP")] {
        let daemon = Daemon::start();
        let mut db = daemon.options().patience(Duration::from_millis(500)).connect().unwrap();
        db.execute("CREATE TABLE city(name TEXT, people INTEGER)", ()).unwrap();
        let handle = db.cancel_handle();
        let running = thread::spawn(move || {
            let import = Import::new().header(false);
            let import = if is_dry { import.dry_run() } else { import };
            (db.import_from("city", rows(usize::MAX), import).unwrap_err(), db.is_lost())
        });
        thread::sleep(Duration::from_millis(100));
        let pid = daemon.pid().to_string();
        Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        let begin = Instant::now();
        if signal == "STOP" {
            thread::sleep(Duration::from_millis(100));
            handle.cancel();
        }
        let (error, is_lost) = running.join().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(10) && is_lost);
        assert_eq!(matches!(error, Error::ConnectionLost(_)), is_dry, "{error:?}");
        assert_eq!(matches!(error, Error::OutcomeUnknown(_)), !is_dry, "{error:?}");
    }
}

/// Through a connection that ends behind so many bytes in one of the directions.
#[test]
fn a_connection_that_is_lost_at_every_step() {
    let daemon = Daemon::start();
    lost_at_every_step(&daemon, 17, |db| db.import_from("city", rows(100_000), Import::new().create()).map(drop));
}

/// What was opened for an import is closed, however it ended.
#[test]
fn no_descriptors_stay() {
    let daemon = Daemon::start();
    let mut db = city(&daemon);
    let before = daemon.pipes();
    for _ in 0..20 {
        let _ = db.import_from("city", rows(10), Import::new().header(false)).unwrap();
        let _ = db.import_from("nowhere", rows(1_000_000), Import::new()).unwrap_err();
        let failing = Rows { left: 7, error: Some(io::ErrorKind::Other) };
        let _ = db.import_from("city", failing, Import::new()).unwrap_err();
    }
    wait_until("the daemon has closed its pipes", || daemon.pipes() == before);
}
