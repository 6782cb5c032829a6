package litebase

import (
	"errors"
	"strings"
	"time"
)

// Codes of errors that this driver finds itself, beside those of docs/errors.md.
const (
	codeConnectionLost = "connection_lost"
	codeUntrusted      = "untrusted"
)

// What a program may want to handle, for errors.Is. Of the first four, nothing of the request took effect.
var (
	// ErrConnectionLost: the connection or the session ended, or there was none.
	ErrConnectionLost = errors.New("litebase: the connection is lost")
	// ErrBusy: somebody else has a lock or a place, and did not give it up in time; Error.Holder says who.
	ErrBusy = errors.New("litebase: busy")
	// ErrCancelled: the statement was stopped and changed nothing.
	ErrCancelled = errors.New("litebase: cancelled")
	// ErrTimeout: the statement took longer than it may, and changed nothing.
	ErrTimeout = errors.New("litebase: timeout")
	// ErrOutcomeUnknown: it is not known whether the request took effect. Look before doing it again.
	ErrOutcomeUnknown = errors.New("litebase: outcome unknown")
	// ErrConstraint: a constraint does not hold; Error.SQLState says which kind.
	ErrConstraint = errors.New("litebase: constraint violation")
	// ErrReadOnly: the caller, the connection or the database may only read.
	ErrReadOnly = errors.New("litebase: read only")
	// ErrPermission: the caller's Unix user may not do this.
	ErrPermission = errors.New("litebase: permission denied")
	// ErrUntrusted: who listens at the socket is not trusted. Nothing was sent to him.
	ErrUntrusted = errors.New("litebase: untrusted daemon")
)

var kinds = map[string]error{
	codeConnectionLost: ErrConnectionLost, "session_not_found": ErrConnectionLost, "shutting_down": ErrConnectionLost,
	"connect_failed": ErrConnectionLost, "busy": ErrBusy, "cancelled": ErrCancelled, "timeout": ErrTimeout,
	"outcome_unknown": ErrOutcomeUnknown, "constraint_violation": ErrConstraint, "read_only": ErrReadOnly,
	"permission_denied": ErrPermission, codeUntrusted: ErrUntrusted,
}

// Position is where in the statement an error is; Line and Column are from 1, Offset in bytes from 0.
type Position struct{ Offset, Line, Column int64 }

// Holder is who has what was waited for.
type Holder struct {
	UID, PID int64
	Since    time.Duration
}

// Limit is the limit that was reached.
type Limit struct {
	Name             string
	Value, Used, UID int64
}

// Error is what the daemon, or this driver, says of a request that failed. What is not known is empty.
type Error struct {
	// Code is one of docs/errors.md, or "connection_lost" or "untrusted" of this driver.
	Code    string
	Message string
	Hint    string
	Detail  string
	// SQLState and VendorCode (SQLite's extended code, MySQL's errno) are the database's.
	SQLState   string
	VendorCode int64
	Position   *Position
	// StatementIndex and RowIndex are where a batch failed, both from 0; -1 where that is not known.
	StatementIndex, RowIndex int64
	// Retryable: the same request may succeed later, after RetryAfter.
	Retryable  bool
	RetryAfter time.Duration
	Holder     *Holder
	Limit      *Limit

	cause error
}

// Error is the message, with the hint behind it.
func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + " " + e.Hint
	}
	return e.Message
}

// Is makes errors.Is true for the kind of the error, such as ErrBusy.
func (e *Error) Is(target error) bool { return kinds[e.Code] == target && target != nil }

// Unwrap gives the cause: the context's error of what it stopped, the system's of a lost connection.
func (e *Error) Unwrap() error { return e.cause }

func textOf(data map[string]any, key string) string {
	text, _ := data[key].(string)
	return text
}

func numberOf(data map[string]any, key string, otherwise int64) int64 {
	if number, isNumber := data[key].(int64); isNumber {
		return number
	}
	return otherwise
}

func millisecondsOf(data map[string]any, key string) time.Duration {
	return time.Duration(numberOf(data, key, 0)) * time.Millisecond
}

// inWordsOfGo replaces what hints have of the protocol's words.
var inWordsOfGo = strings.NewReplacer("timeout_ms", "Options.Timeout", "db_connect", "db.Conn", "db_disconnect", "Conn.Close")

// errorOf makes an error of the data of an `error` reply.
func errorOf(data map[string]any) *Error {
	found := &Error{
		Code: textOf(data, "code"), Message: textOf(data, "message"), Hint: inWordsOfGo.Replace(textOf(data, "hint")), Detail: textOf(data, "detail"),
		SQLState: textOf(data, "sqlstate"), VendorCode: numberOf(data, "vendor_code", 0),
		StatementIndex: numberOf(data, "statement_index", -1), RowIndex: numberOf(data, "row_index", -1),
		RetryAfter: millisecondsOf(data, "retry_after_ms"),
	}
	found.Retryable, _ = data["retryable"].(bool)
	if place, isThere := data["position"].(map[string]any); isThere {
		found.Position = &Position{numberOf(place, "offset", 0), numberOf(place, "line", 0), numberOf(place, "column", 0)}
	}
	if holder, isThere := data["holder"].(map[string]any); isThere {
		found.Holder = &Holder{numberOf(holder, "uid", -1), numberOf(holder, "pid", 0), millisecondsOf(holder, "since_ms")}
	}
	if limit, isThere := data["limit"].(map[string]any); isThere {
		found.Limit = &Limit{
			textOf(limit, "name"), numberOf(limit, "value", 0), numberOf(limit, "used", 0), numberOf(limit, "uid", -1),
		}
	}
	return found
}
