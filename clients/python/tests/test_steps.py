"""Steps of a program, through connections that end behind any byte, and in tasks that are cancelled at any moment: what each of
them said is compared with what is in the database.
"""

import asyncio
import random

import pytest
from test_lost_transfers import through

import litebase
import litebase.aio

WRITE = "INSERT INTO written VALUES (?, ?)"
STEPS = ("single", "batch", "transaction")
LOST = (litebase.ConnectionLost, litebase.OutcomeUnknown, litebase.InterfaceError)


@pytest.fixture
def witness(own_daemon):
    with litebase.connect(socket=own_daemon.socket_path, autocommit=True) as db:
        db.execute("CREATE TABLE written(number, step)")
        db.execute("CREATE TABLE many(a)")
        db.executemany("INSERT INTO many VALUES (?)", [("x" * 20,)] * 20)
        yield db


class Told:
    """What the steps of one program have said."""

    def __init__(self, number):
        self.number = number
        #: By step: None where it was done, else the error.
        self.outcomes = {}
        # Whether the transaction had come to its COMMIT.
        self.is_committing = False

    def check(self, witness, about):
        """Compares it with what is there. Returns whether all was done."""
        for step in STEPS:
            rows = witness.execute("SELECT count(*) FROM written WHERE number = ? AND step = ?", (self.number, step)).fetchone()[
                0
            ]
            said = self.outcomes.get(step, "not begun")
            is_interrupted = isinstance(said, BaseException) and not isinstance(said, Exception)
            may_be_there = is_interrupted or isinstance(said, litebase.OutcomeUnknown)
            if step == "transaction" and not self.is_committing:
                may_be_there = False
            assert rows <= 1, f"{about}: {step} was repeated"
            assert rows == 1 or said is not None, f"{about}: {step} was done, it said"
            assert rows == 0 or said is None or may_be_there, f"{about}: nothing of {step} was done, it said: {said!r}"
        return all(self.outcomes.get(step, "not begun") is None for step in STEPS)


def steps(db, told):
    """Writes a row in each of three ways, and reads in between."""

    def single():
        db.execute(WRITE, (told.number, "single"))

    def batch():
        db.executemany(WRITE, [(told.number, "batch")])
        assert len(db.execute("SELECT a FROM many").fetchall()) == 20

    def transaction():
        with db.transaction():
            db.execute(WRITE, (told.number, "transaction"))
            next(db.execute("SELECT a FROM many"))
            told.is_committing = True

    for step in (single, transaction, batch):
        # Whatever interrupts it before it says so.
        told.outcomes[step.__name__] = KeyboardInterrupt()
        try:
            step()
            told.outcomes[step.__name__] = None
        except LOST as error:
            told.outcomes[step.__name__] = error


async def async_steps(db, told):
    async def single():
        await db.execute(WRITE, (told.number, "single"))

    async def batch():
        await db.executemany(WRITE, [(told.number, "batch")])
        assert len(await (await db.execute("SELECT a FROM many")).fetchall()) == 20

    async def transaction():
        async with db.transaction():
            await db.execute(WRITE, (told.number, "transaction"))
            await (await db.execute("SELECT a FROM many")).fetchone()
            told.is_committing = True

    for step in (single, transaction, batch):
        told.outcomes[step.__name__] = asyncio.CancelledError()
        try:
            await step()
            told.outcomes[step.__name__] = None
        except LOST as error:
            told.outcomes[step.__name__] = error


def run_blocking(path, told):
    with litebase.connect(socket=path, autocommit=True) as db:
        steps(db, told)


def run_asyncio(path, told):
    async def whole():
        before = asyncio.all_tasks()
        async with await litebase.aio.connect(socket=path, autocommit=True) as db:
            await async_steps(db, told)
        assert asyncio.all_tasks() == before

    asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize("run", [run_blocking, run_asyncio])
def test_a_connection_that_ends_at_any_byte(run, own_daemon, witness, wait_for, tmp_path):
    seen = set()
    number = 0

    def work(path):
        nonlocal number
        number += 1
        told = Told(number)
        try:
            run(path, told)
        except litebase.ConnectionLost:
            # While it was opened.
            assert told.outcomes == {}
        # What the daemon has got of it, it does or rolls back before it says so to somebody else.
        wait_for(lambda: witness.request("stats")["sessions"]["open"] == 1, "the session is over")
        seen.update(type(outcome) for outcome in told.outcomes.values())
        return told.check(witness, f"connection {number}")

    through(tmp_path, own_daemon, 37, work)
    assert {litebase.OutcomeUnknown, litebase.InterfaceError, type(None)} <= seen


def test_tasks_that_are_cancelled_at_any_moment(own_daemon, witness):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)

    async def whole():
        done = cancelled = number = 0
        async with await litebase.aio.connect(socket=own_daemon.socket_path, autocommit=True) as db:
            while number < 100 or done < 5 or cancelled < 5:
                number += 1
                told = Told(number)
                task = asyncio.create_task(async_steps(db, told))
                # As long as the steps take, about, whatever the machine is busy with.
                await asyncio.wait({task}, timeout=chance.random() * 0.002 * (1 + number % 8))
                task.cancel()
                await asyncio.wait({task})
                assert await (await db.execute("SELECT 1")).fetchone() == (1,)
                assert not db.in_transaction, f"seed {seed}"
                if told.check(witness, f"seed {seed}, task {number}"):
                    done += 1
                else:
                    cancelled += 1
                assert number < 5_000, f"{done} done, {cancelled} cancelled"
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(whole())


def test_signals_at_any_moment(own_daemon, witness, interrupted):
    """A connection that was interrupted goes on without a transaction, unless it was within a frame."""
    chance = random.Random(seed := random.randrange(1 << 32))
    done = stopped = number = 0
    db = litebase.connect(socket=own_daemon.socket_path, autocommit=True)
    while number < 100 or done < 5 or stopped < 5:
        number += 1
        told = Told(number)
        interrupted(0.0001 + chance.random() * 0.002 * (1 + number % 8), lambda db=db, told=told: steps(db, told))
        if db.closed:
            db.close()
            db = litebase.connect(socket=own_daemon.socket_path, autocommit=True)
        assert db.execute("SELECT 1").fetchone() == (1,)
        assert not db.in_transaction, f"seed {seed}"
        if told.check(witness, f"seed {seed}, round {number}"):
            done += 1
        else:
            stopped += 1
        assert number < 5_000, f"{done} done, {stopped} stopped"
    db.close()
