"""A store that the kernel tells nothing of: sleepers hear of it by polling, by notices and from
workers, and a NOOP is answered by somebody who looks."""

import hashlib
import hmac
import os
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from imap_client import Client
from server import BINARY, Server, free_port, wait_for

KEY = b"a key of thirty-two bytes, about"
HOUR = 3600


def datagram(user, mailbox, number, flags=0, sender=7, at=None):
    at = time.time_ns() // 10**6 if at is None else at
    said = struct.pack(">4sBBHHQQQ", b"DMN1", 1, flags, len(user), len(mailbox), at, sender,
                       number) + user + mailbox
    return said + hmac.new(KEY, said, hashlib.sha256).digest()[:16]


class PolledTest(unittest.TestCase):
    """Looks are an hour apart, so what is heard has come another way."""

    @classmethod
    def setUpClass(cls):
        key = tempfile.NamedTemporaryFile(prefix="dormouse-key-")
        key.write(KEY)
        key.flush()
        cls.addClassCleanup(key.close)
        cls.udp = free_port()
        cls.server = Server(users=6, settings=(
            '[den]\npark_quiet = "300ms"\n'
            f'[watch]\nshared_store = "yes"\npolling = "{HOUR}s"\n'
            f'notice_listen = ["127.0.0.1:{cls.udp}"]\nnotice_key = "{key.name}"\n'))
        cls.addClassCleanup(cls.server.__exit__, None, None, None)

    def asleep(self, number, idle=True, mailbox="INBOX"):
        client = Client(self.server, tls=False)
        client.login(number)
        client.command(f"SELECT {mailbox}")
        if idle:
            client.idle()
        wait_for("the client to sleep", lambda: self.server.counter("sessions") == 0)
        return client

    def hears(self, client, pattern):
        self.assertRegex(client.news().decode(), pattern)

    def counts(self):
        """What the watch says of notices."""
        line = [line for line in self.server.view().split("\n") if "notices taken=" in line][0]
        return {name: int(value) for name, value in
                (word.split("=") for word in line.split("notices ")[1].split())}

    def command(self, *arguments, stdin=b""):
        return subprocess.run([BINARY, arguments[0], "--config", self.server.config,
                               *arguments[1:]], input=stdin, capture_output=True)

    def test_1_the_view_says_why_it_polls(self):
        view = self.server.view()
        self.assertIn("backend=polling", view)
        self.assertIn("other machines may write there", view)
        client = self.asleep(0)
        self.assertRegex(self.server.view(), r"source=polling polled=2 ")
        client.close()

    def test_2_a_noop_of_a_sleeper_goes_to_a_worker_who_looks(self):
        client = self.asleep(0, idle=False)
        before = self.server.counter("attaches")
        self.server.drop_mail("u0")
        untagged, _ = client.command("NOOP")
        self.assertIn(b"* 1 EXISTS", untagged)
        self.assertEqual(self.server.counter("attaches"), before + 1)
        client.close()

    def test_3_what_a_worker_changes_is_told_to_sleepers_at_once_and_does_not_come_back(self):
        sleeper = self.asleep(1)
        other = Client(self.server, tls=False)
        other.login(1)
        other.command("SELECT INBOX")
        other.send(b"p1 APPEND INBOX {5+}\r\nhello\r\n")
        other.finish("p1")
        self.hears(sleeper, r"^\* 1 EXISTS$")
        other.command("STORE 1 +FLAGS (\\Flagged)")
        self.hears(sleeper, r"^\* 1 FETCH .*Flagged")
        other.command("STORE 1 +FLAGS (\\Deleted)")
        other.command("EXPUNGE")
        line = sleeper.line()
        while b"FETCH" in line:
            line = sleeper.line()
        self.assertEqual(line, b"* 1 EXPUNGE")
        wait_for("all to sleep", lambda: self.server.counter("sessions") == 0)
        # Nobody has anything to do any more.
        before = self.server.counter("refreshes")
        time.sleep(1)
        self.assertEqual(self.server.counter("refreshes"), before)
        sleeper.close()
        other.close()

    def test_4_a_delivery_is_told_at_once(self):
        sleeper = self.asleep(2)
        done = self.command("deliver", "u2", stdin=b"Subject: hello\r\n\r\nhello\r\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.hears(sleeper, r"^\* 1 EXISTS$")
        sleeper.close()

    def test_5_the_notify_command_reaches_the_named_mailbox_only(self):
        maker = Client(self.server, tls=False)
        maker.login(3)
        maker.command("CREATE Lists/C++")
        maker.command("LOGOUT")
        inbox, lists = self.asleep(3), self.asleep(3, mailbox='"Lists/C++"')
        self.server.drop_mail("u3")
        self.server.drop_mail("u3", folder=".Lists.C++")
        self.assertEqual(self.command("notify", "--user", "u3", "--mailbox", "Lists/C++")
                         .returncode, 0)
        self.hears(lists, r"^\* 1 EXISTS$")
        self.assertTrue(inbox.silent())
        done = self.command("notify", "--user", "u3", "--to", f"127.0.0.1:{self.udp}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.hears(inbox, r"^\* 1 EXISTS$")
        self.assertEqual(self.command("notify", "--user", "u\n3").returncode, 64)
        inbox.close()
        lists.close()

    def test_6_of_datagrams_only_a_fresh_one_under_the_key_is_taken(self):
        sleeper = self.asleep(4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.udp))
            before = self.counts()
            self.server.drop_mail("u4")
            good = datagram(b"u4", b"INBOX", 1)
            sender.send(good[:-1] + bytes([good[-1] ^ 1]))
            sender.send(b"")
            sender.send(os.urandom(60_000))
            sender.send(datagram(b"u4", b"INBOX", 1, at=time.time_ns() // 10**6 - 60_000))
            wait_for("them to be refused",
                     lambda: self.counts()["denied"] + self.counts()["stale"]
                     == before["denied"] + before["stale"] + 4)
            self.assertTrue(sleeper.silent())
            sender.send(good)
            self.hears(sleeper, r"^\* 1 EXISTS$")
            self.server.drop_mail("u4")
            sender.send(good)
            wait_for("it to be refused",
                     lambda: self.counts()["repeated"] == before["repeated"] + 1)
            self.assertTrue(sleeper.silent())
            sender.send(datagram(b"u4", b"INBOX", 2))
            self.hears(sleeper, r"^\* 2 EXISTS$")
        sleeper.close()

    def test_7_a_flood_of_datagrams_holds_up_nobody(self):
        sleeper = self.asleep(5)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.udp))
            end = time.monotonic() + 2
            sent = 0
            while time.monotonic() < end:
                sender.send(datagram(b"nobody", b"INBOX", 1 + sent, sender=9)[:-1] + b"x")
                sent += 1
        self.server.drop_mail("u5")
        # The socket's buffer may be full still: what is not heard is said again.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.udp))
            numbers = iter(range(1, 1000))

            def heard():
                sender.send(datagram(b"u5", b"INBOX", next(numbers), sender=11))
                return not sleeper.silent()

            wait_for("the news", heard)
        self.hears(sleeper, r"^\* 1 EXISTS$")
        self.assertGreater(self.counts()["denied"], 100)
        sleeper.close()


class WatchedTest(unittest.TestCase):
    def test_under_fanotify_a_local_delivery_is_told_once(self):
        with Server(users=1) as server:
            if "backend=fanotify" not in server.view():
                self.skipTest("no fanotify here")
            client = Client(server, tls=False)
            client.login(0)
            client.command("SELECT INBOX")
            client.idle()
            wait_for("the client to sleep", lambda: server.counter("sessions") == 0)
            done = subprocess.run([BINARY, "deliver", "--config", server.config, "u0"],
                                  input=b"hello\r\n", capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            while client.line() != b"* 1 EXISTS":
                pass
            view = server.view()
            self.assertIn("notices taken=1 ", view)
            self.assertIn("topics told=0 ", view)
            client.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
