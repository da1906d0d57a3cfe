#!/usr/bin/env python3
"""The soak: a Dormouse server of its own, sleepers and busy clients on it, and every so often a random
process of it killed with -9. Ends with what dormouse-load found and status 0 only when that was
nothing: no violation, no sleeper dropped, no message missed or told twice, no growth.

    loadtest/soak.py --build build/release --secs 1800 --kill-every 20
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))

# The master is what restarts the others: who kills it has ended the server.
ROLES = ("login", "auth", "den", "tracker", "worker", "watch")


class Killer(threading.Thread):
    """Kills one process of a random role each `every` seconds, by its id, until stopped."""

    def __init__(self, server, every, seed, roles=ROLES):
        super().__init__(daemon=True)
        self.server, self.every, self.roles = server, every, roles
        self.random = random.Random(seed)
        self.stopped = threading.Event()
        self.kills = {}

    def run(self):
        while not self.stopped.wait(self.every):
            role = self.random.choice(self.roles)
            pids = self.server.pids_of(role)
            if not pids:
                continue
            try:
                os.kill(self.random.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.kills[role] = self.kills.get(role, 0) + 1
            print(f"soak: killed a {role}", file=sys.stderr, flush=True)

    def stop(self):
        self.stopped.set()
        self.join()


def soak(load, seconds, kill_every, sessions=500, users=100, stress_clients=10, stress_users=4,
         seed=1, rates=(10, 5, 5, 2), roles=ROLES, more=(), settings="", quiet=False):
    """Returns the exit status of dormouse-load, its JSON, and {role: kills}. `kill_every` 0: none.
    `rates`: of deliveries, DONEs, commands and leavers, a second."""
    from server import Server  # the binary comes from the environment, which main() sets
    with Server(users=users + stress_users,
                settings=settings or f"[den]\nsessions = {sessions * 2 + 1000}\n") as server, \
            tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        deliver, done, command, leave = (str(rate) for rate in rates)
        run = subprocess.Popen(
            [load, "soak", "--target", f"127.0.0.1:{server.tls_port}", "--tls", "-n", str(sessions),
             "--user", "u%d", "--password", "pw%d", "--first-user", "0", "--users", str(users),
             "--maildir", f"{server.mail_root}/%u/Maildir", "--secs", str(seconds), "--ramp", "200",
             "--hold-deliver", deliver, "--hold-done", done, "--hold-command", command,
             "--hold-leave", leave, "--stress-clients", str(stress_clients), "--stress-users",
             str(stress_users), "--seed", str(seed), "--server-pid", str(server.process.pid),
             "--json", path, *(["--may-drop-awake"] if kill_every else []),
             *(["-q"] if quiet else []), *more],
            stdin=subprocess.DEVNULL)
        killer = Killer(server, kill_every, seed, roles) if kill_every else None
        if killer:
            killer.start()
        try:
            status = run.wait(timeout=seconds + 900)
        finally:
            if killer:
                killer.stop()
            if run.poll() is None:
                run.kill()
                run.wait()
        result = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                result = json.load(file)
        if status != 0:
            print(server.read_log()[-4000:], file=sys.stderr)
        return status, result, killer.kills if killer else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--secs", type=float, default=1800)
    parser.add_argument("--kill-every", type=float, default=20, help="seconds; 0: nobody is killed")
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--stress-clients", type=int, default=20)
    parser.add_argument("--stress-users", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--roles", default=",".join(ROLES), help="that are killed")
    parser.add_argument("more", nargs="*", help="further options of dormouse-load soak, behind --")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    os.environ["DORMOUSE"] = os.path.join(build, "dormouse")
    status, _, kills = soak(os.path.join(build, "loadtest", "dormouse-load"), options.secs,
                            options.kill_every, options.sessions, options.users,
                            options.stress_clients, options.stress_users, options.seed,
                            roles=options.roles.split(","), more=options.more)
    print(f"soak: {'clean' if status == 0 else 'not clean'}; killed: {kills or 'nobody'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
