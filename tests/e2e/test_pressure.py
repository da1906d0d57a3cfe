"""Memory runs out around a server with sleepers: it goes on serving those who are here, tells them
less often, refuses who is new and says why, loses nobody, and is itself again once there is memory.
The long form, with a load that needs more memory than there is, is loadtest/bench/squeeze.py."""

import re
import unittest

from imap_client import Client
from memory_cgroup import Ballast, MemoryCgroup
from server import Server, wait_for

MIB = 1 << 20
ADMITTED = 146  # a second: twice logins_per_second
SETTINGS = """[pressure]
enabled = true
calm_after = "1s"
coalesce_critical = "5min"
done_delay = "400ms"
logins_per_second = 73
memory_stall_busy = 100
memory_stall_critical = 100
cpu_stall_busy = 100
io_stall_busy = 100
io_stall_pressed = 100
queue_busy = "60s"
queue_critical = "60s"
[den]
coalesce = "50ms"
"""


def level(server):
    found = re.search(r"^pressure level=(\w+) cause=(\S+)", server.view(), re.M)
    return found.groups() if found else None


def refusal(server, tls):
    """What a new connection hears."""
    try:
        return Client(server, tls=tls).greeting
    except (EOFError, OSError) as error:
        return repr(error).encode()


class Squeeze(unittest.TestCase):
    def setUp(self):
        if not MemoryCgroup.available():
            self.skipTest("no memory cgroup can be made here")

    def test_memory_runs_out_and_comes_back(self):
        with MemoryCgroup("e2e") as group:
            server = Server(users=8, settings=SETTINGS, start=False)
            server.enter = group.enter
            with server:
                server.start()
                self.squeeze(server, group)

    def squeeze(self, server, group):
        sleepers = []
        for number in range(8):
            client = Client(server)
            client.login(number)
            client.command("SELECT INBOX")
            client.idle()
            sleepers.append(client)
        wait_for("all to be parked", lambda: server.counter("parked") == 8)
        early = Client(server, tls=False)
        awake = Client(server)
        awake.login(0)
        awake.command("SELECT INBOX")
        self.assertEqual(level(server)[0], "calm")
        pids = server.children()

        # Within 97 % of the limit, and some room that the server may use meanwhile.
        ballast_bytes = 1200 * MIB
        group.set_limit(int((group.used() + ballast_bytes) / 0.97) // 4096 * 4096)
        ballast = Ballast(group, ballast_bytes)
        try:
            wait_for("the level to be critical", lambda: level(server) == ("critical", "memory"))
            self.assertIn("pressure level=critical", server.read_log().replace('"', ""))
            self.served(server, sleepers, early, awake)
        finally:
            ballast.close()
        wait_for("calm", lambda: level(server)[0] == "calm")
        self.assertNotIn(f" served={ADMITTED} ", server.view())
        # What waited is told; whoever is new comes in; nobody was killed.
        for number, client in enumerate(sleepers[1:], 1):
            wait_for("EXISTS", lambda client=client: client.line().endswith(b"1 EXISTS"))
        late = Client(server)
        late.login(3)
        late.command("SELECT INBOX")
        self.assertEqual(group.oom_kills(), 0)
        roles = {pid: line for pid, line in server.children().items() if "worker" not in line}
        self.assertEqual(roles, {pid: line for pid, line in pids.items() if "worker" not in line})
        self.assertEqual(server.counter("closed"), 0)

    def served(self, server, sleepers, early, awake):
        self.assertIn(f" served={ADMITTED} ", server.view())
        expected = b"[UNAVAILABLE] The server is short of memory, try again later"
        # The roles hear it a moment after the view shows it.
        wait_for("a refusal", lambda: refusal(server, tls=False) == b"* BYE " + expected)
        wait_for("a refusal in TLS", lambda: refusal(server, tls=True) == b"* BYE " + expected)
        untagged, tagged = early.command("LOGIN u1 pw1", expect=b"NO")
        self.assertIn(expected, tagged)
        # Mail is not told at once, but with the next word; and commands are served.
        for number in range(8):
            server.drop_mail(f"u{number}")
        self.assertTrue(all(client.silent(0.2) for client in sleepers))
        untagged, tagged = sleepers[0].done()
        self.assertIn(b"* 1 EXISTS", untagged)
        sleepers[0].command("FETCH 1 (FLAGS)")
        awake.command("NOOP")
        awake.command("FETCH 1 (BODY.PEEK[])")
        self.assertGreaterEqual(server.counter("talk_delayed"), 1)


if __name__ == "__main__":
    unittest.main()
