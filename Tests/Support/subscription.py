"""A subscription of a test, and what it has heard."""


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

    def heard(self, quiet=0.3):
        """The names in all of them, and whether the schema or anything has changed."""
        names = set()
        for event in self.events(quiet):
            names.update(event.get("relations", []))
            names.update({"<schema>"} if event.get("schema") else ())
            names.update({f"<{event['reason']}>"} if event.get("resync") else ())
        return names

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
