"""When sessions park without a setting that says so, and what `dormouse trace` records of it: what
dormouse-load simulate reads, and nobody's name."""

import os
import re
import signal
import subprocess
import unittest

from imap_client import Client
from server import BINARY, Server, wait_for

LOAD = os.environ.get("DORMOUSE_LOAD", "build/release/loadtest/dormouse-load")


class Recorder:
    """`dormouse trace` beside a server; over when the block is left."""

    def __init__(self, server):
        self.server = server
        self.file = f"{server.folder}/trace"

    def __enter__(self):
        self.process = subprocess.Popen(
            [BINARY, "trace", self.file, "--secs", "600", "--config", self.server.config],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_for("the recording to begin", lambda: "trace-begun" in self.server.read_log())
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.said, _ = self.process.communicate(timeout=60)

    def events(self):
        with open(self.file) as trace:
            lines = trace.read().splitlines()
        return lines, [line.split()[2] for line in lines[1:] if line.split()[0].isdigit()]


class Trace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # 0: no bound, so it is the policy that parks.
        cls.server = Server(users=2, settings='[den]\npark_after = "0s"\npark_quiet = "0s"\n')

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_1_what_sessions_do_is_recorded_without_names(self):
        with Recorder(self.server) as recorder:
            client = Client(self.server)
            client.command('ID ("name" "Unheard-of Mail" "version" "3.1415")')
            client.login(0)
            client.command("SELECT INBOX")
            client.idle()
            wait_for("it to be parked by the policy alone",
                     lambda: self.server.counter("parked") == 1)
            client.done()
            # Together: what a den answers for a sleeper is in no trace.
            client.send("s1 UID SEARCH ALL\r\ns2 LOGOUT\r\n")
            client.finish("s2")
            wait_for("it to be gone", lambda: self.server.counter("sessions") == 0)
            other = subprocess.run(
                [BINARY, "trace", f"{self.server.folder}/other", "--secs", "1", "--config",
                 self.server.config], capture_output=True, text=True, timeout=60)
        self.assertEqual(other.returncode, 69, "a second recorder")
        self.assertIn("somebody records already", other.stderr)
        self.assertEqual(recorder.process.returncode, 0, recorder.said)
        lines, events = recorder.events()
        self.assertEqual(lines[0], "dormouse-trace 1")
        for event in ("open", "command", "idle", "close"):
            self.assertIn(event, events)
        self.assertIn(" lost 0", lines[-1])
        text = "\n".join(lines)
        for name in ("u0", "127.0.0.1", "INBOX", "Unheard", "3.1415"):
            self.assertNotIn(name, text)
        self.assertTrue(all(re.fullmatch(r"\d+ \d+ \w+( \d+)?", line) for line in lines[1:-1]), text)
        self.assertEqual(os.stat(recorder.file).st_mode & 0o777, 0o600)
        judged = subprocess.run([LOAD, "simulate", recorder.file], capture_output=True, text=True,
                                timeout=60)
        self.assertIn(judged.returncode, (0, 1), judged.stderr)  # 1: no better than a fixed time
        self.assertRegex(judged.stdout, r"1 sessions, \d+ events")

    def test_2_it_goes_on_when_the_worker_dies_and_ends_with_the_server(self):
        with Recorder(self.server) as recorder:
            self.server.kill_role("worker")
            client = Client(self.server)
            client.login(1)
            client.send("s1 STATUS INBOX (MESSAGES)\r\ns2 LOGOUT\r\n")
            client.finish("s2")
            wait_for("the session to be over", lambda: self.server.counter("sessions") == 0)
            self.assertEqual(self.server.stop(), 0)
            wait_for("the recorder to end by itself", lambda: recorder.process.poll() is not None)
        _, events = recorder.events()
        self.assertIn("the server has ended", recorder.said)
        self.assertEqual((events.count("open"), events.count("close")), (1, 1))
        self.server.start()

    def test_3_without_a_server_it_says_so(self):
        self.server.stop()
        nobody = subprocess.run(
            [BINARY, "trace", f"{self.server.folder}/none", "--config", self.server.config],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(nobody.returncode, 69)
        self.assertIn("admin.sock: no server", nobody.stderr)


if __name__ == "__main__":
    unittest.main()
