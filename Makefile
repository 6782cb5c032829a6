# What developers and CI call. `make help` lists the verbs.

PREFIX  ?= /usr/local
DESTDIR ?=
BIN      = .build/release
VENV     = .venv

.PHONY: help build run test unit blackbox clients system power-loss deb check-deb bench bench-compare bench-servers fuzz fuzz-protocol sanitize fmt lint install clean dependencies

.DEFAULT_GOAL := help

help:
	@echo "make run       install what is missing, build, and show LiteBase at work"
	@echo "make test      install what is missing, and pass all tests"
	@echo "make build     build litebased and litebase ($(BIN))"
	@echo "make unit      Swift tests only;   make blackbox   tests of the built programs only"
	@echo "make clients   linters and tests of the drivers for other languages (clients/)"
	@echo "make system    tests of the package on a booted Debian (root; SCALE=0.1 for a tenth of the rounds)"
	@echo "make power-loss   cut the power under a daemon that writes (root, /dev/fuse, loop devices; ROUNDS=1000 SEED=)"
	@echo "make deb       build the Debian package (.build/deb);   make check-deb   lintian, hardening, reproducibility"
	@echo "make bench     compare with Redis, PostgreSQL, MariaDB and sqlite3 (QUICK=1: fewer repetitions)"
	@echo "make bench-compare   the whole table of docs/performance.md, with the costs of the hot path against their thresholds"
	@echo "make bench-servers   the pool before PostgreSQL, MariaDB and Redis, beside PgBouncer, psql and mariadb (QUICK=1: fewer repetitions)"
	@echo "make fuzz      fuzz the parsers (SECONDS=60 for each)"
	@echo "make fuzz-protocol   fuzz a running daemon (SECONDS=60, SEED= for a former run's)"
	@echo "make sanitize  all tests with address sanitizer, then with thread sanitizer"
	@echo "make fmt lint  format, check the format"
	@echo "make install   DESTDIR= PREFIX=/usr/local"

dependencies:
	@scripts/install-dependencies.sh build

# RELEASE, and the rule for STATIC
include release.mk

build: dependencies $(STATIC)
	swift build $(RELEASE) --product litebased
	swift build $(RELEASE) --product litebase

run: build
	@scripts/demo.sh $(BIN)

test: lint unit blackbox clients power-loss system
	@echo "all tests passed"

unit: dependencies
	swift test --parallel

# Two files at a time, since most of them wait for most of their time; then those that measure.
PYTEST = LITEBASED=$(CURDIR)/$(BIN)/litebased LITEBASE=$(CURDIR)/$(BIN)/litebase $(VENV)/bin/python -m pytest -q
blackbox: build $(VENV)/ready
	$(PYTEST) -n 2 --dist loadfile -m "not alone" Tests/Protocol Tests/CommandLine Tests/Documents
	$(PYTEST) -m alone Tests/Protocol

clients: build $(VENV)/ready
	cd clients/python && $(CURDIR)/$(VENV)/bin/ruff check . && $(CURDIR)/$(VENV)/bin/ruff format --check . && $(CURDIR)/$(VENV)/bin/mypy
	$(PYTEST) clients/python

# Boots a container, which only root can; then another one for the guides, which install and set up what they speak of.
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo )
system:
	$(AS_ROOT)env LITEBASE_TEST_SCALE=$(or $(SCALE),1) PATH="$$PATH" scripts/system-test.sh --ignore=Tests/System/test_guides.py
	$(AS_ROOT)env LITEBASE_DEB="$$(ls $(CURDIR)/.build/deb/litebase_*.deb)" PATH="$$PATH" scripts/system-test.sh -k test_guides

# Status 77: something that the machine lacks, which it names. The two short runs prove that a loss would be seen.
ROUNDS ?= 20
power-loss: build
	@scripts/install-dependencies.sh power-loss
	@export LITEBASED=$(CURDIR)/$(BIN)/litebased; $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=LITEBASED )sh -c '\
		for what in "--rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))" "--rounds 2 --must-lose daemon" "--rounds 2 --must-lose disk"; do \
			python3 Tests/PowerLoss/power_loss.py $$what || { status=$$?; test $$status = 77 && exit 0; exit $$status; }; \
		done'

deb:
	scripts/build-deb.sh

check-deb: deb
	@scripts/install-dependencies.sh package-check
	scripts/check-deb.sh
	scripts/check-reproducible.sh .build/deb

$(VENV)/ready: Tests/Protocol/requirements.txt clients/python/requirements-dev.txt
	@scripts/install-dependencies.sh test
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet $(addprefix -r ,$^)
	@touch $@

bench: build
	python3 Benchmarks/run.py $(if $(QUICK),--quick)

bench-compare: build deb
	python3 Benchmarks/run.py --document $(if $(QUICK),--quick)
	python3 Benchmarks/run.py --check

bench-servers: build
	python3 Benchmarks/servers.py --document $(if $(QUICK),--quick)

SECONDS ?= 60
fuzz: dependencies
	FuzzTesting/run.sh $(SECONDS)

fuzz-protocol: build $(VENV)/ready
	LITEBASED=$(CURDIR)/$(BIN)/litebased $(VENV)/bin/python Tests/Protocol/fuzz_run.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

sanitize: dependencies $(VENV)/ready
	scripts/sanitize.sh address
	scripts/sanitize.sh thread

fmt: 
	swift format -i -r Package.swift Sources Tests FuzzTesting

lint:
	swift format lint --strict -r Package.swift Sources Tests FuzzTesting

install:
	install -D -m 755 $(BIN)/litebased $(DESTDIR)$(PREFIX)/bin/litebased
	install -D -m 755 $(BIN)/litebase $(DESTDIR)$(PREFIX)/bin/litebase
	install -D -m 644 docs/litebase.toml.example $(DESTDIR)$(PREFIX)/share/doc/litebase/litebase.toml.example
	install -D -m 644 docs/man/litebased.8 $(DESTDIR)$(PREFIX)/share/man/man8/litebased.8
	install -D -m 644 docs/man/litebase.1 $(DESTDIR)$(PREFIX)/share/man/man1/litebase.1
	install -D -m 644 docs/man/litebase-protocol.7 $(DESTDIR)$(PREFIX)/share/man/man7/litebase-protocol.7
	install -D -m 644 docs/man/litebase.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5/litebase.toml.5

clean:
	rm -rf .build $(VENV) FuzzTesting/.build
