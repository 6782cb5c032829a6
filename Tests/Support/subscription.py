"""A subscription of a test, and what it has heard."""


def names(event):
    """The names in an event, and whether it tells that the schema or anything has changed."""
    return {*event.get("relations", []), *(["<schema>"] if event.get("schema") else []),
            *([f"<{event['reason']}>"] if event.get("resync") else [])}


def growth_kib(daemon, **fields):
    """How much memory the daemon has more behind 4,000 subscriptions that have come and gone, one after the other."""
    def come_and_go(count):
        with daemon.connect() as client:
            for _ in range(count):
                Subscription(client, **fields).cancel()

    # What is kept for the next one is there by then.
    come_and_go(1_000)
    before = daemon.memory_kib()
    come_and_go(4_000)
    return daemon.memory_kib() - before


class Subscription:
    """`subscribe` on a connection of its own."""

    def __init__(self, client, **fields):
        self.client = client
        self.id = client.send("subscribe", fields)
        self.first = self.client.answer(self.id).data
        self.position = self.first["position"]

    def event(self, timeout=5.0):
        """The next event; None if none comes in time."""
        patience = self.client.socket.gettimeout()
        self.client.socket.settimeout(timeout)
        try:
            data = self.client.receive_for(self.id).data
        except TimeoutError:
            return None
        finally:
            self.client.socket.settimeout(patience)
        self.position = data.get("position", self.position)
        return data

    def events(self, quiet=0.3):
        """All events until none comes for so long."""
        found = []
        while (event := self.event(quiet)) is not None:
            found.append(event)
        return found

    def heard(self, quiet=0.3, timeout=10.0):
        """The names in what comes, until nothing comes for so long; a machine with much to do may need a while for the first."""
        first = self.event(timeout)
        return set() if first is None else names(first) | self.rest(quiet)

    def rest(self, quiet=0.3):
        """The names in what comes, which may be nothing, until nothing comes for so long."""
        return set().union(*map(names, self.events(quiet)))

    def hears_nothing(self, quiet=0.3):
        """Whether no event comes for so long."""
        return self.event(quiet) is None

    def heard_before(self, name, timeout=10.0):
        """What `heard` tells, up to the first event with this name, which is left out: of a commit that came behind all others."""
        heard = set()
        while name not in heard:
            event = self.event(timeout)
            assert event is not None, f"{name} was not told, but {heard}"
            heard |= names(event)
        return heard - {name}

    def cancel(self):
        """Ends it, and returns the error that says so."""
        request = self.client.send("cancel", {"request": self.id})
        reply = self.client.receive_for(self.id)
        while reply.type != "error":
            reply = self.client.receive_for(self.id)
        assert self.client.answer(request).data["cancelled"] is True
        return reply.data


def payloads(subscription, count, timeout=20.0):
    """The payloads of the next messages, none of which may be missed."""
    found = []
    while len(found) < count:
        event = subscription.event(timeout)
        assert event is not None, f"{len(found)} of {count} have come"
        assert "resync" not in event, event
        found.append(event["payload"])
    return found
