//! Changes: who listens is told of every commit, and whatever ends it leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use litebase::{Change, Changes, ChangesQuery, Connection, Error};

use crate::daemon::{cut_connection, wait_until, Daemon, Directory, LONG};

fn start() -> (Daemon, Connection) {
    let daemon = Daemon::start();
    let mut db = daemon.connect();
    db.execute("CREATE TABLE city (name TEXT)", ()).unwrap();
    db.execute("CREATE TABLE street (name TEXT)", ()).unwrap();
    (daemon, db)
}

fn insert(db: &mut Connection, table: &str) {
    db.execute(&format!("INSERT INTO {table} VALUES ('x')"), ()).unwrap();
}

fn next(changes: &mut Changes) -> Change {
    changes.next().expect("changes have no end").expect("a change")
}

/// How many listen.
fn listening(db: &mut Connection) -> usize {
    let reply = db.request("activity", &litebase::Data::map([])).unwrap();
    let entries = reply.get("entries").items().iter();
    entries.filter(|entry| entry.get("type").as_str() == Some("subscribe")).count()
}

#[test]
fn every_commit_is_told() {
    let (_daemon, mut db) = start();
    let mut changes = db.changes(&ChangesQuery::new()).unwrap();
    assert_eq!(changes.covers(), "all_writers");
    assert!(!changes.position().is_empty());
    insert(&mut db, "city");
    let change = next(&mut changes);
    assert_eq!((&*change.position, &*change.relations), (changes.position(), &["city".to_owned()][..]));
    assert!(!change.is_of_schema && change.resync.is_none());
    db.execute("CREATE TABLE river (name TEXT)", ()).unwrap();
    assert!(next(&mut changes).is_of_schema);
}

#[test]
fn waiting_has_a_time_limit() {
    let (mut daemon, mut db) = start();
    let mut changes = db.changes(&ChangesQuery::new()).unwrap();
    for milliseconds in [0, 1, 30] {
        let begin = Instant::now();
        let time = Duration::from_millis(milliseconds);
        assert_eq!(changes.wait(time).unwrap(), None);
        assert!(begin.elapsed() >= time);
    }
    insert(&mut db, "city");
    assert_eq!(changes.wait(LONG).unwrap().unwrap().relations, ["city"]);
    insert(&mut db, "street");
    wait_until("it is told to who does not wait", || changes.wait(Duration::ZERO).unwrap().is_some());
    // The iterator goes on without a limit, and another thread ends the waiting.
    insert(&mut db, "city");
    assert_eq!(next(&mut changes).relations, ["city"]);
    assert_eq!(changes.wait(Duration::ZERO).unwrap(), None);
    let handle = changes.cancel_handle();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        handle.cancel();
    });
    let error = changes.wait(Duration::MAX).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");
    other.join().unwrap();
    assert!(changes.next().is_none());
    assert!(matches!(changes.wait(Duration::ZERO).unwrap_err(), Error::ConnectionLost(_)));
    let mut changes = db.changes(&ChangesQuery::new()).unwrap();
    daemon.kill();
    assert!(matches!(changes.wait(LONG).unwrap_err(), Error::ConnectionLost(_)));
}

/// One that does not answer a cancellation is given up, by who waits with a limit, too.
#[test]
fn a_daemon_that_stands_still_ends_the_waiting() {
    let daemon = Daemon::start();
    let db = daemon.options().patience(Duration::from_millis(200)).connect().unwrap();
    let mut changes = db.changes(&ChangesQuery::new()).unwrap();
    Command::new("kill").args(["-STOP", &daemon.pid().to_string()]).status().unwrap();
    assert_eq!(changes.wait(Duration::from_millis(300)).unwrap(), None);
    changes.cancel_handle().cancel();
    assert!(matches!(changes.wait(LONG).unwrap_err(), Error::ConnectionLost(_)));
}

#[test]
fn what_is_rolled_back_and_other_relations_are_not_told() {
    let (_daemon, mut db) = start();
    let mut changes = db.changes(&ChangesQuery::new().relation("CITY")).unwrap();
    let mut all = db.changes(&ChangesQuery::new()).unwrap();
    let mut transaction = db.transaction().unwrap();
    transaction.execute("INSERT INTO city VALUES ('x')", ()).unwrap();
    drop(transaction);
    insert(&mut db, "street");
    assert_eq!(next(&mut all).relations, ["street"]);
    let mut others = db.changes(&ChangesQuery::new().since(changes.position())).unwrap();
    insert(&mut db, "city");
    assert_eq!(next(&mut changes).relations, ["city"]);
    let mut told = next(&mut others).relations;
    if told.len() == 1 {
        told.extend(next(&mut others).relations);
    }
    assert_eq!(told, ["street", "city"]);
}

#[test]
fn another_program_is_noticed() {
    let (_daemon, mut db) = start();
    let (_, _, file): (i64, String, String) = db.query_one("PRAGMA database_list", ()).unwrap();
    let mut changes = db.changes(&ChangesQuery::new()).unwrap();
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(\"INSERT INTO city VALUES ('o')\"); c.commit()";
    assert!(Command::new("python3").args(["-c", script, &file]).status().unwrap().success());
    assert_eq!(next(&mut changes).resync.as_deref(), Some("other_program"));
}

/// Nothing piles up for it, and it hears of all; nor for one that has asked for it.
#[test]
fn a_program_that_is_busy_is_told_of_much_together() {
    for delay in [0, 300] {
        let (_daemon, mut db) = start();
        let mut changes = db.changes(&ChangesQuery::new().delay(Duration::from_millis(delay))).unwrap();
        for number in 0..400 {
            insert(&mut db, ["city", "street"][number / 200]);
        }
        db.execute("CREATE TABLE last (a)", ()).unwrap();
        let mut told = Vec::new();
        while told.last().map_or(true, |change: &Change| !change.is_of_schema) {
            told.push(next(&mut changes));
        }
        assert!(told.len() <= 8, "{}", told.len());
        for name in ["city", "street"] {
            assert!(told.iter().any(|change| change.relations.iter().any(|relation| relation == name)));
        }
    }
}

#[test]
fn what_cannot_be_is_said() {
    let (daemon, mut db) = start();
    let error = db.changes(&ChangesQuery::new().database("no such")).unwrap_err();
    assert!(matches!(error, Error::DatabaseNotFound(_)), "{error}");
    let error = db.changes(&ChangesQuery::new().delay(Duration::from_secs(1_000_000))).unwrap_err();
    assert!(error.to_string().contains("delay_ms"), "{error}");
    let memory = daemon.options().url("sqlite::memory:").connect().unwrap();
    let error = memory.changes(&ChangesQuery::new()).unwrap_err();
    assert!(matches!(error, Error::BadRequest(_)) && error.hint().is_some(), "{error}");
    insert(&mut db, "city");
}

#[test]
fn dropping_it_ends_it() {
    let (_daemon, mut db) = start();
    let changes = db.changes(&ChangesQuery::new()).unwrap();
    let unread = db.changes(&ChangesQuery::new()).unwrap();
    insert(&mut db, "city");
    wait_until("two listen", || listening(&mut db) == 2);
    drop((changes, unread));
    wait_until("nobody listens", || listening(&mut db) == 0);
}

#[test]
fn another_thread_ends_it_at_any_moment() {
    let (_daemon, mut db) = start();
    for step in 0..20 {
        let mut changes = db.changes(&ChangesQuery::new()).unwrap();
        let handle = changes.cancel_handle();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_micros(step * 500));
            if step % 4 == 3 {
                handle.abort();
            } else {
                handle.cancel();
            }
        });
        if step % 2 == 0 {
            other.join().unwrap();
            insert(&mut db, "city");
        }
        // Those that were told before are told.
        let error = loop {
            match changes.next().expect("an error first") {
                Ok(change) => assert_eq!(change.relations, ["city"]),
                Err(error) => break error,
            }
        };
        match step % 4 {
            3 => assert!(matches!(error, Error::ConnectionLost(_)), "{error}"),
            _ => assert!(matches!(error, Error::Cancelled(_)), "{error}"),
        }
        assert!(changes.next().is_none());
    }
    insert(&mut db, "city");
    wait_until("nobody listens", || listening(&mut db) == 0);
}

#[test]
fn a_daemon_that_ends_is_an_error_and_its_positions_mean_nothing_to_the_next_one() {
    for is_killed in [true, false] {
        let (mut daemon, mut db) = start();
        let mut changes = db.changes(&ChangesQuery::new()).unwrap();
        insert(&mut db, "city");
        let position = next(&mut changes).position;
        let waiting = thread::spawn(move || changes.next().expect("an error first"));
        thread::sleep(Duration::from_millis(50));
        if is_killed {
            daemon.kill();
        } else {
            assert!(Command::new("kill").arg(daemon.pid().to_string()).status().unwrap().success());
        }
        let error = waiting.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::ConnectionLost(_)), "{error}");
        assert_eq!(error.code() == "shutting_down", !is_killed, "{error}");
        daemon.restart();
        db.reconnect().unwrap();
        let mut changes = db.changes(&ChangesQuery::new().since(&position)).unwrap();
        assert_eq!(next(&mut changes).resync.as_deref(), Some("position_unknown"));
        insert(&mut db, "city");
        assert_eq!(next(&mut changes).relations, ["city"]);
    }
}

/// Whatever was cut off, it is an error, and who goes on at its position is told of each commit once.
#[test]
fn a_connection_that_ends_at_any_byte() {
    const TABLES: [&str; 4] = ["a", "b", "c", "d"];
    let daemon = Daemon::start();
    let mut writer = daemon.connect();
    for name in TABLES.iter().chain(&["last"]) {
        writer.execute(&format!("CREATE TABLE {name} (name TEXT)"), ()).unwrap();
    }
    let place = Directory::new();
    // Subscriptions have connections of their own, to where the link leads when they are made.
    let link = place.0.join("link");
    lead(&link, &daemon.socket);
    let db = daemon.options().socket(&link).connect().unwrap();
    let (mut begun, mut went_on) = (0, 0);
    for (to_daemon, step) in [(true, 3), (false, 5)] {
        for bytes in (1..).step_by(step) {
            let (path, proxy) = cut_connection(&daemon.socket, &place.0, to_daemon, bytes);
            lead(&link, &path);
            let listened = db.changes(&ChangesQuery::new());
            lead(&link, &daemon.socket);
            let mut changes = match listened {
                Ok(changes) => changes,
                Err(error) => {
                    assert!(matches!(error, Error::ConnectionLost(_)), "{bytes}: {error:?}");
                    proxy.join().unwrap();
                    continue;
                }
            };
            begun += 1;
            TABLES.iter().for_each(|table| insert(&mut writer, table));
            let mut told = Vec::new();
            let lost = tell(&mut changes, &mut told, TABLES.len(), bytes % 2 == 0);
            if let Some(error) = &lost {
                assert!(matches!(error, Error::ConnectionLost(_)), "{bytes}: {error:?}");
                assert!(changes.next().is_none());
                let mut others = db.changes(&ChangesQuery::new().since(changes.position())).unwrap();
                assert!(tell(&mut others, &mut told, TABLES.len(), true).is_none());
                // Nothing of them comes again.
                insert(&mut writer, "last");
                assert_eq!(next(&mut others).relations, ["last"]);
                went_on += 1;
            }
            // What is told together has no order.
            told.sort();
            assert_eq!(told, TABLES, "{bytes}");
            drop(changes);
            proxy.join().unwrap();
            if lost.is_none() {
                break;
            }
            assert!(bytes < 100_000);
        }
    }
    assert!(begun > 20 && went_on > 20, "{begun} have begun, {went_on} went on elsewhere");
    wait_until("nobody listens", || listening(&mut writer) == 0);
}

/// Has a path lead elsewhere.
fn lead(link: &Path, to: &Path) {
    let _ = fs::remove_file(link);
    symlink(to, link).unwrap();
}

/// Takes what is told until it is of so many tables, or why it is no more.
fn tell(changes: &mut Changes, told: &mut Vec<String>, count: usize, has_limit: bool) -> Option<Error> {
    while told.len() < count {
        let change = if has_limit { changes.wait(LONG) } else { changes.next().transpose() };
        match change {
            Ok(change) => {
                let change = change.expect("it came in time");
                assert!(change.resync.is_none(), "{change:?}");
                told.extend(change.relations);
            }
            Err(error) => return Some(error),
        }
    }
    None
}
