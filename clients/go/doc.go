// Package litebase is a driver for the databases that a local LiteBase daemon serves.
//
// Most programs use it through database/sql:
//
//	import (
//		"database/sql"
//
//		_ "github.com/litebase/litebase-go"
//	)
//
//	db, err := sql.Open("litebase", "shop")
//
// The data source name is the name of a database of the daemon's configuration, empty for the caller's default one, or a URL
// with options (see ParseDSN). OpenConnector of Connector takes the same options as a struct.
//
// Placeholders are the engine's: ? and :name (sql.Named) for SQLite, ? for MySQL, $1 for PostgreSQL; for Redis, arguments are
// further words of the command. Contexts are kept by the daemon: when one ends, its statement is stopped there, and the error says
// whether it may have had an effect.
//
// Conn is the connection beneath, for what database/sql has no words for: batches, what is in the database (Catalog, Complete), files
// that the daemon writes (Export, Backup), what changes (Changes), and any request of the protocol. With gives it, as (*sql.Conn).Raw does.
package litebase
