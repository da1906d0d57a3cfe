#!/usr/bin/env python3
"""What sleeping sessions cost, and how fast they wake: Dormouse, and Debian's Dovecot beside it
where it is installed, measured in the same run in the same way. docs/benchmarks.md explains the
figures. Standard library only; loopback only; run as root for the memory figures.

    loadtest/bench/bench.py --build build/release            # the full table, about an hour
    loadtest/bench/bench.py --build build/release --quick    # a look, some minutes
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from measure import KernelMemory, bare_socket_bytes, read_text, user_bytes_by_role, write_text
from peers import DOMAIN, PASSWORD, Dormouse, Dovecot

# Memory is taken when it changes by less than this share in one step.
SETTLE_STEP_SECONDS = 5
SETTLE_SECONDS_MIN = 75  # a worker that the logins needed and nobody else does ends after a minute
SETTLE_SECONDS_MAX = 60
SETTLED_SHARE = 0.005
# What an armed IORING_OP_POLL_ADD of the tester costs the kernel beside its socket (io_kiocb).
TESTER_POLL_BYTES = 256

# figure: (what it is, unit, goal by kind of session or for all). Less is better but for logins/s.
FIGURES = {
    "user_bytes": ("user memory a session", "B", {"plain": 256, "tls": 512}),
    "all_bytes": ("with the kernel's, server's side", "B", {"tls": 4710}),
    "both_ends_bytes": ("kernel memory a session, both ends", "B", {}),
    "deliver_p50": ("deliver -> EXISTS p50", "ms", 0.5),
    "deliver_p99": ("deliver -> EXISTS p99", "ms", 3.0),
    "done_p50": ("DONE -> OK p50", "ms", 0.15),
    "done_p99": ("DONE -> OK p99", "ms", None),
    "command_p50": ("first command after sleep p50", "ms", 1.0),
    "command_p99": ("first command after sleep p99", "ms", None),
    "refresh_cpu": ("CPU per refresh", "ms", 0.15),
    "done_cpu": ("CPU per DONE", "ms", None),
    "logins": ("login+SELECT+IDLE a second", "/s", 2000),
    "idle_cpu": ("idle CPU per 5,000 sessions", "% of a core", 0.1),
}


class Load:
    """A dormouse-load under our control."""

    def __init__(self, binary, server, tls, sessions, parallel):
        port = server.tls_port if tls else server.port
        self.process = subprocess.Popen(
            [binary, "sleep", "--quiet", "--control", "-", "--target", f"127.0.0.1:{port}",
             "--tls" if tls else "--plain", "--sessions", str(sessions),
             "--user", f"u%d@{DOMAIN}", "--password", PASSWORD, "--users", str(server.users),
             "--maildir", f"{server.mail}/%u/Maildir", "--parallel", str(parallel)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"dormouse-load ended during '{line}'")
        result = json.loads(answer)
        if not result["ok"]:
            raise RuntimeError(f"{line}: {result['error']}: {result.get('status')}")
        return result

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def prime(options, server):
    """Each user logs in once and leaves, so that no first-time work is measured; on a server of its
    own, so that no memory of it is."""
    server.start()
    load = Load(options.load, server, False, server.users, options.parallel)
    try:
        load.ask("wait-connected timeout=900")
        load.ask("logout timeout=300")
    finally:
        load.end()
        server.stop()


def milliseconds(answer, percentile):
    return answer["latency"][f"{percentile}_us"] / 1000


def measure_wakes(options, server, load, figures):
    group = server.group
    park = f"wait-parked quiet={server.quiet_seconds} timeout=300"
    load.ask(park)
    for word in ("deliver", "done", "command"):
        before = group.cpu_seconds()
        begun = time.monotonic()
        answer = load.ask(f"{word} {options.wakes} rate={options.rate}")
        load.ask(park)  # falling asleep again is a part of the cost
        spent = group.cpu_seconds() - before
        # Keepalives went on meanwhile; they are no part of it.
        idle = figures.get("idle_cpu_seconds_per_second", 0) * (time.monotonic() - begun)
        figures[f"{word}_p50"] = milliseconds(answer, "p50")
        figures[f"{word}_p99"] = milliseconds(answer, "p99")
        figures[f"{word}_lateness_p99"] = answer["lateness"]["p99_us"] / 1000
        each = max(spent - idle, 0) * 1000 / answer["latency"]["count"]
        figures["refresh_cpu" if word == "deliver" else f"{word}_cpu"] = each


def measure_idle_cpu(options, server, load, sessions, figures):
    if options.idle == 0:
        return
    before = server.group.cpu_seconds()
    load.ask(f"hold {options.idle}")
    share = (server.group.cpu_seconds() - before) / options.idle
    figures["idle_cpu_seconds_per_second"] = share
    figures["idle_cpu"] = share * 100 * 5000 / sessions


def wait_for_settled_memory(server):
    """Servers give back over some seconds what the logins needed (caches, free pages)."""
    before = None
    time.sleep(SETTLE_SECONDS_MIN)
    for _ in range(SETTLE_SECONDS_MAX // SETTLE_STEP_SECONDS):
        now = sum((user_bytes_by_role(server.group.pids()) or {}).values())
        if before is not None and abs(now - before) < before * SETTLED_SHARE:
            return
        before = now
        time.sleep(SETTLE_STEP_SECONDS)


def measure_memory(server, sessions, empty_user, empty_kernel, bare, figures):
    full_user = user_bytes_by_role(server.group.pids())
    if full_user is not None and empty_user is not None:
        figures["user_bytes"] = (sum(full_user.values()) - sum(empty_user.values())) / sessions
        figures["user_bytes_by_role"] = {
            role: round((full_user.get(role, 0) - empty_user.get(role, 0)) / sessions, 1)
            for role in sorted(full_user | empty_user)}
    full_kernel = KernelMemory.look()
    if full_kernel is None or empty_kernel is None or bare is None:
        return
    both = full_kernel.since(empty_kernel) / sessions
    figures["both_ends_bytes"] = both
    figures["kernel_caches"] = full_kernel.top_caches(empty_kernel, sessions)
    if "user_bytes" in figures:
        figures["all_bytes"] = figures["user_bytes"] + both - bare - TESTER_POLL_BYTES


def measure_once(options, server, tls, sessions, bare):
    figures = {}
    server.start()
    load = None
    try:
        # One session first: what a server makes once, for anybody, belongs to the empty server.
        load = Load(options.load, server, tls, 1, 1)
        load.ask("wait-connected timeout=30")
        load.ask("logout timeout=30")
        load.end()
        time.sleep(server.quiet_seconds)
        empty_user = user_bytes_by_role(server.group.pids())
        empty_kernel = KernelMemory.look()
        load = Load(options.load, server, tls, sessions, options.parallel)
        answer = load.ask("wait-connected timeout=900")
        figures["logins"] = answer["logins_per_second"]
        load.ask(f"wait-parked quiet={server.quiet_seconds + 3} timeout=300")
        wait_for_settled_memory(server)
        measure_memory(server, sessions, empty_user, empty_kernel, bare, figures)
        measure_idle_cpu(options, server, load, sessions, figures)
        measure_wakes(options, server, load, figures)
        figures["load_status"] = load.ask("status")["status"]
    finally:
        if load is not None:
            load.end()
        server.stop()
    return figures


def median_of(runs):
    keys = {key for run in runs for key in run}
    merged = {}
    for key in keys:
        values = [run[key] for run in runs if key in run]
        numbers = all(isinstance(value, (int, float)) for value in values)
        merged[key] = statistics.median(values) if numbers else values[-1]
    return merged


def show(value):
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def table(results):
    """results: {(peer, kind): figures}"""
    lines = []
    for kind in ("plain", "tls"):
        ours, theirs = results.get(("dormouse", kind), {}), results.get(("dovecot", kind), {})
        if not ours and not theirs:
            continue
        lines.append(f"\n{'TLS' if kind == 'tls' else kind}: "
                     + ", ".join(f"{peer} {figures['sessions']:,} sessions" for (peer, k), figures
                                 in results.items() if k == kind))
        lines.append(f"{'':36} {'unit':12} {'goal':>10} {'dormouse':>10} {'dovecot':>10} {'ratio':>8}")
        for key, (title, unit, goal) in FIGURES.items():
            if isinstance(goal, dict):
                goal = goal.get(kind)
            mine, other = ours.get(key), theirs.get(key)
            if mine is None and other is None:
                continue
            ratio = f"{other / mine:.1f}" if mine and other else "-"
            lines.append(f"{title:36} {unit:12} {show(goal):>10} {show(mine):>10} {show(other):>10} "
                         f"{ratio:>8}")
        for peer, figures in (("dormouse", ours), ("dovecot", theirs)):
            roles = figures.get("user_bytes_by_role", {})
            if roles:
                lines.append(f"user memory a session, {peer}: " + ", ".join(
                    f"{role} {size:,.0f}" for role, size in roles.items() if abs(size) >= 1))
    return "\n".join(lines)


class Sysctls:
    """Limits above what is measured; put back at the end."""

    WANTED = {"fs/inotify/max_user_instances": 65536, "fs/inotify/max_user_watches": 2000000,
              "net/core/somaxconn": 8192}

    def __enter__(self):
        self.before = {}
        for key, value in self.WANTED.items():
            try:
                now = int(read_text(f"/proc/sys/{key}"))
                if now < value:
                    write_text(f"/proc/sys/{key}", str(value))
                    self.before[key] = now
            except OSError:
                continue
        return self

    def __exit__(self, *_):
        for key, value in self.before.items():
            write_text(f"/proc/sys/{key}", str(value))


def measure_peer(options, server, sessions, bare, results):
    server.configure()
    say(f"{server.name}: {server.users} mailboxes")
    server.make_mail()
    prime(options, server)
    for kind in options.kinds:
        runs = []
        for number in range(options.runs):
            say(f"{server.name}: {kind}, {sessions} sessions, run {number + 1} of {options.runs}")
            runs.append(measure_once(options, server, kind == "tls", sessions, bare))
        results[(server.name, kind)] = median_of(runs) | {"sessions": sessions, "runs": runs}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="build folder")
    parser.add_argument("--sessions", type=int, default=15000)
    parser.add_argument("--dovecot-sessions", type=int, default=5000)
    parser.add_argument("--users", type=int, default=0, help="0: one for each session")
    parser.add_argument("--peers", default="dormouse,dovecot")
    parser.add_argument("--kinds", default="plain,tls")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--wakes", type=int, default=500, help="deliveries, DONEs, commands")
    parser.add_argument("--rate", type=float, default=20, help="of them, per second")
    parser.add_argument("--parallel", type=int, default=64, help="logins under way")
    parser.add_argument("--idle", type=float, default=125,
                        help="seconds of idle CPU; a keepalive period by default")
    parser.add_argument("--dir", default="/var/tmp", help="where the mail lies meanwhile")
    parser.add_argument("--port", type=int, default=20143, help="this one and the next 3 are used")
    parser.add_argument("--mail-uid", type=int, default=5000, help="owner of the mail, as root")
    parser.add_argument("--json", help="file for everything")
    parser.add_argument("--quick", action="store_true", help="few sessions, one run")
    options = parser.parse_args()
    if options.quick:
        options.sessions, options.dovecot_sessions = 2000, 500
        options.runs, options.wakes, options.idle = 1, 100, 5
    options.kinds = options.kinds.split(",")
    options.load = f"{options.build}/loadtest/dormouse-load"
    Dormouse.binary = f"{options.build}/dormouse"
    return options


def peers(options, root):
    uid, gid = (options.mail_uid, options.mail_uid) if os.geteuid() == 0 else (os.getuid(),
                                                                              os.getgid())
    wanted = options.peers.split(",")
    for number, (kind, sessions) in enumerate(((Dormouse, options.sessions),
                                               (Dovecot, options.dovecot_sessions))):
        if kind.name not in wanted:
            continue
        if kind is Dovecot and Dovecot.why_not():
            say(f"dovecot: {Dovecot.why_not()}")
            continue
        folder = f"{root}/{kind.name}"
        os.makedirs(f"{folder}/mail")
        ports = (options.port + 2 * number, options.port + 2 * number + 1)
        yield kind(folder, f"{folder}/mail", min(options.users or sessions, sessions), sessions, uid, gid,
                   ports), sessions


def main():
    options = parse_options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = {}
    root = tempfile.mkdtemp(prefix="dormouse-bench-", dir=options.dir)
    os.chmod(root, 0o755)
    failed = False
    try:
        with Sysctls():
            bare = bare_socket_bytes()
            for server, sessions in peers(options, root):
                try:
                    measure_peer(options, server, sessions, bare, results)
                except RuntimeError as error:
                    failed = True
                    say(f"{server.name}: {error}")
                    output = f"{server.root}/output"
                    if os.path.exists(output):
                        say(read_text(output)[-2000:])
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(table(results))
    if bare is not None:
        print(f"\nbare idle TCP socket, one end: {bare:,.0f} B of kernel memory")
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"bare_socket_bytes": bare,
                       "results": {f"{peer} {kind}": figures
                                   for (peer, kind), figures in results.items()}}, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
