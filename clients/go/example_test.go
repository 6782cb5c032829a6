package litebase_test

import (
	"database/sql"
	"fmt"
	"log"

	_ "github.com/litebase/litebase-go"
)

func Example() {
	db, err := sql.Open("litebase", "litebase:?url=sqlite%3A%3Amemory%3A")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT value FROM json_each(?)", `["Oslo","Bergen"]`)
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var city string
		if err := rows.Scan(&city); err != nil {
			log.Fatal(err)
		}
		fmt.Println(city)
	}
	if err := rows.Err(); err != nil {
		log.Fatal(err)
	}
}
