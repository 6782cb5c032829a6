"""Steps of the fuzzer of the protocol: sessions, transactions and rows."""

import collections

from daemon import counting
from fuzz_model import TRANSIENT, Session, require


class RowSteps:
    """What a run does to rows; each reply is compared with the session's model, or with the connection's."""

    # Sessions

    def do_connect(self, connection, session, where):
        link = self.link(connection)
        if link is None or session in link.sessions:
            return
        data, database, read_only = {
            "default": (None, "default", False), "second": ({"database": "second"}, "second", False),
            "memory": ({"url": "sqlite::memory:"}, None, False), "sealed": ({"database": "sealed"}, None, True),
            "read_only": ({"database": "default", "read_only": True}, "default", True),
            "url": ({"url": f"sqlite:{self.daemon.directory}/second.db"}, "second", False)}[where]
        model = link.sessions[session] = Session(self.next_owner(), database, read_only, database is not None)
        model.queue = collections.deque()
        self.all_sessions.append(model)
        link.ever.append(model)

        def check(request, reply):
            if reply.type == "error":
                model.failed = True
                link.sessions.pop(session)
                require(reply.data["code"] in ("busy", "limit_exceeded"), "a database that is there opens", reply)
                return
            model.name = reply.data["session"]
            require(model.name not in self.daemon.session_names, "no session's name comes twice", model.name)
            self.daemon.session_names.add(model.name)
            require(reply.data["read_only"] is read_only, "read-only as was asked", reply)
        self.request(link, "db_connect", data, check)

    def do_disconnect(self, connection, session):
        link = self.link(connection)
        if link is None:
            return

        def send(model):
            def check(request, reply):
                require(reply.type != "error", "a session that is there ends", reply)
                model.ended()
            self.request(link, "db_disconnect", {"session": model.name}, check, model, has_turn=True)
            model.is_closing = True
            link.sessions.pop(session)
        self.in_session(link, session, send)

    def do_transaction(self, connection, session, verb, name):
        link = self.link(connection)
        if link is None:
            return
        with_name = verb in ("SAVEPOINT", "RELEASE", "ROLLBACK TO")

        def send(model):
            def check(request, reply):
                plain = "BEGIN" if verb.startswith("BEGIN") else verb
                key = name if with_name else None
                if reply.type == "error":
                    accepted = model.accepts(plain, key)
                    allowed = TRANSIENT | ({"read_only"} if model.read_only else set()) | (set() if accepted else {"database_error"})
                    require(reply.data["code"] in allowed, f"{verb} at this point", f"accepted {accepted}", reply)
                    model.after_error(reply.data, request)
                else:
                    require(model.do(plain, key), f"{verb} has no place here", reply)
                    model.check_state(reply.data["transaction"], reply)
            sql = f'{verb} "{name}"' if with_name else verb
            self.request(link, "query", {"sql": sql, "session": model.name}, check, model, stoppable=True, has_turn=True, is_write=True)
        self.in_session(link, session, send)

    # Rows

    def do_insert(self, connection, session, keys, form, timeout):
        link = self.link(connection)
        if link is None:
            return
        if session is None:
            return self.send_insert(link, None, link.owner, keys, form, timeout)
        self.in_session(link, session, lambda model: self.send_insert(link, model, model, keys, form, timeout))

    def send_insert(self, link, model, owner, keys, form, timeout):
        if form == "named":
            sql = "INSERT INTO f VALUES " + ", ".join(f"(:k{index}, :owner, 'SECRET')" for index in range(len(keys)))
            params = {"owner": owner.number, **{f"k{index}": key for index, key in enumerate(keys)}}
        elif form == "recursive":
            sql = "INSERT INTO f " + counting(len(keys), "x + ?, ?, 'SECRET'")
            params = [keys[0] - 1, owner.number]
        else:
            sql = "INSERT INTO f VALUES " + ", ".join(["(?, ?, 'SECRET')"] * len(keys)) + (" RETURNING k" if form == "returning" else "")
            params = [value for key in keys for value in (key, owner.number)]
        owner.sent |= set(keys)

        def check(request, reply):
            if reply.type == "error":
                self.check_write_error(request, owner, model, keys, reply)
            elif reply.terminal:
                if form == "returning":
                    require(request.state["rows"] == [[key] for key in keys], "RETURNING returns", request.state["rows"][:9])
                require(reply.data["rows_affected"] == len(keys), "the rows are counted", reply)
                if model is None:
                    owner.succeeded(keys)
                else:
                    require(not model.read_only and model.has_table, "a read-only session writes nothing", reply)
                    model.insert(keys)
                    model.check_state(reply.data["transaction"], reply)
        data = {"sql": sql, "params": params, **({"session": model.name} if model else {}), **({"timeout_ms": timeout} if timeout else {})}
        self.request(link, "query", data, check, model, stoppable=True, has_turn=model is not None, is_write=True)

    def check_write_error(self, request, owner, model, keys, reply, *also):
        allowed = TRANSIENT | set(also)
        if model is None:
            owner.failed(keys)
        elif model.read_only:
            allowed = TRANSIENT | {"read_only"} | (set() if model.has_table else {"syntax_error", "database_error"})
        elif not model.has_table:
            allowed = TRANSIENT | {"syntax_error", "database_error"}
        require(reply.data["code"] in allowed, "why a write may fail", reply)
        if model is not None:
            model.after_error(reply.data, request)

    def do_delete(self, connection, session, remainder):
        link = self.link(connection)

        def send(model):
            def check(request, reply):
                if reply.type == "error":
                    return self.check_write_error(request, None, model, [], reply)
                keys = {key for key in model.visible if abs(key) % 3 == remainder}
                require(reply.data["rows_affected"] == len(keys), "exactly the session's rows are deleted", len(keys), reply)
                model.delete(keys)
                model.check_state(reply.data["transaction"], reply)
            self.request(link, "query", {"sql": "DELETE FROM f WHERE owner = ? AND abs(k) % 3 = ?", "params": [model.number, remainder], "session": model.name},
                         check, model, stoppable=True, has_turn=True, is_write=True)
        if link:
            self.in_session(link, session, send)

    def do_duplicate(self, connection, session, conflict):
        """Inserts a row that is there already, if the session has any."""
        link = self.link(connection)

        def send(model):
            def check(request, reply):
                if reply.type != "error":
                    require(conflict == "OR IGNORE " or not model.visible, "a key is there once", reply)
                    require(reply.data["rows_affected"] == 0, "nothing was inserted", reply)
                    return model.check_state(reply.data["transaction"], reply)
                if reply.data["code"] == "constraint_violation":
                    require(model.visible and conflict != "OR IGNORE ", "a constraint is violated by something", reply)
                    if conflict == "OR ROLLBACK ":
                        model.rollback()
                    return model.check_state(reply.data["transaction"], reply)
                self.check_write_error(request, None, model, [], reply)
            sql = f"INSERT {conflict}INTO f SELECT k, owner, 'SECRET' FROM f WHERE owner = ? ORDER BY k LIMIT 1"
            self.request(link, "query", {"sql": sql, "params": [model.number], "session": model.name}, check, model,
                         stoppable=True, has_turn=True, is_write=True)
        if link:
            self.in_session(link, session, send)

    def do_batch(self, connection, session, keys, atomic, cut, flaw):
        link = self.link(connection)
        if link is None:
            return
        if session is None:
            return self.send_batch(link, None, link.owner, keys, atomic, cut, flaw)
        self.in_session(link, session, lambda model: self.send_batch(link, model, model, keys, atomic, cut, flaw))

    def send_batch(self, link, model, owner, keys, atomic, cut, flaw):
        insert = "INSERT INTO f VALUES (?, ?, 'SECRET')"
        first, second = keys[:cut], keys[cut:]
        statements = [{"sql": insert, "param_rows": [[key, owner.number] for key in first]}, {"sql": "SELECT 1"}]
        statements += [{"sql": insert, "params": [key, owner.number]} for key in second]
        place = None
        if flaw == "syntax":
            place = (len(statements), None, {"syntax_error"})
            statements.append({"sql": "SELEC"})
        elif flaw == "twice":
            place = (len(statements), 1, {"constraint_violation"})
            statements.append({"sql": insert, "param_rows": [[-keys[0], owner.number], [keys[0], owner.number]]})
        elif flaw == "transaction" and (atomic or model is None):
            place = (len(statements), None, {"bad_request", "needs_session"})
            statements.append({"sql": "ROLLBACK"})
        extra = [-keys[0]] if flaw == "twice" else []
        owner.sent |= {*keys, *extra}

        def check(request, reply):
            if reply.type != "error":
                require(place is None, "a batch with a flaw fails", reply)
                results = [result["rows_affected"] for result in reply.data["results"]]
                require(results == [len(first), 0] + [1] * len(second), "each statement has its result", results)
                done = keys
            else:
                done = [] if atomic else self.done_before(reply.data, first, second, extra)
                also = place[2] if place and (place[0], place[1]) == (reply.data.get("statement_index"), reply.data.get("row_index")) else ()
                if also and reply.data["code"] in also:
                    require(atomic or set(done) == {*keys, *extra}, "what comes before the flaw is done")
                if model is None:
                    self.check_batch_error(owner, [key for key in [*keys, *extra] if key not in done], reply, also)
                else:
                    self.check_session_batch(request, model, done, reply, also)
            if model is None:
                owner.succeeded(done)
            elif reply.type != "error":
                model.insert(done)
                model.check_state(reply.data["transaction"], reply)
        data = {"statements": statements, **({} if atomic else {"atomic": False}), **({"session": model.name} if model else {})}
        self.request(link, "batch", data, check, model, stoppable=True, has_turn=model is not None, is_write=True)

    @staticmethod
    def done_before(error, first, second, extra):
        """The keys of a batch that is not atomic which came before its error."""
        statement, row = error.get("statement_index"), error.get("row_index")
        if statement is None:
            return []
        if statement == 0:
            return first[:row or 0]
        return [*first, *second[:max(0, statement - 2)], *(extra if statement >= 2 + len(second) and row == 1 else [])]

    def check_batch_error(self, owner, undone, reply, also):
        owner.failed(undone)
        require(reply.data["code"] in TRANSIENT | set(also), "why a batch may fail", reply)

    def check_session_batch(self, request, model, done, reply, also):
        if done and not model.read_only and model.has_table:
            model.insert(done)
        self.check_write_error(request, None, model, [], reply, *also)

    def do_read(self, connection, session):
        link = self.link(connection)
        if link is None:
            return
        sql = "SELECT k FROM f WHERE owner = ?"
        if session is None:
            before = set(link.owner.acknowledged)

            def check(request, reply):
                if reply.type == "error":
                    require(reply.data["code"] in TRANSIENT, "a read succeeds", reply)
                elif reply.terminal:
                    link.owner.check_read(request.state["rows"], before)
            self.request(link, "query", {"sql": sql, "params": [link.owner.number]}, check, stoppable=True)
            return

        def send(model):
            def check(request, reply):
                if reply.type == "error":
                    require(reply.data["code"] in TRANSIENT | (set() if model.has_table else {"database_error", "syntax_error"}), "a read succeeds", reply)
                    model.after_error(reply.data, request)
                elif reply.terminal:
                    found = {row[0] for row in request.state["rows"]}
                    require(found == model.visible, "a session sees its rows", f"lost {sorted(model.visible - found)[:9]}",
                            f"undead {sorted(found - model.visible)[:9]}")
                    model.check_state(reply.data["transaction"], reply)
            self.request(link, "query", {"sql": sql, "params": [model.number], "session": model.name}, check, model, stoppable=True, has_turn=True)
        self.in_session(link, session, send)
