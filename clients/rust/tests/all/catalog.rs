//! What is in a database, and what may come next in a statement.

use litebase::{CatalogQuery, Connection, Error, Level, Options};

use crate::daemon::Daemon;

fn in_memory(daemon: &Daemon, statements: &[&str]) -> Connection {
    let mut db = daemon.options().url("sqlite::memory:").connect().unwrap();
    for statement in statements {
        db.execute(statement, ()).unwrap();
    }
    db
}

const SCHEMA: [&str; 3] = [
    "CREATE TABLE city (name TEXT PRIMARY KEY, people INTEGER)",
    "CREATE TABLE street (id INTEGER PRIMARY KEY, city TEXT REFERENCES city(name), \"to be\" TEXT)",
    "CREATE VIEW large AS SELECT * FROM city",
];

fn names(db: &mut Connection, level: Level, query: CatalogQuery) -> Vec<String> {
    let rows = db.catalog(level, query).unwrap();
    rows.map(|row| row.unwrap().text("name").unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_catalog_tells_what_is_there() {
    let daemon = Daemon::start();
    let mut db = in_memory(&daemon, &SCHEMA);
    let all = CatalogQuery::new;
    assert_eq!(names(&mut db, Level::Relations, all()), ["city", "large", "street"]);
    assert_eq!(names(&mut db, Level::Relations, all().kind("view").refresh().refresh()), ["large"]);
    assert_eq!(names(&mut db, Level::Columns, all().namespace("main").relation("city")), ["name", "people"]);
    assert_eq!(names(&mut db, Level::Columns, all().matching("x").matching("tb")), ["to be"]);
    assert_eq!(names(&mut db, Level::Columns, all().max_rows(2)).len(), 2);
    assert_eq!(names(&mut db, Level::Namespaces, all()), ["main"]);
    for level in [Level::Triggers, Level::Routines, Level::Types, Level::Indexes] {
        let _ = names(&mut db, level, all());
    }
    let key = db.catalog(Level::ForeignKeys, all()).unwrap().next().unwrap().unwrap();
    assert_eq!((key.texts("columns"), key.text("target_relation")), (vec!["city"], Some("city")));
    assert_eq!(key.texts("target_columns"), ["name"]);
    assert!(key.get("nothing").as_str().is_none() && key.columns().contains(&"on_delete".to_owned()));
    assert!(format!("{key:?}").contains("target_relation"));
    let id = db.catalog(Level::Columns, all().relation("street")).unwrap().next().unwrap().unwrap();
    assert_eq!((id.integer("position"), id.integer("key_position"), id.is("hidden")), (Some(1), Some(1), false));
    let table = db.catalog(Level::Relations, all().definitions()).unwrap().next().unwrap().unwrap();
    assert!(table.text("definition").unwrap().starts_with("CREATE TABLE city"));
}

#[test]
fn an_etag_says_whether_it_has_changed() {
    let daemon = Daemon::start();
    let mut db = in_memory(&daemon, &SCHEMA);
    let mut rows = db.catalog(Level::Relations, CatalogQuery::new()).unwrap();
    assert_eq!(rows.by_ref().count(), 3);
    assert!(!rows.is_unchanged());
    let etag = rows.etag().unwrap().to_owned();
    drop(rows);
    let mut again = db.catalog(Level::Columns, CatalogQuery::new().etag(&etag)).unwrap();
    assert!(again.next().is_none() && again.is_unchanged() && again.etag() == Some(&etag));
    drop(again);
    db.execute("CREATE TABLE more (a)", ()).unwrap();
    let changed = db.catalog(Level::Columns, CatalogQuery::new().etag(&etag)).unwrap();
    assert!(!changed.is_unchanged() && changed.count() > 6);
}

#[test]
fn a_catalog_that_is_left_is_stopped() {
    let daemon = Daemon::start();
    let mut db = in_memory(&daemon, &[]);
    let columns: Vec<_> = (0..20).map(|number| format!("column_{number}")).collect();
    for table in 0..200 {
        db.execute(&format!("CREATE TABLE t{table} ({})", columns.join(",")), ()).unwrap();
    }
    let mut transaction = db.transaction().unwrap();
    for _ in 0..20 {
        let mut rows = transaction.catalog(Level::Columns, CatalogQuery::new()).unwrap();
        assert!(rows.next().unwrap().is_ok());
        drop(rows);
        assert_eq!(transaction.query_one::<(i64,)>("SELECT 1", ()).unwrap().0, 1);
    }
    transaction.commit().unwrap();
    assert_eq!(db.catalog(Level::Columns, CatalogQuery::new()).unwrap().count(), 4_000);
    // Whoever stops it from elsewhere.
    let handle = db.cancel_handle();
    let mut rows = db.catalog(Level::Columns, CatalogQuery::new()).unwrap();
    handle.cancel();
    let last = rows.by_ref().find(Result::is_err);
    assert!(matches!(last, None | Some(Err(Error::Cancelled(_)))), "{last:?}");
    assert!(rows.next().is_none());
}

#[test]
fn a_completion_counts_bytes() {
    let daemon = Daemon::start();
    let mut db = in_memory(&daemon, &SCHEMA);
    names(&mut db, Level::Relations, CatalogQuery::new());
    let mut sql = "SELECT 'é', be FROM street".to_owned();
    let cursor = sql.find(" FROM").unwrap();
    let found = db.complete(&sql, cursor, 5, &["to be"]).unwrap();
    let item = &found.items[0];
    assert_eq!((item.label.as_str(), item.kind.as_str()), ("to be", "column"));
    assert_eq!((item.detail.as_deref(), item.relation.as_deref()), (Some("TEXT"), Some("street")));
    assert!(!found.is_incomplete && found.items.len() <= 5);
    sql.replace_range(found.range, &item.text);
    assert_eq!(sql, "SELECT 'é', \"to be\" FROM street");
    for wrong in [9, 1_000] {
        assert!(matches!(db.complete(&sql, wrong, 5, &[]), Err(Error::BadRequest(_))));
    }
    assert!(!db.complete("", 0, 50, &[]).unwrap().items.is_empty());
}

#[test]
#[ignore = "tests/test_rust.py starts the servers"]
fn catalogs_of_servers() {
    let open = |name: &str| {
        let socket = std::env::var_os("LITEBASE_TEST_SERVERS").expect("tests/test_rust.py starts the servers");
        Options::new().socket(socket).database(name).connect().unwrap()
    };
    for name in ["pg", "my"] {
        let mut db = open(name);
        db.execute("CREATE TABLE told (a INTEGER PRIMARY KEY, b VARCHAR(10))", ()).unwrap();
        let found = names(&mut db, Level::Columns, CatalogQuery::new().relation("told"));
        let mut transaction = db.transaction().unwrap();
        transaction.execute("INSERT INTO told VALUES (1, 'x')", ()).unwrap();
        drop(transaction.catalog(Level::Columns, CatalogQuery::new()).unwrap());
        transaction.commit().unwrap();
        let count = db.query_one::<(i64,)>("SELECT count(*) FROM told", ()).unwrap().0;
        db.execute("DROP TABLE told", ()).unwrap();
        assert_eq!((found, count), (vec!["a".to_owned(), "b".to_owned()], 1));
    }
    let mut redis = open("redis");
    redis.execute("SET told:1 x", ()).unwrap();
    assert_eq!(names(&mut redis, Level::Relations, CatalogQuery::new().refresh().matching("told")), ["told:"]);
    redis.execute("DEL told:1", ()).unwrap();
}
