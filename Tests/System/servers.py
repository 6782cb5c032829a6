"""Debian's database servers inside the machine, each as its package leaves it."""

from machine import wait_until

REDIS_CONF = "/etc/redis/redis.conf"
STOCK = "/root/redis.conf.of-the-package"
# MariaDB's is started by its socket, too.
UNITS = {"postgresql": ("postgresql.service", "postgresql@15-main.service"), "mariadb": ("mariadb.socket", "mariadb.service"),
         "redis": ("redis-server.service",)}
POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "psql", "-qXd", "postgres", "-c")


def stop(machine, name):
    machine.systemctl("stop", *UNITS[name], check=False)


def start(machine, name):
    machine.systemctl("start", *UNITS[name])
    wait_until(lambda: answers(machine, name), f"{name} answers")


def restart(machine, name):
    machine.systemctl("restart", UNITS[name][-1])


def answers(machine, name):
    asked = {"postgresql": (*POSTGRES, "SELECT 1"), "mariadb": ("mariadb", "-e", "SELECT 1"), "redis": ("pgrep", "-x", "redis-server")}
    return machine.run(*asked[name], check=False).returncode == 0


def make_stock(machine, name):
    """The server runs, and nothing is left of what a guide or a test has set up for LiteBase."""
    if name == "redis":
        stop(machine, name)
        if not machine.path(STOCK).exists():
            machine.run("cp", "-p", REDIS_CONF, STOCK)
        machine.run("cp", "-p", STOCK, REDIS_CONF)
        machine.remove("/etc/systemd/system/redis-server.service.d", "/etc/tmpfiles.d/redis-tmpfiles.conf", "/run/redis")
        machine.run("gpasswd", "-d", "litebase", "redis", check=False)
        machine.systemctl("daemon-reload")
    start(machine, name)
    if name == "postgresql":
        for statement in ("DROP DATABASE IF EXISTS shop", "DROP ROLE IF EXISTS litebase", "DROP ROLE IF EXISTS away"):
            machine.run(*POSTGRES, statement)
    if name == "mariadb":
        machine.run("mariadb", "-e", "DROP DATABASE IF EXISTS shop; DROP USER IF EXISTS litebase@localhost; DROP USER IF EXISTS away@'%'")
