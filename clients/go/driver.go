package litebase

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func init() { sql.Register("litebase", Driver{}) }

// Driver is registered as "litebase".
type Driver struct{}

var (
	_ driver.DriverContext                  = Driver{}
	_ driver.Connector                      = Connector{}
	_ driver.ConnBeginTx                    = (*Conn)(nil)
	_ driver.ConnPrepareContext             = (*Conn)(nil)
	_ driver.QueryerContext                 = (*Conn)(nil)
	_ driver.ExecerContext                  = (*Conn)(nil)
	_ driver.Pinger                         = (*Conn)(nil)
	_ driver.SessionResetter                = (*Conn)(nil)
	_ driver.Validator                      = (*Conn)(nil)
	_ driver.NamedValueChecker              = (*Conn)(nil)
	_ driver.StmtQueryContext               = (*stmt)(nil)
	_ driver.StmtExecContext                = (*stmt)(nil)
	_ driver.RowsNextResultSet              = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
)

// Open is what database/sql called before it had contexts.
func (d Driver) Open(name string) (driver.Conn, error) {
	connector, err := d.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	return connector.Connect(context.Background())
}

// OpenConnector reads a data source name (see ParseDSN).
func (d Driver) OpenConnector(name string) (driver.Connector, error) {
	options, err := ParseDSN(name)
	return Connector{options}, err
}

// Connector connects with Options: sql.OpenDB(litebase.Connector{Options: litebase.Options{Database: "shop"}}).
type Connector struct{ Options Options }

// Connect opens a session.
func (c Connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := Connect(ctx, c.Options)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Driver is the driver's.
func (c Connector) Driver() driver.Driver { return Driver{} }

// ParseDSN reads a data source name: the name of a database, empty for the default one, or
//
//	litebase:///shop?socket=/run/x.sock&read_only=true&timeout=5s&begin=BEGIN+IMMEDIATE&trust=alice
//	litebase:?url=sqlite%3A%3Amemory%3A
//
// with the options as in Options. Values are escaped as in every URL.
func ParseDSN(name string) (Options, error) {
	if !strings.HasPrefix(name, "litebase:") {
		return Options{Database: name}, nil
	}
	parsed, err := url.Parse(name)
	if err != nil {
		return Options{}, errors.New("litebase: the data source name is not a URL")
	}
	if parsed.Host != "" || parsed.User != nil {
		return Options{}, errors.New("litebase: the daemon knows users and servers; write litebase:///NAME, with the database's name")
	}
	options := Options{Database: strings.TrimPrefix(parsed.Path, "/")}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return Options{}, errors.New("litebase: the options of the data source name cannot be read")
	}
	for key, values := range query {
		value := values[len(values)-1]
		switch key {
		case "socket":
			options.Socket = value
		case "url":
			options.URL = value
		case "begin":
			options.Begin = value
		case "trust":
			options.TrustUsers = values
		case "read_only":
			options.ReadOnly, err = strconv.ParseBool(value)
		case "timeout":
			options.Timeout, err = time.ParseDuration(value)
		default:
			err = errors.New("there is no such option; there are socket, url, begin, trust, read_only and timeout")
		}
		if err != nil {
			return Options{}, fmt.Errorf("litebase: %s in the data source name: %w", key, err)
		}
	}
	if options.URL != "" && options.Database != "" {
		return Options{}, errors.New("litebase: a data source name has the name of a database or url=, not both")
	}
	return options, nil
}

// CheckNamedValue takes what database/sql takes, and unsigned integers of 64 bits.
func (c *Conn) CheckNamedValue(value *driver.NamedValue) (err error) {
	value.Value, err = checkValue(value.Value)
	return err
}

// QueryContext runs a statement and gives its rows as they come.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	found, err := c.query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return &rows{found}, nil
}

// ExecContext runs a statement without its rows.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	found, err := c.exec(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return outcome{found}, nil
}

// Ping asks the daemon, and the database where it is on a server.
func (c *Conn) Ping(ctx context.Context) error {
	_, err := c.Request(ctx, "health_check", nil)
	if err == nil && c.Engine != "redis" {
		_, err = c.exec(ctx, "SELECT 1", nil)
	}
	return err
}

// IsValid is false once the connection is of no use any more.
func (c *Conn) IsValid() bool { return c.failure == nil }

// ResetSession rolls back what is still open before somebody else gets the connection.
func (c *Conn) ResetSession(ctx context.Context) error {
	if err := c.settle(); err != nil {
		return driver.ErrBadConn
	}
	if c.transaction != "none" {
		if _, err := c.exec(ctx, "ROLLBACK", nil); err != nil {
			return driver.ErrBadConn
		}
	}
	return nil
}

// Prepare is as PrepareContext.
func (c *Conn) Prepare(query string) (driver.Stmt, error) { return &stmt{c, query}, nil }

// PrepareContext keeps the text: the daemon parses SQLite's statements once by itself, and those of servers each time, so that
// they mean what they mean when they are sent.
func (c *Conn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	return c.Prepare(query)
}

type stmt struct {
	conn *Conn
	sql  string
}

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return -1 }
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.sql, args)
}
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.sql, args)
}
func (s *stmt) CheckNamedValue(value *driver.NamedValue) error { return s.conn.CheckNamedValue(value) }

// Exec and Query are of a time without contexts; database/sql calls the others.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), namedValues(args))
}
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), namedValues(args))
}

func namedValues(args []driver.Value) []driver.NamedValue {
	named := make([]driver.NamedValue, len(args))
	for index, value := range args {
		named[index] = driver.NamedValue{Ordinal: index + 1, Value: value}
	}
	return named
}

// Transactions

var isolationLevels = map[sql.IsolationLevel]string{
	sql.LevelReadUncommitted: "READ UNCOMMITTED", sql.LevelReadCommitted: "READ COMMITTED",
	sql.LevelRepeatableRead: "REPEATABLE READ", sql.LevelSerializable: "SERIALIZABLE",
}

// Begin is as BeginTx.
func (c *Conn) Begin() (driver.Tx, error) { return c.BeginTx(context.Background(), driver.TxOptions{}) }

// BeginTx begins a transaction. SQLite's are serializable; a read-only one is had there by Options.ReadOnly.
func (c *Conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	statements, err := c.beginStatements(sql.IsolationLevel(options.Isolation), options.ReadOnly)
	if err != nil {
		return nil, err
	}
	for _, statement := range statements {
		if _, err := c.exec(ctx, statement, nil); err != nil {
			return nil, err
		}
	}
	c.txContext = ctx
	return tx{c}, nil
}

func (c *Conn) beginStatements(level sql.IsolationLevel, readOnly bool) ([]string, error) {
	begin := c.options.Begin
	if begin == "" {
		begin = "BEGIN"
	}
	name, isKnown := isolationLevels[level]
	if !isKnown && level != sql.LevelDefault {
		return nil, fmt.Errorf("litebase: there is no isolation level %v", level)
	}
	switch c.Engine {
	case "postgresql":
		if name != "" {
			begin += " ISOLATION LEVEL " + name
		}
		if readOnly {
			begin += " READ ONLY"
		}
		return []string{begin}, nil
	case "mysql":
		var statements []string
		if name != "" {
			statements = append(statements, "SET TRANSACTION ISOLATION LEVEL "+name)
		}
		if readOnly {
			begin = "START TRANSACTION READ ONLY"
		}
		return append(statements, begin), nil
	case "sqlite":
		if level != sql.LevelDefault && level != sql.LevelSerializable {
			return nil, fmt.Errorf("litebase: SQLite's transactions are serializable, not %v", level)
		}
		if readOnly {
			return nil, errors.New("litebase: SQLite has no read-only transactions; connect with ReadOnly")
		}
		return []string{begin}, nil
	}
	return nil, fmt.Errorf("litebase: %s has no transactions that could be rolled back", c.Engine)
}

type tx struct{ conn *Conn }

func (t tx) Commit() error {
	defer t.end()
	if err := t.conn.settle(); err != nil {
		return err
	}
	if t.conn.transaction == "failed" {
		if err := t.Rollback(); err != nil {
			return err
		}
		return &Error{
			Code: "database_error", SQLState: "25P02", StatementIndex: -1, RowIndex: -1,
			Message: "A statement of the transaction has failed: it was rolled back, nothing was committed.",
		}
	}
	_, err := t.conn.exec(context.Background(), "COMMIT", nil)
	if err != nil && t.conn.failure == nil {
		// For database/sql it is over; open, it would keep its locks while the connection waits in the pool.
		_ = t.Rollback()
	}
	return err
}

// end forgets the context, which is of the transaction alone.
func (t tx) end() { t.conn.txContext = nil }

func (t tx) Rollback() error {
	defer t.end()
	if err := t.conn.settle(); err != nil {
		return err
	}
	if t.conn.transaction == "none" {
		return nil // SQLite and MySQL end some by themselves, with the error of a statement.
	}
	_, err := t.conn.exec(context.Background(), "ROLLBACK", nil)
	return err
}

// Results

type outcome struct{ of *result }

func (o outcome) RowsAffected() (int64, error) { return o.of.rowsAffected, nil }
func (o outcome) LastInsertId() (int64, error) {
	if o.of.lastInsertID == nil {
		return 0, errors.New("litebase: the statement has given no id; use RETURNING where the engine has no other way")
	}
	return *o.of.lastInsertID, nil
}

type rows struct{ of *result }

func (r *rows) Columns() []string {
	names := make([]string, len(r.of.columns))
	for index, column := range r.of.columns {
		names[index] = column.name
	}
	return names
}

func (r *rows) Close() error { return r.of.discard() }

func (r *rows) Next(to []driver.Value) error {
	row, err := r.of.nextRow()
	if err != nil {
		return err
	}
	if row == nil {
		return io.EOF
	}
	if len(row) != len(to) {
		return errMalformed
	}
	for index, value := range row {
		to[index] = received(value, r.of.columns[index].kind)
	}
	return nil
}

func (r *rows) HasNextResultSet() bool {
	for !r.of.isComplete && (!r.of.setHasEnded || len(r.of.later) == 0) {
		if r.of.receive() != nil {
			return true // Whoever goes there gets the error.
		}
	}
	return r.of.setHasEnded && len(r.of.later) > 0 && r.of.later[0]["columns"] != nil
}

func (r *rows) NextResultSet() error {
	isThere, err := r.of.nextSet()
	if err != nil {
		return err
	}
	if !isThere {
		return io.EOF
	}
	return nil
}

func (r *rows) ColumnTypeDatabaseTypeName(index int) string { return r.of.columns[index].typeName() }
func (r *rows) ColumnTypeScanType(index int) reflect.Type {
	return scanTypeOf(r.of.columns[index].kind)
}
