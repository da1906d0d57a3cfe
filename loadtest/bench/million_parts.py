"""Those of million.py that outlive it: what has been done, the Maildirs, the load testers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import bench
from peers import DOMAIN, PASSWORD

SESSIONS_PER_USER = 10


def say(text):
    print(f"million: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class State:
    """What has been done, on disk: a dictionary that survives this script."""

    def __init__(self, folder):
        self.path = f"{folder}/state.json"
        self.known = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.known = json.load(file)

    def get(self, key, default=None):
        return self.known.get(key, default)

    def put(self, **values):
        self.known.update(values)
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.known, file, indent=1)
        os.replace(self.path + ".new", self.path)


class Mail:
    """Maildirs whose users have logged in before: one is made and used, the others are copies of it."""

    def __init__(self, options, server, state):
        self.options, self.server, self.state = options, server, state

    def make(self):
        users = self.server.users
        if self.state.get("users_made", 0) >= users:
            return
        first = f"{self.server.mail}/{self.server.user(1)}"
        if self.state.get("users_made", 0) == 0:
            shutil.rmtree(self.server.mail, ignore_errors=True)
            self.server.users = 1
            self.server.make_mail()
            self.server.users = users
            self.server.start()
            try:
                load = bench.Load(self.options.load, self.server, False, 1, 1)
                load.ask("wait-connected timeout=60")
                load.ask("logout timeout=30")
                load.end()
            finally:
                self.server.stop()
            self.state.put(users_made=1)
        begun = time.monotonic()
        for number in range(self.state.get("users_made") + 1, users + 1):
            to = f"{self.server.mail}/{self.server.user(number)}"
            shutil.rmtree(to, ignore_errors=True)  # half a copy
            self.copy(first, to)
            if number % 5000 == 0:
                self.state.put(users_made=number)
                say(f"{number:,} of {users:,} mailboxes, {time.monotonic() - begun:.0f} s")
        self.state.put(users_made=users)

    def copy(self, source, to):
        os.mkdir(to)
        for entry in os.scandir(source):
            if entry.is_dir(follow_symlinks=False):
                self.copy(entry.path, f"{to}/{entry.name}")
            elif not entry.name.endswith("-shm"):  # whoever opens the index first makes it anew
                shutil.copy2(entry.path, f"{to}/{entry.name}")
                os.chown(f"{to}/{entry.name}", self.server.uid, self.server.gid)
        os.chown(to, self.server.uid, self.server.gid)
        shutil.copystat(source, to)


class Part:
    """One dormouse-load with some of the sessions, spoken to by a FIFO."""

    def __init__(self, options, server, state, number, sessions):
        self.options, self.server, self.state = options, server, state
        self.number, self.sessions = number, sessions
        self.key = f"part{number}"
        self.base = f"{options.folder}/part{number}"
        self.users = max(1, sessions // SESSIONS_PER_USER)

    def pid(self):
        return self.state.get(self.key)

    def running(self):
        return self.pid() is not None and alive(self.pid())

    def start(self):
        for suffix in (".fifo", ".out", ".log"):
            if os.path.exists(self.base + suffix):
                os.unlink(self.base + suffix)
        os.mkfifo(self.base + ".fifo")
        port = self.server.port if self.options.plain else self.server.tls_port
        command = [self.options.load, "sleep", "--control", self.base + ".fifo", "--target",
                   f"127.0.0.1:{port}", *(["--plain"] if self.options.plain else ["--tls", "--tls-resume"]),
                   "--sessions", str(self.sessions), "--user", f"u%d@{DOMAIN}", "--password", PASSWORD, "--users",
                   str(self.users), "--together", str(SESSIONS_PER_USER), "--first-user",
                   str(1 + self.number * self.users), "--maildir",
                   f"{self.server.mail}/%u/Maildir", "--parallel", str(self.options.parallel),
                   *(["--compress", "1"] if self.options.compress else [])]
        with open(self.base + ".out", "wb") as out, open(self.base + ".log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                                       start_new_session=True)
        self.state.put(**{self.key: process.pid})

    def progress(self):
        with open(self.base + ".log", "rb") as file:
            lines = file.read()[-400:].decode("utf-8", "replace").splitlines()
        return lines[-1] if lines else ""

    def answers(self):
        with open(self.base + ".out", encoding="utf-8") as file:
            return file.read().splitlines()

    def ask(self, line, show=True):
        known = len(self.answers())
        with open(self.base + ".fifo", "w", encoding="ascii") as fifo:
            fifo.write(line + "\n")
        shown = time.monotonic()
        while len(self.answers()) == known:
            if not self.running():
                raise RuntimeError(f"dormouse-load ended during '{line}': {self.progress()}")
            if show and time.monotonic() - shown > 20:
                shown = time.monotonic()
                say(f"part {self.number}: {self.progress()}")
            time.sleep(0.1)
        result = json.loads(self.answers()[-1])
        if not result["ok"]:
            raise RuntimeError(f"{line}: {result['error']}: {result.get('status')}")
        return result

    def end(self):
        if self.running():
            os.kill(self.pid(), signal.SIGTERM)
            while alive(self.pid()):
                time.sleep(0.2)
        self.state.put(**{self.key: None})
