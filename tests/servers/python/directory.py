"""The demo service's handler, most of it, for both of the Python servers of the tests."""

import threading
import time


class Directory:
    """`types` has the structs of demo.thrift, `lost` is what a lost connection raises."""

    def __init__(self, types, lost):
        self.types = types
        self.lost = lost
        self.messages = 0  # counted by the server
        self._logged = 0
        self._journals = {}
        self._lock = threading.Lock()

    def count_message(self):
        with self._lock:
            self.messages += 1

    def echo(self, token):
        # The one result that no protocol can write.
        return object() if token == "unwritable" else token

    def getUser(self, token, id):
        if not 1 <= id <= 1_000_000:
            raise self.types.NotFound(id=id, reason="no such user")
        return self.types.User(id=id, name=f"user-{id}", active=id % 10 != 0, token=token)

    def getUsers(self, token, ids):
        return {id: self.getUser(token, id) for id in ids if 1 <= id <= 1_000_000}

    def touch(self, token):
        pass

    def log(self, line):
        with self._lock:
            self._logged += 1
        if line == "fail":
            raise RuntimeError("the log is full")

    def logged(self):
        with self._lock:
            return self._logged

    def everything(self, *values):
        names = ("token", "aBool", "aByte", "anI16", "anI32", "anI64", "aDouble", "aString",
                 "aBinary", "aList", "aSet", "aMap", "aStruct", "structs")
        return self.types.Everything(**dict(zip(names, values)))

    def blob(self, payload, size):
        return (payload * (size // len(payload) + 1))[:size]

    def fail(self, token):
        if token == "lost":
            raise self.lost("the database has gone")
        raise RuntimeError(token)

    def wait(self, token, milliseconds):
        time.sleep(milliseconds / 1000)
        return token

    def append(self, journal, line):
        with self._lock:
            lines = self._journals.setdefault(journal, [])
            lines.append(line)
            return len(lines) - 1

    def lines(self, journal):
        with self._lock:
            return list(self._journals.get(journal, []))

    def stats(self):
        return self.types.Counters(messages=self.messages)
