"""Steps of the fuzzer of the protocol: results, pages, cancels and values."""

import fuzz_plan
from daemon import ENDLESS, counting
from fuzz_model import TRANSIENT, require
from wire import SAFE_INTEGER_MAX, encode


class ResultSteps:
    """What a run reads."""

    # Results

    def select(self, link, session, type, data, check, **state):
        """Sends a statement that changes nothing, in a session or without."""
        if session is None:
            self.request(link, type, data, check, stoppable=type == "query", **state)
            return
        self.in_session(link, session, lambda model: self.request(
            link, type, {**data, "session": model.name}, check, model, stoppable=type == "query", has_turn=True, **state))

    def do_stream(self, connection, session, limit, max_rows, pad):
        link = self.link(connection)
        if link is None:
            return

        def check(request, reply):
            if reply.type == "error":
                require(reply.data["code"] in TRANSIENT, "a stream ends well", reply)
            elif reply.terminal:
                count = min(limit or 1, max_rows or 1 << 60)
                require([row[0] for row in request.state["rows"]] == list(range(1, count + 1)), "every row once and in order")
                require(("truncated" in reply.data) == (max_rows is not None and max_rows < (limit or 1)), "cut results say so", reply.data.get("truncated"))
            self.expect_anything(request, reply)
        # LIMIT 0 of a recursive part still yields its first row when it is written as LIMIT 1.
        self.select(link, session, "query", {"sql": counting(limit or 1, f"x, zeroblob({pad})" if pad else "x"), **({"max_rows": max_rows} if max_rows else {})}, check)

    def do_paged(self, connection, session, limit, page, max_rows):
        link = self.link(connection)
        if link is None:
            return

        def check(request, reply):
            require(reply.type != "error" or reply.data["code"] in {*TRANSIENT, "limit_exceeded"}, "a paged query ends well", reply)
            if reply.type != "error" and reply.terminal:
                count = min(limit or 1, max_rows or 1 << 60)
                require([row[0] for row in request.state["rows"]] == list(range(1, count + 1)), "every row of every page")
            self.expect_anything(request, reply)
        self.select(link, session, "query", {"sql": counting(limit or 1), "page_rows": page, **({"max_rows": max_rows} if max_rows else {})}, check, page=page)

    def do_fetch(self, connection, which):
        link = self.link(connection)
        if link is None:
            return
        paged = [request.id for request in link.requests.values() if request.state.get("page")]
        target = paged[int(which * len(paged))] if paged else "never"
        id = link.next_id()
        link.fetch_targets[id] = target
        link.fetches[target] += 1
        self.note(f"c{link.number} > {str(id)[-8:]} fetch {target}")
        link.put(encode({"id": id, "type": "fetch", "data": {"request": target}}, link.encoding))
        link.flush(self.chance)

    def do_endless(self, connection, session, timeout):
        link = self.link(connection)
        if link is None:
            return

        def check(request, reply):
            require(reply.type == "error" and reply.data["code"] in ("timeout", "cancelled"), "what never ends is stopped", reply)
            self.expect_anything(request, reply)
        self.select(link, session, "query", {"sql": ENDLESS, "timeout_ms": timeout}, check, is_endless=True, timeout=timeout)

    def do_cancel(self, connection, which):
        link = self.link(connection)
        if link is None:
            return
        targets = [request.id for request in link.requests.values() if request.stoppable]
        self.send_cancel(link, targets[int(which * len(targets))] if targets and which is not None else "never")

    def send_cancel(self, link, target):
        victim = link.requests.get(target)
        outcome = {}
        if victim is not None:
            inner = victim.check

            def watch(request, reply):
                if reply.terminal:
                    outcome["code"] = reply.data.get("code", "success")
                inner(request, reply)
            link.requests[target] = victim._replace(check=watch)

        def check(request, reply):
            require(reply.type != "error", "cancel is answered", reply)
            if victim is None:
                require(reply.data["cancelled"] is False, "nothing was cancelled", reply)
            else:
                require("code" in outcome, "the reply to cancel comes behind that of the request", reply)
                require(not reply.data["cancelled"] or outcome["code"] == "cancelled", "cancelled is true exactly when it ended so", outcome, reply)
        self.request(link, "cancel", {"request": target}, check)

    def do_describe(self, connection, session, sql):
        if link := self.link(connection):
            self.select(link, session, "describe", {"sql": fuzz_plan.ODD_SQL[sql]}, self.expect_anything)

    def do_odd(self, connection, session, sql, params):
        if link := self.link(connection):
            self.select(link, session, "query", {"sql": fuzz_plan.ODD_SQL[sql], **({"params": params} if params else {}), "timeout_ms": 2000}, self.expect_anything)

    def do_echo(self, connection, session, values):
        link = self.link(connection)
        if link is None:
            return

        def back(value, style):
            if isinstance(value, bool):
                return int(value)
            if isinstance(value, int) and abs(value) > SAFE_INTEGER_MAX and style == "string" and link.mode != "msgpack":
                return str(value)
            return value

        def check(request, reply):
            if reply.type == "error":
                require(reply.data["code"] in {*TRANSIENT, "limit_exceeded"}, "values come back", reply)
            elif reply.terminal:
                wanted = [back(value, request.state["style"]) for value in values]
                require(repr(request.state["rows"]) == repr([wanted]), "values come back as they went", request.state["rows"], wanted)
            self.expect_anything(request, reply)
        self.select(link, session, "query", {"sql": "SELECT " + ", ".join("?" * len(values)), "params": values}, check)
