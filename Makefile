# What developers and CI call. `make help` lists the verbs.

PREFIX  ?= /usr/local
DESTDIR ?=
BIN      = .build/release
VENV     = .venv

.PHONY: help build profile counting run test check unit unit-programs quick blackbox measured clients clients-suite venv machine system power-loss deb check-deb bench bench-compare bench-servers bench-clients bench-transfers fuzz fuzz-protocol sanitize fmt lint install clean dependencies

.DEFAULT_GOAL := help

help:
	@echo "make run       install what is missing, build, and show LiteBase at work"
	@echo "make test      install what is missing, and pass all tests; logs are in .build/test"
	@echo "make check     the quick part of them, before each commit"
	@echo "make build     build litebased and litebase ($(BIN))"
	@echo "make unit      Swift tests only;   make blackbox, make measured   tests of the built programs only (K= what pytest -k selects)"
	@echo "make clients   linters and tests of the drivers for other languages (clients/);   make clients-suite   SQLAlchemy's suite, whole"
	@echo "make system    tests of the package on a booted Debian (root; SCALE=0.1 for a tenth of the rounds)"
	@echo "make power-loss   cut the power under a daemon that writes (root, /dev/fuse, loop devices; ROUNDS=1000 SEED=)"
	@echo "make deb       build the Debian package (.build/deb);   make check-deb   lintian, hardening, reproducibility"
	@echo "make bench     compare with Redis, PostgreSQL, MariaDB and sqlite3 (QUICK=1: fewer repetitions)"
	@echo "make bench-compare   the whole table of docs/performance.md, with the costs of the hot path against their thresholds"
	@echo "make bench-servers   the pool before PostgreSQL, MariaDB and Redis, beside PgBouncer, psql and mariadb (QUICK=1: fewer repetitions)"
	@echo "make bench-transfers   export, import, Arrow and backup beside the usual tools, and the memory of long ones (QUICK=1: fewer repetitions)"
	@echo "make bench-clients   each language's driver beside the usual direct one, and goals 17 and 18 (QUICK=1: fewer repetitions)"
	@echo "make profile   renew what the compiler knows of the daemon's work (packaging/litebased.profdata)"
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

# What the compiler is told of the daemon's work; `make build` has to begin anew behind it. (By swiftc itself the flags have no effect.)
COUNTING = -Xfrontend -ir-profile-generate=$(CURDIR)/.build/counted -Xclang-linker -fprofile-instr-generate
profile: dependencies $(STATIC) $(VENV)/ready
	$(MAKE) counting PROFILE_FLAGS="$(COUNTING)"
	$(VENV)/bin/python scripts/make-profile.py .build/counting/release/litebased

counting:
	swift build $(RELEASE) --scratch-path .build/counting --product litebased

run: build
	@scripts/demo.sh $(BIN)

# Each of its stages is a target below, and can be called by itself. Which of them there are, and in which order: --list.
test:
	@scripts/install-dependencies.sh build test package system power-loss
	@WHOLE=1 python3 scripts/run-tests.py

# What is quick of them: all Swift tests, and most of the black-box tests that need no database server.
check: build $(VENV)/ready
	@python3 scripts/run-tests.py lint unit quick

# The build of the Swift tests. WHOLE: each module at once, which takes a fresh clone two thirds of the processor time; in a directory of
# its own, since a later build is as long as the first one and would take the place of one that compiles only what has changed.
# (With threads there is an object for each file, as SwiftPM wants to link them.)
SWIFT_TESTS = $(if $(WHOLE),--scratch-path .build/whole -Xswiftc -whole-module-optimization -Xswiftc -num-threads -Xswiftc 2)

unit: dependencies
	swift test --parallel $(SWIFT_TESTS)

# Compiles them, beside what must not wait for it. (SwiftPM gives its compilers a niceness of their own.)
unit-programs: dependencies
	chrt --idle 0 swift build --build-tests $(SWIFT_TESTS)

# Python compiles what it imports once, and not in each of the tests' processes again, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

# The programs under test: those of this tree's release build, or those in PROGRAMS.
TESTED   = $(if $(PROGRAMS),,build)
PROGRAMS_DIRECTORY = $(abspath $(or $(PROGRAMS),$(BIN)))
UNDER_TEST = LITEBASED=$(PROGRAMS_DIRECTORY)/litebased LITEBASE=$(PROGRAMS_DIRECTORY)/litebase
RUN_TESTS = $(VENV)/bin/python -m pytest -q --durations=15 $(if $(K),-k "$(K)")
PYTEST   = $(UNDER_TEST) $(RUN_TESTS)
# A few tests that fail get a second chance, alone, and are named.
PASS     = $(UNDER_TEST) python3 scripts/pass-tests.py $(RUN_TESTS)

BLACKBOX_TESTS = Tests/Protocol Tests/CommandLine Tests/Documents

# Several files at a time, since most of them wait for most of their time. (`make test` runs `measured` when the others have ended.)
blackbox: $(TESTED) $(VENV)/ready
	@# What pytest makes of the tests is kept; its workers would all make it at the same time. (Errors are told by the run.)
	@test -e $(VENV)/compiled || { $(PYTEST) --collect-only $(BLACKBOX_TESTS) >/dev/null 2>&1; touch $(VENV)/compiled; }
	$(PASS) -n 3 --dist loadfile -m "not alone" $(BLACKBOX_TESTS)

QUICK_TESTS = $(addprefix Tests/Protocol/,requests sessions sqlite access process) Tests/CommandLine Tests/Documents
quick: $(TESTED) $(VENV)/ready
	$(PASS) -n 3 --dist loadfile -m "not alone and not slow" $(QUICK_TESTS)

# What measures time: nothing else may run beside it. (Only files that have such tests are read.)
measured: $(TESTED) $(VENV)/ready
	$(PASS) -m alone $$(grep -rl --include='test_*.py' 'mark\.alone' Tests/Protocol | sort)

clients: $(TESTED) $(VENV)/ready
	cd clients/python && $(CURDIR)/$(VENV)/bin/ruff check . && $(CURDIR)/$(VENV)/bin/ruff format --check . && $(CURDIR)/$(VENV)/bin/mypy
	$(PASS) clients/python
	$(PYTEST) clients/go
	$(PYTEST) clients/node
	$(PYTEST) clients/rust

# The whole of SQLAlchemy's suite for dialects, of which `clients` runs a part: fifteen minutes. Then that of Debian's SQLAlchemy, which
# is another one, and what else is tested of dialects with it.
SQLALCHEMY_1_4 = $(VENV)/sqlalchemy-1.4
clients-suite: $(TESTED) $(VENV)/ready $(SQLALCHEMY_1_4)/ready
	LITEBASE_WHOLE_SUITE=1 $(PYTEST) clients/python/tests/test_sqlalchemy_suite.py
	cd clients/python && LITEBASE_WHOLE_SUITE=1 $(UNDER_TEST) $(CURDIR)/$(SQLALCHEMY_1_4)/bin/python -m pytest -q --durations=15 \
		$(if $(K),-k "$(K)") tests/test_sqlalchemy*.py tests/test_alembic.py

$(SQLALCHEMY_1_4)/ready: clients/python/requirements-sqlalchemy-1.4.txt $(VENV)/ready
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet -r $<
	@touch $@

# Boots a container, which only root can, with the package of `make deb`. MARK: what pytest -m selects; `make test` has two halves.
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo )
machine:
	@scripts/install-dependencies.sh system
	$(AS_ROOT)scripts/system-root.sh

system: $(if $(BUILT),,deb)
	$(AS_ROOT)env LITEBASE_TEST_SCALE=$(or $(SCALE),1) LITEBASE_DEB="$$(ls $(CURDIR)/.build/deb/litebase_*.deb)" PATH="$$PATH" \
		LITEBASE_TEST_RESULTS="$(CURDIR)/.build/system-test$(if $(MARK),/$(subst $() ,-,$(MARK)))" \
		scripts/system-test.sh --durations=15 $(if $(MARK),-m "$(MARK)") $(if $(K),-k "$(K)")

# Status 77: something that the machine lacks, which it names. The two short runs prove that a loss would be seen.
ROUNDS ?= 20
power-loss: $(TESTED)
	@scripts/install-dependencies.sh power-loss
	@export LITEBASED=$(PROGRAMS_DIRECTORY)/litebased; $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=LITEBASED )sh -c '\
		for what in "--rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))" "--rounds 2 --must-lose daemon" "--rounds 2 --must-lose disk"; do \
			python3 Tests/PowerLoss/power_loss.py $$what || { status=$$?; test $$status = 77 && exit 0; exit $$status; }; \
		done'

deb:
	scripts/build-deb.sh

check-deb: deb
	@scripts/install-dependencies.sh package-check
	scripts/check-deb.sh
	scripts/check-reproducible.sh .build/deb

venv: $(VENV)/ready

$(VENV)/ready: Tests/requirements.txt clients/python/requirements-dev.txt
	@scripts/install-dependencies.sh test
	python3 -m venv $(VENV)
	@# What is imported is compiled then: most of 800 MB never is.
	$(VENV)/bin/pip install --quiet --no-compile $(addprefix -r ,$^)
	@touch $@

bench: build
	python3 Benchmarks/run.py $(if $(QUICK),--quick)

bench-compare: build deb
	python3 Benchmarks/run.py --document $(if $(QUICK),--quick)
	python3 Benchmarks/run.py --check

bench-servers: build
	python3 Benchmarks/servers.py --document $(if $(QUICK),--quick)

# Installs the other drivers (root), of which one that cannot be is named and left out: half an hour on a quiet machine.
bench-clients: $(TESTED) $(VENV)/bench
	$(UNDER_TEST) $(VENV)/bin/python Benchmarks/clients.py --document $(if $(QUICK),--quick)

bench-transfers: build $(VENV)/ready
	$(VENV)/bin/python Benchmarks/transfers.py --document $(if $(QUICK),--quick)

$(VENV)/bench: Benchmarks/requirements.txt $(VENV)/ready
	$(VENV)/bin/pip install --quiet -r $<
	@touch $@

SECONDS ?= 60
fuzz: dependencies
	FuzzTesting/run.sh $(SECONDS)

fuzz-protocol: build $(VENV)/ready
	LITEBASED=$(CURDIR)/$(BIN)/litebased $(VENV)/bin/python Tests/Protocol/hostile/fuzz_run.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

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
	rm -rf .build $(VENV) FuzzTesting/.build clients/node/dist
