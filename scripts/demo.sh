#!/bin/sh
# The main job on real data: a daemon of its own on a fresh database, the country and language codes of Debian's
# iso-codes loaded into it, and questions by `litebase` and by `nc`.
#
#   scripts/demo.sh [DIRECTORY OF THE PROGRAMS]
#   scripts/demo.sh DIRECTORY COMMAND...            runs that command with it instead of asking: a shell, to ask yourself
set -eu

bin=$(realpath "${1:-.build/release}")
[ $# -eq 0 ] || shift
work=$(mktemp -d)
export LITEBASE_SOCKET="$work/litebase.sock"
# Also root's, which would be /var/lib/litebase.
export STATE_DIRECTORY="$work/state" XDG_STATE_HOME="$work/state"
daemon=""
cleanup() {
    [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon"; } || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

show() { printf '\n$ %s\n' "$*"; }
[ $# -eq 0 ] || exec 3>&1 >/dev/null

show litebased --socket "$LITEBASE_SOCKET" --database "world=$work/world.db"
"$bin/litebased" --listen standalone --socket "$LITEBASE_SOCKET" --database "world=$work/world.db" &
daemon=$!
tries=0
until "$bin/litebase" ping -c 1 >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "the daemon does not answer" >&2; exit 1; }
    sleep 0.05
done

show litebase ping -c 3
"$bin/litebase" ping -c 3 -i 0.1

json=/usr/share/iso-codes/json
"$bin/litebase" query --database world - >/dev/null <<'SQL'
CREATE TABLE country(code TEXT PRIMARY KEY, name TEXT NOT NULL, official TEXT, flag TEXT) STRICT;
CREATE TABLE subdivision(code TEXT PRIMARY KEY, country TEXT REFERENCES country, name TEXT, type TEXT) STRICT;
CREATE TABLE currency(code TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT;
SQL
show "litebase query … # loads $json/iso_3166-1.json, iso_3166-2.json, iso_4217.json"
python3 - "$LITEBASE_SOCKET" "$json" <<'PY'
import json, socket, sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
lines = connection.makefile("rw", encoding="utf-8")


def rows(name, key, *columns):
    with open(f"{sys.argv[2]}/{name}.json", encoding="utf-8") as file:
        return [[entry.get(column) for column in columns] for entry in json.load(file)[key]]


statements = [
    ("INSERT INTO country VALUES (?,?,?,?)", rows("iso_3166-1", "3166-1", "alpha_2", "name", "official_name", "flag")),
    ("INSERT INTO subdivision VALUES (?1, substr(?1, 1, 2), ?2, ?3)", rows("iso_3166-2", "3166-2", "code", "name", "type")),
    ("INSERT INTO currency VALUES (?,?)", rows("iso_4217", "4217", "alpha_3", "name")),
]
request = {"id": "load", "type": "batch", "data": {"database": "world", "statements": [
    {"sql": sql, "param_rows": values} for sql, values in statements]}}
lines.write(json.dumps(request) + "\n")
lines.flush()
reply = json.loads(lines.readline())
if reply["type"] == "error":
    sys.exit(reply["data"]["message"])
for (sql, _), result in zip(statements, reply["data"]["results"]):
    print(f'{result["rows_affected"]:6} rows: {sql}')
PY

if [ $# -gt 0 ]; then
    PATH="$bin:$PATH" "$@" >&3 3>&-
    exit
fi

sql="SELECT flag, name, (SELECT count(*) FROM subdivision s WHERE s.country = c.code) AS subdivisions
      FROM country c ORDER BY subdivisions DESC LIMIT 5"
show litebase query --database world "\"$sql\""
"$bin/litebase" query --database world --format table "$sql"

show litebase query --database world --format csv "\"SELECT * FROM currency WHERE name LIKE ?\"" "'%Franc%'"
"$bin/litebase" query --database world --format csv "SELECT * FROM currency WHERE name LIKE ?" '%Franc%'

line='{"id":1,"type":"query","data":{"database":"world","sql":"SELECT name FROM country WHERE code = ?","params":["IS"]}}'
show "echo '$line' | nc -NU \$LITEBASE_SOCKET"
echo "$line" | nc -NU "$LITEBASE_SOCKET"

show litebase query --database world "\"SELEC 1\""
"$bin/litebase" query --database world "SELEC 1" || true

show litebase status
"$bin/litebase" status
