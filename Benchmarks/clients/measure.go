// One measurement of clients.py, of a driver for Go: `measure DRIVER rows TARGET ROWS SELECTS`; prints JSON.
//
// DRIVER: litebase, sqlite3 (github.com/mattn/go-sqlite3), postgres (github.com/lib/pq).
package main

import (
	"database/sql"
	"encoding/json"
	"log"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	_ "github.com/lib/pq"
	_ "github.com/litebase/litebase-go"
	_ "github.com/mattn/go-sqlite3"
)

const all = "SELECT id, number, name, price, text FROM item"

type item struct {
	id, number int64
	name, text string
	price      float64
}

func (i *item) places() []any { return []any{&i.id, &i.number, &i.name, &i.price, &i.text} }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	driver, target := os.Args[1], os.Args[3]
	count, err := strconv.ParseInt(os.Args[4], 10, 64)
	check(err)
	selects, err := strconv.ParseInt(os.Args[5], 10, 64)
	check(err)
	db, err := sql.Open(driver, target)
	check(err)
	db.SetMaxOpenConns(1)
	one := all + " WHERE id = ?"
	if driver == "postgres" || strings.HasPrefix(target, "pg") {
		one = all + " WHERE id = $1"
	}
	taken := make([]float64, selects)
	for number := range taken {
		key := int64(number) * 7919 % count
		var found item
		began := time.Now()
		check(db.QueryRow(one, key).Scan(found.places()...))
		taken[number] = float64(time.Since(began).Nanoseconds()) / 1e3
		if found.id != key {
			log.Fatal(found)
		}
	}
	sort.Float64s(taken)
	began := time.Now()
	rows, err := db.Query(all)
	check(err)
	var seen int64
	for rows.Next() {
		var found item
		check(rows.Scan(found.places()...))
		seen++
	}
	check(rows.Err())
	seconds := time.Since(began).Seconds()
	if seen != count {
		log.Fatal(seen, " rows")
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]float64{"point_us": taken[selects/2], "seconds": seconds}))
}
