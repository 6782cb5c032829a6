"""Commands that stand within the running text of the documents, each of them judged, too.

They are run as root, one after the other, by Tests/System/test_guides.py, unless a reason says why not.
"""

import re

import examples

PROGRAMS = ("litebase", "litebased", "systemctl", "journalctl", "loginctl", "systemd-sysusers", "systemd-analyze", "ss", "df", "id",
            "runuser", "sqlite3", "echo", "timeout", "apt", "kill", "man", "usermod", "pg_dump", "mariadb-dump", "./shop.py",
            "scripts/demo.sh")

# In this order, on a machine with a database `music` in use and /srv/music made as the guide says.
RUN = [
    "litebase ping", "litebase databases", "litebase status", "litebase status --json", "litebase top", "litebase shell",
    "litebase status --timeout 5", "litebase ping --timeout 5", "systemctl --failed",
    "echo \"VACUUM INTO '/var/lib/litebase/copy.db';\" | sudo litebase shell -d music",
    "sudo litebase config remove-database music --reload",
    "litebased --check-config", "sudo litebased --check-config", "sudo litebase reload",
    "journalctl -u litebase", "journalctl -x -u litebase", "journalctl -u litebase.socket", "journalctl -k",
    "sudo journalctl -u litebase -p warning", "sudo journalctl -u litebase LITEBASE_PEER_UID=1000",
    "journalctl --list-catalog", "journalctl MESSAGE_ID=50dd520d59484ba1bc05481765508bd4",
    "systemctl status systemd-journald", "systemctl cat litebase", "systemctl cat litebase.service",
    "systemctl cat litebase.socket litebase.service", "systemctl show litebase -p NRestarts",
    "systemctl show litebase -p NRestarts,Result", "systemctl show litebase -p BindPaths", "systemctl list-sockets litebase.socket",
    "sudo debconf-show litebase", "ss -xl", "ss -xp | grep litebase.sock", "df -h /var/lib/litebase", "sudo runuser -u litebase -- ls -l /srv/music",
    "systemctl reload litebase", "systemctl restart litebase.service", "sudo systemctl restart litebase.service", "systemctl status litebase", "systemctl daemon-reload",
    "sudo systemctl restart litebase.socket", "sudo loginctl enable-linger alice", "usermod -aG sales alice",
    "sudo systemctl reset-failed litebase.socket; sudo systemctl start litebase.socket",
    "systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload",
    "systemctl stop litebase.service", "sudo systemctl stop litebase.socket litebase.service",
    "systemctl stop litebase.socket litebase.service", "sudo systemctl start litebase.socket",
]

PART = "is no whole command"
NOT_ROOT = "is a user's; the user instance has a section of its own, which runs it"
STAYS = "stays in the foreground"
LEFT_OUT = {
    "sqlite3 -csv": PART, "sqlite3 .import": PART, "sqlite3 .backup": PART, "litebase query --format csv": PART,
    "litebase import --create": PART, "litebase import --atomic": PART, "litebase import -": PART, "litebase restore": PART,
    'litebase = "0.2"': "a line of Cargo.toml", "litebased --database cache=redis://127.0.0.1": STAYS, "kill -9": PART, "systemctl kill": PART, "systemctl --user": PART,
    "sudo systemctl disable litebase-monitor.socket": "for a version that does not have it", "sudo -u alice": PART, "journalctl -x": PART, "systemd-analyze security": PART,
    "litebase ping -d NAME": PART, "litebase cancel": PART, "litebase shell -c": PART, "sudo chown litebase:litebase FILE": PART, "timeout 15 litebase ping -d NAME": PART,
    "litebase config add-database": PART, "litebase query --url": PART, "id -u NAME": PART,
    "systemctl edit litebase.socket": PART, "systemctl edit litebase.service": PART, 'sqlite3 FILE ".backup TARGET"': PART,
    "journalctl --user -u litebase": NOT_ROOT, "systemctl --user enable --now litebase.socket": NOT_ROOT,
    "systemctl --user daemon-reload": NOT_ROOT, "systemctl --user restart litebase.service": NOT_ROOT,
    "litebased --port 5005": STAYS, "litebased --log-level debug": STAYS,
    "apt remove litebase": "Tests/System/test_package.py removes it", "apt purge litebase": "Tests/System/test_package.py purges it",
    "apt purge": PART, "echo 'litebase litebase/purge-databases boolean true' | sudo debconf-set-selections": "Tests/System/test_package.py answers so",
    "pg_dump --create": PART, "pg_dump shop > shop.sql": "Tests/CommandLine/test_dumps.py makes dumps", "litebase query -d shop - < shop.sql": "Tests/CommandLine/test_dumps.py loads dumps",
    "systemctl is-system-running": "says degraded, and fails, in a container",
    "mariadb-dump --routines … | litebase query -d legacy -": "Tests/Protocol/servers/test_mysql_server.py loads dumps",
    "litebase query -d cache SET k v": "Tests/System/test_guides.py has a Redis, and runs the like",
    "./shop.py ddl --engine postgresql | litebase query -d shop -": "its tables are made on the servers of Tests/Protocol/engines/test_sample.py",
    "scripts/demo.sh .build/release bash": "test_examples_run.py::test_the_demonstration",
    "man -l docs/man/litebased.8": "Tests/CommandLine/test_documents.py has every page shown",
    "litebase bench": "the quick start in README.md runs it",
    "litebase bench --transport shared-memory": "Tests/CommandLine/test_bench.py runs it",
    "litebase config": PART, "litebase config test NAME": PART, "systemctl status": PART, "sudo litebase config add-database": PART,
    **dict.fromkeys(["litebase backup -d music music.db", "litebase backup --all /var/backups/litebase --keep 7"],
                    "Tests/CommandLine/test_transfers.py makes copies"),
    "litebase restore music music.db": "Tests/CommandLine/test_transfers.py restores files, and standard input",
    **dict.fromkeys(["systemctl enable --now litebase-backup.timer", "systemctl list-timers litebase-backup.timer"],
                    "the units are examples, which have to be installed first"),
    **dict.fromkeys(["litebase export -d shop -o shop.sql", "litebase query -d copy - < shop.sql", "litebase shell -d copy -f shop.sql"],
                    "Tests/CommandLine/test_server_dumps.py makes and loads dumps"),
    "litebase export --table": PART,
    "litebase export": PART, "litebase import": PART, "litebase copy": PART, "litebase move": PART, "litebase watch": PART,
    "litebase backup": PART, "litebase catalog": PART,
    "litebase watch shop --channel changes": "Tests/CommandLine/test_watch.py has it run, and it does not end by itself", "pg_dump -Fc": PART, "mariadb-dump --single-transaction": PART,
    "sudo systemctl edit litebase.service": PART, "sqlite3 -json": PART, "systemd-analyze verify": PART,
}


def within(document):
    """Commands in a document's running text: a program with an argument."""
    for piece in examples.inline(document):
        words = re.sub(r"^sudo ", "", piece).split()
        if len(words) > 1 and (words[0].rstrip(";") in PROGRAMS or piece.startswith("sudo ")):
            yield piece
