//! The commands of a desktop program, as a Tauri backend has them, without Tauri.
//!
//! A command is a function that takes JSON-like arguments and returns a JSON-like result. The window is whoever writes lines to
//! the standard input: `{"id": 1, "command": "connect", "arguments": {"database": "shop"}}`. Each command runs in a thread of
//! its own, as in Tauri, so that `cancel` gets through while another one waits for the database. After `follow` there are events,
//! as of `emit`: `{"event": "changed", "relations": ["city"]}`, when anybody has changed a table.

mod json;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use json::Json;
use litebase::{
    CancelHandle, CatalogQuery, CatalogRow, Changes, ChangesQuery, Connection, Engine, Error, Level, Options, Page,
    Pages, ToValue, Value,
};

/// What the program keeps between two commands; in Tauri, `tauri::State`.
#[derive(Default)]
struct App {
    open: Mutex<Open>,
    /// By itself, so that nobody waits for `open` who wants to stop what has it.
    cancel: Mutex<Option<CancelHandle>>,
    /// What ends the events.
    followed: Mutex<Option<CancelHandle>>,
}

#[derive(Default)]
struct Open {
    connection: Option<Connection>,
    pages: Option<Pages>,
}

/// What a command fails with: what the window shows.
type Failure = Json;
type Arguments = BTreeMap<String, Json>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn map<const N: usize>(pairs: [(&str, Json); N]) -> Json {
    Json::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(value: &str) -> Json {
    Json::Text(value.to_owned())
}

fn failure(code: &str, message: &str) -> Failure {
    map([("code", text(code)), ("message", text(message))])
}

fn not_connected() -> Failure {
    failure("not_connected", "No database is open: call connect.")
}

fn told(error: Error) -> Failure {
    let line = error.position().map_or(Json::Null, |place| Json::Number(place.line.to_string()));
    map([
        ("code", text(error.code())),
        ("message", text(&error.to_string())),
        ("line", line),
        ("retryable", Json::Boolean(error.is_retryable())),
    ])
}

fn argument<'a>(arguments: &'a Arguments, name: &str) -> Result<&'a str, Failure> {
    let given = arguments.get(name).and_then(Json::as_str);
    given.ok_or_else(|| failure("bad_arguments", &format!("The argument {name} is missing.")))
}

/// A value as the window gets it: integers that JavaScript does not keep exactly are text.
fn shown(value: Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Boolean(value),
        Value::Integer(value) if value.unsigned_abs() < 1 << 53 => Json::Number(value.to_string()),
        Value::Integer(value) => Json::Text(value.to_string()),
        Value::Unsigned(value) => Json::Text(value.to_string()),
        Value::Real(value) if value.is_finite() => Json::Number(format!("{value:?}")),
        Value::Real(value) => Json::Text(value.to_string()),
        Value::Text(value) => Json::Text(value.into_owned()),
        Value::Blob(value) => Json::Text(value.iter().map(|byte| format!("{byte:02x}")).collect()),
        other => text(other.kind()),
    }
}

/// A value that the window sends.
fn given(value: Option<&Json>) -> Result<Value<'static>, Failure> {
    Ok(match value {
        None | Some(Json::Null) => Value::Null,
        Some(Json::Boolean(value)) => Value::Boolean(*value),
        Some(Json::Text(value)) => Value::Text(value.clone().into()),
        Some(Json::Number(value)) => match (value.parse(), value.parse()) {
            (Ok(integer), _) => Value::Integer(integer),
            (_, Ok(real)) => Value::Real(real),
            _ => return Err(failure("bad_arguments", "A number cannot be read.")),
        },
        Some(_) => return Err(failure("bad_arguments", "A value is neither text, nor a number, nor null.")),
    })
}

impl App {
    fn invoke(&self, command: &str, arguments: &Arguments) -> Result<Json, Failure> {
        match command {
            "list_databases" => self.list_databases(),
            "connect" => self.connect(argument(arguments, "database")?),
            "tree" => self.with(tree),
            "complete" => {
                let sql = argument(arguments, "sql")?;
                let cursor = argument(arguments, "cursor")?.parse().unwrap_or(sql.len());
                self.with(|_, db| complete(db, sql, cursor))
            }
            "open" => {
                let rows = argument(arguments, "rows")?.parse().unwrap_or(100);
                let sql = argument(arguments, "sql")?;
                self.with(|open, db| {
                    open.pages = Some(db.pages(sql, (), rows).map_err(told)?);
                    next_page(open, db)
                })
            }
            "next_page" => self.with(next_page),
            "run" => {
                let sql = argument(arguments, "sql")?;
                self.with(|_, db| {
                    let done = db.execute(sql, ()).map_err(told)?;
                    Ok(map([("rows_affected", Json::Number(done.rows_affected.to_string()))]))
                })
            }
            "edit" => self.with(|_, db| edit(db, arguments)),
            "cancel" => {
                if let Some(handle) = &*lock(&self.cancel) {
                    handle.cancel();
                }
                Ok(Json::Null)
            }
            _ => Err(failure("unknown_command", &format!("There is no command {command}."))),
        }
    }

    /// Runs what needs the connection. One that was lost is opened again before the next command; nothing is repeated.
    fn with(&self, work: impl FnOnce(&mut Open, &mut Connection) -> Result<Json, Failure>) -> Result<Json, Failure> {
        let mut open = lock(&self.open);
        let mut connection = open.connection.take().ok_or_else(not_connected)?;
        let result = match connection.is_lost() {
            true => connection.reconnect().map_err(told),
            false => Ok(()),
        };
        *lock(&self.cancel) = Some(connection.cancel_handle());
        let result = result.and_then(|()| work(&mut open, &mut connection));
        open.connection = Some(connection);
        result
    }

    fn connect(&self, database: &str) -> Result<Json, Failure> {
        let connection = Options::new().database(database).client("commands").connect().map_err(told)?;
        let about = map([
            ("engine", text(engine(connection.engine()))),
            ("version", text(connection.server_version())),
            ("read_only", Json::Boolean(connection.is_read_only())),
        ]);
        *lock(&self.cancel) = Some(connection.cancel_handle());
        *lock(&self.open) = Open { connection: Some(connection), pages: None };
        Ok(about)
    }

    /// Which tables are changed from now on, by whomever. What the window reads after this, it reads again when it is told.
    fn follow(&self) -> Result<Changes, Failure> {
        let open = lock(&self.open);
        let connection = open.connection.as_ref().ok_or_else(not_connected)?;
        // It has a connection of its own, and holds up no command.
        let changes = connection.changes(&ChangesQuery::new()).map_err(told)?;
        if let Some(former) = lock(&self.followed).replace(changes.cancel_handle()) {
            former.cancel();
        }
        Ok(changes)
    }

    fn list_databases(&self) -> Result<Json, Failure> {
        // Any connection can tell; none has to be open.
        let databases = Connection::connect().and_then(|mut db| db.databases()).map_err(told)?;
        let shown = databases.iter().map(|database| {
            map([
                ("name", text(&database.name)),
                ("engine", text(engine(database.engine))),
                ("read_only", Json::Boolean(database.is_read_only)),
            ])
        });
        Ok(Json::List(shown.collect()))
    }
}

fn engine(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite",
        Engine::PostgreSql => "postgresql",
        Engine::MySql => "mysql",
        Engine::Redis => "redis",
        _ => "other",
    }
}

/// The tables and their columns: one question, however many there are.
fn columns(db: &mut Connection) -> Result<Vec<(String, String)>, Error> {
    let text = |row: &CatalogRow, column: &str| row.text(column).unwrap_or_default().to_owned();
    let rows = db.catalog(Level::Columns, CatalogQuery::new().kind("table"))?;
    rows.map(|row| row.map(|row| (text(&row, "relation"), text(&row, "name")))).collect()
}

/// What may come next in a statement that is typed. The window counts characters of JavaScript, the driver bytes.
fn complete(db: &mut Connection, sql: &str, cursor: usize) -> Result<Json, Failure> {
    let bytes = |units: usize| {
        let mut left = units;
        sql.find(|character: char| match left.checked_sub(character.len_utf16()) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
    };
    let units = |bytes: usize| Json::Number(sql[..bytes].encode_utf16().count().to_string());
    let found = db.complete(sql, bytes(cursor).unwrap_or(sql.len()), 20, &[]).map_err(told)?;
    let items = found.items.iter().map(|item| map([("text", text(&item.text)), ("kind", text(&item.kind))]));
    Ok(map([
        ("from", units(found.range.start)),
        ("to", units(found.range.end)),
        ("items", Json::List(items.collect())),
        ("incomplete", Json::Boolean(found.is_incomplete)),
    ]))
}

fn tree(_: &mut Open, db: &mut Connection) -> Result<Json, Failure> {
    let mut tables: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for (table, column) in columns(db).map_err(told)? {
        tables.entry(table).or_default().push(Json::Text(column));
    }
    let shown =
        tables.into_iter().map(|(name, columns)| map([("name", Json::Text(name)), ("columns", Json::List(columns))]));
    Ok(Json::List(shown.collect()))
}

fn next_page(open: &mut Open, db: &mut Connection) -> Result<Json, Failure> {
    let pages = open.pages.as_mut().ok_or_else(|| failure("not_open", "No query is open: call open."))?;
    let page = pages.next(db).map_err(told)?.unwrap_or_else(Page::empty);
    let names = pages.columns().iter().map(|column| text(&column.name)).collect();
    let mut rows = Vec::new();
    for row in &page {
        let values = (0..row.columns().len()).map(|index| row.get::<Value<'_>>(index).map(shown));
        rows.push(Json::List(values.collect::<Result<_, _>>().map_err(told)?));
    }
    Ok(map([("columns", Json::List(names)), ("rows", Json::List(rows)), ("more", Json::Boolean(!pages.is_complete()))]))
}

/// Changes one value, if it is still what the window has shown.
fn edit(db: &mut Connection, arguments: &Arguments) -> Result<Json, Failure> {
    let (table, column) = (argument(arguments, "table")?, argument(arguments, "column")?);
    let (key, value, was) = (arguments.get("key"), arguments.get("value"), arguments.get("was"));
    let values = [given(value)?, given(key)?, given(was)?];
    // Names cannot be parameters: those that there are, and no others, get into the statement.
    let is_there = columns(db).map_err(told)?.iter().any(|known| known.0 == table && known.1 == column);
    if !is_there {
        return Err(failure("no_column", "There is no such table or column."));
    }
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (table, column) = (quoted(table), quoted(column));
    let changed = db.in_transaction(|transaction| {
        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE rowid = ?2 AND {column} IS ?3");
        let parameters: Vec<&dyn ToValue> = values.iter().map(|value| value as &dyn ToValue).collect();
        transaction.execute(&sql, &parameters).map(|done| done.rows_affected == 1)
    });
    Ok(map([("changed", Json::Boolean(changed.map_err(told)?))]))
}

/// Writes a line to the window. One that is closed reads nothing more.
fn emit(line: &Json) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Tells the window what changes. When that ends, because the daemon has, the window follows again, and reads everything again.
fn emit_changes(changes: Changes) {
    for change in changes {
        emit(&match change {
            Ok(change) => map([
                ("event", text("changed")),
                ("relations", Json::List(change.relations.into_iter().map(Json::Text).collect())),
                ("schema", Json::Boolean(change.is_of_schema)),
                ("resync", change.resync.map_or(Json::Null, Json::Text)),
            ]),
            // The window has called `follow` once more.
            Err(Error::Cancelled(_)) => return,
            Err(error) => map([("event", text("unfollowed")), ("error", told(error))]),
        });
    }
}

fn main() {
    let app = App::default();
    std::thread::scope(|scope| {
        for line in std::io::stdin().lock().lines() {
            let line = match line {
                Ok(line) => line,
                Err(_) => break,
            };
            let app = &app;
            scope.spawn(move || {
                let request = Json::parse(&line).unwrap_or(Json::Null);
                let arguments = match request.get("arguments") {
                    Json::Map(arguments) => arguments.clone(),
                    _ => Arguments::new(),
                };
                let mut followed = None;
                let result = match request.get("command").as_str().unwrap_or_default() {
                    "follow" => app.follow().map(|changes| {
                        followed = Some(changes);
                        Json::Null
                    }),
                    command => app.invoke(command, &arguments),
                };
                let (name, value) = match result {
                    Ok(value) => ("result", value),
                    Err(value) => ("error", value),
                };
                let answer = map([("id", request.get("id").clone()), (name, value)]);
                emit(&answer);
                if let Some(changes) = followed {
                    emit_changes(changes);
                }
            });
        }
        // The window is closed: nobody waits for what still runs.
        for handle in [&app.cancel, &app.followed] {
            if let Some(handle) = &*lock(handle) {
                handle.abort();
            }
        }
    });
}
