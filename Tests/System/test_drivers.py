"""The packages of the drivers for other languages, beside litebase's own: a member of the group follows the guide that came with
each, with Debian's own Python, Node, Go and Rust. What the drivers can is tested where they are (clients)."""

import contextlib
import re

from conftest import install

APT = ["DEBIAN_FRONTEND=noninteractive"]
PROGRAM = "/home/member/program"


@contextlib.contextmanager
def driver(machine, package):
    """Installs the package, and afterwards nothing of it is left; in the block: its guide."""
    path = machine.deb.with_name(f"{package}_{machine.deb.name.split('_')[1]}_all.deb")
    machine.copy_in(path, "/root/driver.deb")
    install(machine, "/root/driver.deb")
    own = [path for path in machine.output("dpkg", "-L", package).splitlines() if re.search("litebase", path)]
    try:
        assert machine.output("dpkg", "--verify", package) == ""
        machine.run("install", "-d", "-o", "member", PROGRAM)
        [document] = [path for path in own if path.endswith(".md.gz") and path.startswith("/usr/share/doc/")]
        yield machine.output("zcat", document)
    finally:
        machine.run("litebase", "query", "DROP TABLE IF EXISTS city", user="member", check=False)
        machine.remove(PROGRAM)
        machine.run("apt-get", "purge", "-y", "-q", package, environment=APT)
    assert [path for path in own if machine.path(path).exists()] == []


def examples(guide, language):
    return re.findall(rf"^```{language}\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)


def command(guide, begin):
    """The first command of the guide that begins so."""
    return next(line[2:] for line in guide.splitlines() if line.startswith(f"$ {begin}"))


def runs(machine, *words, user="member"):
    return machine.run("sh", "-c", 'cd "$0"; exec "$@"', PROGRAM, *words, user=user, check=False, timeout=300)


def follow(machine, *words, prints):
    """What the guide shows, for a member; the data is the daemon's; and others are told that they may not."""
    done = runs(machine, *words)
    assert (done.returncode, done.stdout) == (0, prints), done
    assert "Oslo,717710" in machine.output("litebase", "query", "SELECT * FROM city", "--format", "csv", user="member")
    refused = runs(machine, *words, user="stranger")
    # As the language tells an error that ends a program: with its class, or by its text.
    assert refused.returncode == 1 and re.search("Permission|is not open to you", refused.stderr), refused


def test_python(machine):
    with driver(machine, "python3-litebase") as guide:
        connect, query, *_ = examples(guide, "python")
        machine.write(f"{PROGRAM}/program.py", connect + query + "db.commit()\n")
        version = machine.output("litebase", "query", "SELECT sqlite_version()", "--format", "csv", user="member").split()[-1]
        follow(machine, "python3", "-I", "program.py",
               prints=f"sqlite {version}\n('Bergen', 294029)\n['name', 'people'] [('Oslo', 717710)]\n")
        # SQLAlchemy finds the dialects by these, and is not here itself.
        dialects = machine.output("python3", "-I", "-c", "from importlib.metadata import entry_points\n"
                                  "print(*(e.name for e in entry_points(group='sqlalchemy.dialects')))", user="member")
        assert {"sqlite.litebase", "postgresql.litebase_async", "mysql.litebase", "mariadb.litebase"} <= set(dialects.split())


def test_node(machine):
    with driver(machine, "node-litebase") as guide:
        connect, query, *_ = examples(guide, "ts")
        machine.write(f"{PROGRAM}/program.mjs", connect + query)
        assert f"`{(link := 'ln -s /usr/share/nodejs node_modules')}`" in guide
        runs(machine, *link.split())
        follow(machine, "node", "program.mjs", prints="".join(examples(guide, "output")[:2]))
        required = runs(machine, "node", "-e", "console.log(typeof require('litebase').connect)")
        assert required.stdout == "function\n", required


def test_go(machine):
    """By the place in go.mod, and, as packages are built, by GOPATH."""
    with driver(machine, "golang-github-litebase-litebase-go-dev") as guide:
        connect, query, *_ = examples(guide, "go")
        main = connect.rstrip().removesuffix("}")
        program = f"{main}\tif err := query(db); err != nil {{\n\t\tlog.Fatal(err)\n\t}}\n}}\n\nfunc query(db *sql.DB) error {{\n{query}return nil\n}}\n"
        machine.write(f"{PROGRAM}/main.go", program)
        assert runs(machine, *command(guide, "go mod init").split()).returncode == 0
        assert runs(machine, *command(guide, "go mod edit").split()).returncode == 0
        built = runs(machine, "env", "GOPROXY=off", "go", "build")
        assert built.returncode == 0, built
        follow(machine, "./program", prints="connected\n" + examples(guide, "output")[0])
        [gopath] = set(re.findall("`(GOPATH=[^`]*)`", guide))
        built = runs(machine, "env", "GO111MODULE=off", gopath, "go", "build", "-o", "packaged", ".")
        assert built.returncode == 0, built


def test_rust(machine):
    """By the place in Cargo.toml, and, as packages are built, by a version out of Debian's directory of crates."""
    with driver(machine, "librust-litebase-dev") as guide:
        [dependency], (connect, query, *_) = examples(guide, "toml"), examples(guide, "rust")
        [path] = re.findall("the path is `([^`]*)`", guide)
        head = '[package]\nname = "program"\nversion = "0.1.0"\nedition = "2021"\n\n'
        machine.write(f"{PROGRAM}/Cargo.toml", head + dependency.replace("/path/to/litebase/clients/rust", path))
        machine.write(f"{PROGRAM}/src/main.rs", "#![allow(unused_imports)]\n" + connect.replace("    Ok(())\n", f"{query}\nOk(())\n"))
        built = runs(machine, "cargo", "build", "--offline", "--quiet")
        assert (built.returncode, built.stderr) == (0, ""), built
        follow(machine, "target/debug/program", prints="".join(examples(guide, "output")[:2]))
        [version] = re.findall('write `(litebase = "[^`]*)`', guide)
        machine.write(f"{PROGRAM}/Cargo.toml", f"{head}[dependencies]\n{version}\n")
        machine.write(f"{PROGRAM}/.cargo/config.toml", '[source.crates-io]\nreplace-with = "debian"\n'
                      '[source.debian]\ndirectory = "/usr/share/cargo/registry"\n')
        found = runs(machine, "cargo", "tree", "--offline", "--prefix", "none")
        assert re.search(r"^litebase v0\.", found.stdout, re.MULTILINE), found
