"""One session's life, seen by a client: awake, asleep, refreshed, small talk, woken."""

import os
import ssl
import time
import unittest

from imap_client import Client
from server import Server, wait_for

VERSIONS = {"plain": None, "TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


def connect(server, version):
    if version == "plain":
        return Client(server, tls=False)
    return Client(server, version=VERSIONS[version])


class SessionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=8)
        cls.addClassCleanup(cls.server.__exit__, None, None, None)

    def park(self, client):
        before = self.server.counter("parked_idle")
        client.idle()
        wait_for("the session to park", lambda: self.server.counter("parked_idle") > before)

    def test_falls_asleep_is_refreshed_talks_and_wakes(self):
        for version in VERSIONS:
            with self.subTest(version):
                client = connect(self.server, version)
                client.login(0)
                untagged, _ = client.command("SELECT INBOX")
                exists = [int(l.split()[1]) for l in untagged if l.endswith(b"EXISTS")][0]
                self.park(client)
                before = self.server.view()
                self.server.drop_mail("u0")
                self.assertEqual(client.line(), b"* %d EXISTS" % (exists + 1))
                line = client.line()
                while line.endswith(b"RECENT") or b"FETCH" in line:
                    if client.silent():
                        break
                    line = client.line()
                untagged, tagged = client.done()
                self.assertTrue(tagged.endswith(b"OK Idle completed."), tagged)
                after = self.server.view()
                self.assertEqual(self.server.counter("talk_done", after),
                                 self.server.counter("talk_done", before) + 1)
                self.assertEqual(self.server.counter("attaches", after),
                                 self.server.counter("attaches", before))
                client.command("NOOP")
                untagged, _ = client.command(f"FETCH {exists + 1} BODY[]")
                self.assertTrue(any(b"hello" in line for line in untagged), untagged)
                self.assertEqual(self.server.counter("attaches"),
                                 self.server.counter("attaches", before) + 1)
                client.command("LOGOUT")
                client.close()
                wait_for("the session to end", lambda: self.server.counter("free")
                         == self.server.counter("slots"))

    def test_done_and_a_command_in_one_write_are_answered_in_order(self):
        client = Client(self.server)
        client.login(1)
        client.command("SELECT INBOX")
        self.park(client)
        client.send(b"DONE\r\nx1 NOOP\r\nx2 UID SEARCH ALL\r\nx3 IDLE\r\n")
        client.finish(client.idle_tag)
        self.assertEqual(client.finish("x1")[1], b"x1 OK NOOP completed.")
        self.assertTrue(client.finish("x2")[1].startswith(b"x2 OK"))
        self.assertTrue(client.line().startswith(b"+"))
        client.idle_tag = "x3"
        client.done()
        client.close()

    def test_two_sessions_of_a_user_see_each_other(self):
        one, two = Client(self.server), Client(self.server)
        for client in (one, two):
            client.login(2)
        for i in range(3):
            message = b"Subject: n%d\r\n\r\nbody\r\n" % i
            one.send(b"a%d APPEND INBOX {%d}\r\n" % (i, len(message)))
            self.assertTrue(one.line().startswith(b"+"))
            one.send(message + b"\r\n")
            self.assertTrue(one.finish(f"a{i}")[1].startswith(b"a%d OK" % i))
        for client in (one, two):
            client.command("SELECT INBOX")
        self.park(two)
        one.command(r"STORE 2 +FLAGS (\Flagged)")
        line = two.line()
        self.assertIn(b"* 2 FETCH", line)
        self.assertIn(rb"\Flagged", line)
        one.command(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.assertIn(b"* 1 FETCH", two.line())
        one.command("EXPUNGE")
        self.assertEqual(two.line(), b"* 1 EXPUNGE")
        two.done()
        two.command(r"STORE 1 +FLAGS (\Answered)")
        untagged, _ = one.command("NOOP")
        self.assertTrue(any(rb"\Answered" in line for line in untagged), untagged)
        for client in (one, two):
            client.command("LOGOUT")
            client.close()

    def test_a_mail_reaches_exactly_its_watchers(self):
        clients = []
        for user in (3, 3, 4, 5):
            client = Client(self.server)
            client.login(user)
            client.command("SELECT INBOX")
            client.idle()
            clients.append(client)
        wait_for("four sleepers", lambda: self.server.counter("parked_idle") >= 4)
        self.server.drop_mail("u3")
        for client in clients[:2]:
            self.assertEqual(client.line(), b"* 1 EXISTS")
        for client in clients[2:]:
            self.assertTrue(client.silent())
        for client in clients:
            client.close()

    def test_a_deleted_mailbox_ends_its_sleepers_with_a_reason(self):
        one, two = Client(self.server), Client(self.server)
        one.login(6)
        two.login(6)
        one.command("CREATE Gone")
        two.command("SELECT Gone")
        self.park(two)
        one.command("DELETE Gone")
        line = two.line()
        self.assertTrue(line.startswith(b"* BYE"), line)
        with self.assertRaises((EOFError, ConnectionError)):
            two.line()
        one.close()

    def test_reload_touches_no_connection(self):
        client = Client(self.server)
        client.login(7)
        client.command("SELECT INBOX")
        self.park(client)
        os.kill(self.server.process.pid, 1)
        time.sleep(0.5)
        self.server.drop_mail("u7")
        self.assertEqual(client.line(), b"* 1 EXISTS")
        client.close()


class DrainTest(unittest.TestCase):
    def test_sleeping_and_waking_clients_get_a_bye_at_the_end(self):
        with Server(users=2) as server:
            asleep, awake = Client(server), Client(server)
            asleep.login(0)
            asleep.command("SELECT INBOX")
            asleep.idle()
            wait_for("a sleeper", lambda: server.counter("parked_idle") == 1)
            awake.login(1)
            self.assertEqual(server.stop(), 0)
            for client in (asleep, awake):
                self.assertTrue(client.line().startswith(b"* BYE"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
