"""Two thousand sleepers over TLS: all parked, woken exactly, answered without workers, and none of
them lost when any process of the server is killed."""

import os
import re
import selectors
import time
import unittest

from imap_client import Client
from server import WAIT_S, Server, wait_for

SESSIONS = int(os.environ.get("DORMOUSE_CROWD", "2000"))
USERS = SESSIONS // 4


class Crowd:
    """Sleeping clients, and what each has heard."""

    def __init__(self, server, sessions, users):
        self.server = server
        self.users = users
        self.clients = []
        for i in range(sessions):
            client = Client(server, source=f"127.0.{1 + i % 8}.{1 + i % 200}")
            client.login(i % users)
            client.command("SELECT INBOX")
            client.idle()
            client.number = i
            client.exists = 0
            self.clients.append(client)

    def hear(self, condition, timeout=WAIT_S):
        """Reads lines of all clients until condition() holds. A closed connection is a failure."""
        selector = selectors.DefaultSelector()
        for client in self.clients:
            client.socket.setblocking(False)
            selector.register(client.socket, selectors.EVENT_READ, client)
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end:
            for key, _ in selector.select(0.2):
                self._read(key.data)
        for client in self.clients:
            client.socket.settimeout(WAIT_S)
        selector.close()
        return condition()

    def _read(self, client):
        while True:
            try:
                data = client.socket.recv(65536)
            except OSError:  # nothing more now, plain or TLS
                break
            if not data:
                raise AssertionError(f"client {client.number} was dropped")
            client.buffer += data
        while (line := client._whole_line()) is not None:
            if line.endswith(b" EXISTS"):
                client.exists = int(line.split()[1])
            elif b"BYE" in line:
                raise AssertionError(f"client {client.number} heard {line!r}")
            elif line.startswith(client.idle_tag.encode()):
                client.done_answer = line

    def deliver_to_all(self, expected):
        for user in range(self.users):
            self.server.drop_mail(f"u{user}")
        heard = self.hear(lambda: all(c.exists == expected for c in self.clients))
        if not heard:
            print("deaf:", [(c.number, c.exists) for c in self.clients if c.exists != expected])
            print(self.server.view())
        return heard

    def done_all(self):
        for client in self.clients:
            client.done_answer = None
            client.send(b"DONE\r\n")
        answered = self.hear(lambda: all(c.done_answer for c in self.clients))
        if not answered:
            print("no answer:", [c.number for c in self.clients if not c.done_answer])
            print(self.server.view())
        return answered and all(b" OK" in c.done_answer for c in self.clients)

    def idle_all(self):
        for client in self.clients:
            client.idle()

    def close(self):
        for client in self.clients:
            client.close()


class CrowdTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=USERS)
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        cls.crowd = Crowd(cls.server, SESSIONS, USERS)
        cls.addClassCleanup(cls.crowd.close)
        cls.mails = 0

    def all_parked(self):
        view = self.server.view()
        return (self.server.counter("parked_idle", view) == SESSIONS
                and self.server.counter("sessions", view) == 0)

    def wait_parked(self):
        wait_for("all sessions to park", self.all_parked, timeout=WAIT_S * 2, pause=0.3)

    def next_mail(self):
        type(self).mails += 1
        return self.mails

    def test_1_all_park_and_no_worker_holds_a_session_nor_login_an_ssl_object(self):
        self.wait_parked()
        view = self.server.view()
        workers = re.findall(r"^\s*worker sessions=(\d+)", view, re.MULTILINE)
        self.assertTrue(workers, "the view names workers")
        self.assertEqual(sum(map(int, workers)), 0)
        ssl_objects = re.findall(r"\bssl_objects=(\d+)", view)
        self.assertTrue(ssl_objects, "the view counts SSL objects")
        self.assertEqual(sum(map(int, ssl_objects)), 0)

    def test_2_a_mail_reaches_exactly_its_watchers(self):
        self.wait_parked()
        for client in self.crowd.clients:
            client.exists = None
        chosen = range(0, USERS, 7)
        for user in chosen:
            self.server.drop_mail(f"u{user}")
        watchers = [c for c in self.crowd.clients if c.number % USERS in chosen]
        self.assertTrue(self.crowd.hear(lambda: all(c.exists for c in watchers)))
        self.crowd.hear(lambda: False, timeout=1)
        others = [c for c in self.crowd.clients if c.number % USERS not in chosen]
        self.assertEqual([c.number for c in others if c.exists], [])
        for user in set(range(USERS)) - set(chosen):
            self.server.drop_mail(f"u{user}")
        expected = self.next_mail()
        self.assertTrue(self.crowd.hear(
            lambda: all(c.exists == expected for c in self.crowd.clients)))

    def test_3_done_is_answered_with_no_worker_and_a_fetch_attaches(self):
        self.wait_parked()
        before = self.server.view()
        self.assertTrue(self.crowd.done_all())
        after = self.server.view()
        self.assertEqual(self.server.counter("talk_done", after)
                         - self.server.counter("talk_done", before), SESSIONS)
        self.assertEqual(self.server.counter("attaches", after),
                         self.server.counter("attaches", before))
        for client in self.crowd.clients[:50]:
            untagged, _ = client.command("FETCH 1 (FLAGS)")
            self.assertTrue(any(b"* 1 FETCH" in line for line in untagged))
        self.assertEqual(self.server.counter("attaches")
                         - self.server.counter("attaches", before), 50)
        self.crowd.idle_all()

    def test_4_killing_any_process_drops_no_sleeper(self):
        roles = os.environ.get("DORMOUSE_KILL", "den tracker watch worker auth login").split()
        for role in roles:
            with self.subTest(role):
                self.wait_parked()
                pids = self.server.kill_role(role)
                self.assertTrue(pids, f"there is a {role}")
                self.assertTrue(self.crowd.deliver_to_all(self.next_mail()),
                                f"after kill -9 of {role} every session hears of its mail")
                self.assertTrue(self.crowd.done_all(),
                                f"after kill -9 of {role} every session answers DONE")
                self.crowd.idle_all()
                self.assertTrue(set(pids).isdisjoint(self.server.pids_of(role)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
