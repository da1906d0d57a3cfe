"""dormouse-load against a whole server: short forms of what docs/load.md describes."""

import json
import os
import subprocess
import tempfile
import unittest

from server import BINARY, Server

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
