"""Those who are here go first: while sleepers wake, new connections are served at a pace that leaves
them room; everybody gets in; and the pace is nobody's business when nobody wakes. How late sleepers
are, and what it costs who is new, is measured by loadtest/bench/login_storm.py."""

import os
import re
import subprocess
import unittest

from imap_client import Client
from server import BINARY, Server, wait_for

LOAD = os.environ.get("DORMOUSE_LOAD",
                      os.path.join(os.path.dirname(BINARY), "loadtest", "dormouse-load"))
SLEEPERS = 5
CLIENTS = 300
STORMS_MAX = 6  # a quick machine is through one before anybody is late
USERS = 60


def settings(goal, admission):
    return f"""[pressure]
enabled = true
wake_goal = "{goal}"
memory_stall_busy = 100
memory_stall_critical = 100
cpu_stall_busy = 100
io_stall_busy = 100
io_stall_pressed = 100
queue_busy = "60s"
queue_critical = "60s"
[admission]
mode = "{admission}"
"""


def pace(view):
    """Logins a second that are served, as the master rules and as the login processes are told."""
    ruled = re.search(r"^login_pace goal_ms=\d+ per_second=(\d+)", view, re.M)
    told = re.search(r"^admission .* served=(\d+)", view, re.M)
    return int(ruled.group(1)), int(told.group(1))


class Storm:
    """So many clients at once, each until it is in; then they leave."""

    def __init__(self, server):
        self.process = subprocess.Popen(
            [LOAD, "storm", "-q", "--target", f"127.0.0.1:{server.port}", "--user", "u%d",
             "--password", "pw%d", "--first-user", "0", "--users", str(USERS), "-n", str(CLIENTS),
             "--storms", "0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def running(self):
        return self.process.poll() is None

    def close(self):
        if self.running():
            self.process.terminate()
        self.process.communicate(timeout=60)


class LoginPace(unittest.TestCase):
    def sleepers(self, server):
        """In IDLE and parked, one of them woken by a command of its own before."""
        clients = [Client(server) for _ in range(SLEEPERS)]
        for number, client in enumerate(clients):
            client.login(number)
            client.command("SELECT INBOX")
            server.drop_mail(f"u{number}")
            client.command("NOOP")
            client.idle()
        wait_for("all to be parked", lambda: server.counter("parked") == SLEEPERS)
        self.wake(clients)
        return clients

    def wake(self, clients):
        for client in clients:
            client.done()
            untagged, tagged = client.command("FETCH 1 (FLAGS)")
            self.assertIn(b"OK", tagged)
            client.idle()

    def storm(self, server, clients):
        """The paces that were seen while it went on."""
        seen = []
        storm = Storm(server)
        try:
            while storm.running():
                self.wake(clients)
                seen.append(pace(server.view()))
        finally:
            storm.close()
        self.assertEqual(storm.process.returncode, 0, "somebody did not get in")
        return seen

    @staticmethod
    def paced(seen, free):
        """The master ruled fewer than without a storm, and the login processes were told."""
        return (any(ruled < free[0] for ruled, _ in seen) and
                any(told < free[1] for _, told in seen))

    def test_while_sleepers_wake_logins_are_paced_and_everybody_gets_in(self):
        for admission in ("auto", "accept", "off"):
            with self.subTest(admission=admission), \
                    Server(users=USERS, settings=settings("1ms", admission)) as server:
                free = pace(server.view())
                clients = self.sleepers(server)
                seen, storms = [], 0
                while storms < STORMS_MAX and not self.paced(seen, free):
                    seen += self.storm(server, clients)
                    storms += 1
                self.assertTrue(self.paced(seen, free), seen)
                handed_over = re.findall(r"accepted=\d+ handed_over=(\d+)", server.view())
                self.assertEqual(sum(map(int, handed_over)), storms * CLIENTS + SLEEPERS)
                wait_for("the pace to be lifted", lambda: pace(server.view()) == free)
                for client in clients:
                    client.close()

    def test_who_wants_no_pace_has_none(self):
        with Server(users=USERS, settings=settings("0ms", "auto")) as server:
            clients = self.sleepers(server)
            self.assertEqual({ruled for ruled, _ in self.storm(server, clients)}, {0})
            for client in clients:
                client.close()


if __name__ == "__main__":
    unittest.main()
