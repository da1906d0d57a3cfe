"""dormouse-load against a whole server: short forms of what docs/load.md describes."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

from server import BINARY, Server

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "loadtest"))
from soak import soak  # noqa: E402

LOAD = os.environ.get("DORMOUSE_LOAD",
                      os.path.join(os.path.dirname(BINARY), "loadtest", "dormouse-load"))
SECONDS = os.environ.get("DORMOUSE_STRESS_S", "8")


def load(server, kind, *options, tls=False):
    """Runs dormouse-load; returns its exit status, its JSON and all that it said."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        port = server.tls_port if tls else server.port
        run = subprocess.run(
            [LOAD, kind, "--target", f"127.0.0.1:{port}", "--user", "u%d", "--password", "pw%d",
             "--first-user", "0", "--json", path, *(["--tls"] if tls else []), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=500)
        result = {}
        if os.path.exists(path):
            with open(path) as file:
                result = json.load(file)
        return run.returncode, result, run.stdout


class Stress(unittest.TestCase):
    def check(self, *options, tls=False):
        with Server(users=6) as server:
            status, result, said = load(server, "stress", "-q", "--secs", SECONDS, *options,
                                        tls=tls)
            self.assertEqual(status, 0, said)
            for state in ("login", "select", "fetch", "fetch2", "search", "store", "delete",
                          "expunge", "append", "noop", "idle", "logout"):
                self.assertGreater(result["states"][state]["answered"], 0, said)

    def test_clients_of_several_mailboxes_find_nothing_wrong(self):
        self.check("-n", "12", "--users", "4", "--seed", "1", "--pipeline", "4")

    def test_clients_of_one_mailbox_over_tls_that_stay_find_nothing_wrong(self):
        self.check("-n", "8", "--users", "1", "--seed", "2", "--state", "logout=10", "--state",
                   "idle=60", "--idle-ms", "900", tls=True)


class Storm(unittest.TestCase):
    def test_all_come_back_at_once_and_nobody_is_refused(self):
        with Server(users=100) as server:
            # Each mailbox is there before several clients want it at once.
            self.assertEqual(load(server, "storm", "-q", "-n", "100", "--users", "100", "--storms",
                                  "0", tls=True)[0], 0)
            status, result, said = load(server, "storm", "-q", "-n", "400", "--users", "100",
                                        "--storms", "2", tls=True)
            self.assertEqual(status, 0, said)
            self.assertEqual([r["logins"] for r in result["results"][:3]], [400, 400, 400])


class Sleep(unittest.TestCase):
    def test_pollers_leavers_and_compressed_ones_hear_every_delivery(self):
        with Server(users=50) as server, tempfile.TemporaryDirectory() as folder:
            plot = os.path.join(folder, "plot.svg")
            status, result, said = load(
                server, "sleep", "-q", "-n", "200", "--users", "50", "--maildir",
                f"{server.mail_root}/%u/Maildir", "--poll", "0.2", "--poll-every", "1",
                "--compress", "0.3", "--hold", "6", "--hold-deliver", "30", "--hold-done", "20",
                "--hold-command", "20", "--hold-leave", "10", "--plot", plot, tls=True)
            self.assertEqual(status, 0, said)
            self.assertEqual(result["results"][1]["deliveries"], 180)
            self.assertGreater(len(result["progress"]), 3)
            with open(plot) as file:
                self.assertIn("</svg>", file.read())


class Soak(unittest.TestCase):
    def test_no_sleeper_is_dropped_and_no_message_missed_while_roles_are_killed(self):
        status, result, kills = soak(LOAD, float(os.environ.get("DORMOUSE_SOAK_S", "20")), 4,
                                     sessions=200, users=50, stress_clients=6, stress_users=2,
                                     seed=3, quiet=True)
        self.assertEqual(status, 0, result)
        self.assertGreater(sum(kills.values()), 2)
        end = result["status"]
        self.assertEqual((end["lost"], end["failed"], end["missing"], end["repeated_exists"],
                          end["unexpected_exists"], end["connected"]), (0, 0, 0, 0, 0, 200))


if __name__ == "__main__":
    unittest.main(verbosity=2)
