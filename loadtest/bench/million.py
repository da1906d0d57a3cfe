#!/usr/bin/env python3
"""A million sleepers: how much they take, how fast they wake, whether each one answers. Dormouse only,
loopback only, as root. docs/benchmarks.md explains the figures.

    loadtest/bench/million.py --build build/release                       # a million with TLS
    loadtest/bench/million.py --build build/release --sessions 300000 --compress
    loadtest/bench/million.py --build build/release --sessions 300000 --plain
    loadtest/bench/million.py --build build/release --sessions 20000 --part 10000 --sizes 20000

It goes step by step and writes each step down in --folder. Server and load testers are processes of
their own: stop this script whenever you like and start it again with the same folder, and it goes on
where it was (steps that were under way begin again). --stop ends everything and removes the folder.
"""

import argparse
import fcntl
import json
import os
import resource
import shutil
import signal
import statistics
import sys
import time

import bench
from measure import ControlGroup, KernelMemory, Processes, bare_socket_bytes, user_bytes_by_role
from million_parts import SESSIONS_PER_USER, Mail, Part, State, alive, say
from peers import Dormouse

SETTLE_SECONDS = 80  # as bench.SETTLE_SECONDS_MIN: until the workers that logins needed have ended


class Stopped(Exception):
    """SIGTERM."""


def on_sigterm(*_):
    raise Stopped


class Million:
    def __init__(self, options):
        self.options = options
        os.makedirs(options.folder, exist_ok=True)
        os.chmod(options.folder, 0o755)
        self.lock = open(f"{options.folder}/lock", "w", encoding="ascii")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"million: another one is at work in {options.folder}")
        self.state = State(options.folder)
        self.check_same_run()
        users = max(1, options.part // SESSIONS_PER_USER) * (options.sessions // options.part)
        self.server = Dormouse(options.folder, f"{options.folder}/mail", users, options.sessions,
                               options.mail_uid, options.mail_uid, (options.port, options.port + 1))
        self.parts = [Part(options, self.server, self.state, number, options.part)
                      for number in range(options.sessions // options.part)]

    def check_same_run(self):
        asked = {"sessions": self.options.sessions, "part": self.options.part,
                 "compress": self.options.compress, "plain": self.options.plain}
        before = self.state.get("asked")
        if self.options.stop and before is not None:
            vars(self.options).update(before)
            return
        if before not in (None, asked):
            sys.exit(f"million: {self.options.folder} holds another run: {before}; --stop removes it")
        self.state.put(asked=asked)

    # The server, which outlives this script.

    def group(self):
        if self.state.get("group"):
            return ControlGroup(*self.state.get("group"))
        return Processes(self.state.get("server"))

    def server_runs(self):
        return self.state.get("server") is not None and alive(self.state.get("server"))

    def start_server(self):
        if self.server_runs():
            return
        for part in self.parts:
            part.end()
        self.state.put(results={}, everyone=None)
        self.server.start()
        group = self.server.group
        self.state.put(server=self.server.process.pid,
                       group=[group.path, group.usage, group.scale]
                       if isinstance(group, ControlGroup) else None)
        load = bench.Load(self.options.load, self.server, True, 1, 1)
        load.ask("wait-connected timeout=60")
        load.ask("logout timeout=30")
        load.end()
        time.sleep(SETTLE_SECONDS)
        self.state.put(empty_user=user_bytes_by_role(self.group().pids()),
                       empty_kernel=self.kernel_bytes(), bare=bare_socket_bytes())

    def stop_server(self):
        if not self.server_runs():
            return
        os.kill(self.state.get("server"), signal.SIGTERM)
        for _ in range(600):
            if not self.server_runs():
                break
            time.sleep(0.2)
        for pid in self.group().pids():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        self.group().remove()
        self.state.put(server=None)

    @staticmethod
    def kernel_bytes():
        memory = KernelMemory.look()
        return sum(memory.parts.values()), memory.caches

    # The steps.

    def connect(self, parts):
        done = self.state.get("connected", {})  # part: logins a second
        for part in parts:
            if part.running() and str(part.number) in done:
                continue
            part.end()
            begun = time.monotonic()
            part.start()
            answer = part.ask("wait-connected timeout=86400")
            done[str(part.number)] = answer["logins_per_second"]
            self.state.put(connected=done)
            say(f"part {part.number}: {part.sessions:,} sessions asleep after "
                f"{time.monotonic() - begun:.0f} s, {answer['logins_per_second']:.0f} a second, "
                f"{(part.number + 1) * part.sessions:,} in all; "
                f"{self.available_mib():,} MiB available")

    @staticmethod
    def available_mib():
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) // 1024
        return 0

    def measure(self, size):
        results = self.state.get("results", {})
        if str(size) in results:
            return
        say(f"{size:,}: memory")
        time.sleep(SETTLE_SECONDS)
        figures = {"logins": min(self.state.get("connected", {}).values(), default=0)}
        user = user_bytes_by_role(self.group().pids())
        empty_user = self.state.get("empty_user")
        figures["user_bytes"] = (sum(user.values()) - sum(empty_user.values())) / size
        figures["user_bytes_by_role"] = {role: round((user[role] - empty_user.get(role, 0)) / size, 1)
                                         for role in user}
        testers = [part.pid() for part in self.parts if part.running()]
        figures["tester_bytes"] = sum(user_bytes_by_role(testers).values()) / size
        kernel, caches = self.kernel_bytes()
        empty_kernel, empty_caches = self.state.get("empty_kernel")
        both = (kernel - empty_kernel) / size
        figures["both_ends_bytes"] = both
        figures["kernel_caches"] = {
            name: round((grown - empty_caches.get(name, 0)) / size, 1)
            for name, grown in sorted(caches.items(), key=lambda item: -item[1])[:14]}
        figures["bare_bytes"] = self.state.get("bare")
        figures["all_bytes"] = (figures["user_bytes"] + both - self.state.get("bare")
                                - bench.TESTER_POLL_BYTES)
        figures["available_mib"] = self.available_mib()
        say(f"{size:,}: idle CPU for {self.options.idle} s")
        cpu = self.group().cpu_seconds()
        time.sleep(self.options.idle)
        idle = (self.group().cpu_seconds() - cpu) / self.options.idle
        figures["idle_cpu_share"] = idle
        figures["idle_cpu"] = idle * 100 * 5000 / size
        self.wakes(size, idle, figures)
        results[str(size)] = figures
        self.state.put(results=results)
        say(json.dumps({key: value for key, value in figures.items()
                        if key not in ("kernel_caches", "rounds")}))

    def wakes(self, size, idle, figures):
        """--rounds times deliveries, DONEs and commands; of each figure the median."""
        rounds = []
        for number in range(self.options.rounds):
            say(f"{size:,}: wakes, round {number + 1} of {self.options.rounds}")
            rounds.append({})
            for word in ("deliver", "done", "command"):
                rounds[-1].update(self.wake(word, idle))
            say(json.dumps(rounds[-1]))
        figures.update({key: statistics.median(figures[key] for figures in rounds)
                        for key in rounds[0]})
        figures["rounds"] = rounds

    def wake(self, word, idle):
        part = self.parts[0]
        part.ask("wait-parked quiet=4 timeout=600", False)
        cpu, begun = self.group().cpu_seconds(), time.monotonic()
        answer = part.ask(f"{word} {self.options.wakes} rate={self.options.rate} timeout=300")
        part.ask("wait-parked quiet=4 timeout=600", False)
        spent = self.group().cpu_seconds() - cpu - idle * (time.monotonic() - begun)
        return {f"{word}_p50": answer["latency"]["p50_us"] / 1000,
                f"{word}_p99": answer["latency"]["p99_us"] / 1000,
                f"{word}_lateness_p99": answer["lateness"]["p99_us"] / 1000,
                f"{word}_cpu": spent * 1000 / answer["latency"]["count"]}

    def everyone(self):
        """A message to each user, a DONE from each session: all are heard from."""
        if self.state.get("everyone") is not None:
            return
        heard = answered = 0
        for part in self.parts:
            part.ask("wait-parked quiet=4 timeout=600", False)
            answer = part.ask(f"deliver-all rate={self.options.everyone_rate} timeout=600")
            heard += answer["latency"]["count"]
            part.ask("wait-parked quiet=4 timeout=600", False)
            answer = part.ask(f"done-all rate={self.options.everyone_rate * 5} timeout=600")
            answered += answer["answered"]
            say(f"{heard:,} EXISTS heard, {answered:,} DONEs answered")
        status = [part.ask("status", False)["status"] for part in self.parts]
        everyone = {"exists_heard": heard, "done_answered": answered}
        for key in ("connected", "lost", "failed", "missing", "repeated_exists", "unexpected_exists"):
            everyone[key] = sum(entry[key] for entry in status)
        self.state.put(everyone=everyone)
        say(json.dumps(everyone))

    def run(self):
        self.server.configure()
        Mail(self.options, self.server, self.state).make()
        self.start_server()
        # On the way up: tables and slabs that have been larger do not shrink.
        for size in sorted(self.options.sizes):
            self.connect(self.parts[:size // self.options.part])
            self.measure(size)
            if size == self.options.sessions and self.options.everyone_rate > 0:
                self.everyone()
        self.show()

    def show(self):
        results = self.state.get("results")
        rows = [("user memory a session, B", "user_bytes"),
                ("with the kernel's, server's side, B", "all_bytes"),
                ("kernel memory, both ends, B", "both_ends_bytes"),
                ("memory of the tester a session, B", "tester_bytes"),
                ("deliver -> EXISTS p50, ms", "deliver_p50"),
                ("deliver -> EXISTS p99, ms", "deliver_p99"),
                ("DONE -> OK p50, ms", "done_p50"), ("DONE -> OK p99, ms", "done_p99"),
                ("first command p50, ms", "command_p50"), ("first command p99, ms", "command_p99"),
                ("CPU per refresh, ms", "deliver_cpu"), ("CPU per DONE, ms", "done_cpu"),
                ("idle CPU per 5,000, % of a core", "idle_cpu"),
                ("logins a second, the slowest part", "logins"),
                ("available memory, MiB", "available_mib")]
        sizes = sorted(results, key=int, reverse=True)
        print("| figure | " + " | ".join(f"{int(size):,}" for size in sizes) + " |")
        print("|---|" + "---|" * len(sizes))
        for title, key in rows:
            print(f"| {title} | "
                  + " | ".join(bench.show(results[size][key]) for size in sizes) + " |")
        for size in sizes:
            roles = results[size]["user_bytes_by_role"]
            print(f"{int(size):,}: " + ", ".join(f"{role} {roles[role]}" for role in sorted(roles)))
        if self.state.get("everyone"):
            print("everyone: " + json.dumps(self.state.get("everyone")))

    def stop(self):
        for part in self.parts:
            part.end()
        self.stop_server()
        shutil.rmtree(self.options.folder)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="build folder")
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--part", type=int, default=100_000, help="sessions of one load tester")
    parser.add_argument("--sizes", default="", help="measured on the way up, by commas")
    parser.add_argument("--compress", action="store_true", help="all use COMPRESS=DEFLATE")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--folder", default="/var/tmp/dormouse-million")
    parser.add_argument("--wakes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3, help="of them; the median is taken")
    parser.add_argument("--rate", type=float, default=25, help="of them, a second")
    parser.add_argument("--everyone-rate", type=float, default=600,
                        help="mailboxes a second that get mail when everyone does; 0: not tried")
    parser.add_argument("--idle", type=float, default=60, help="seconds of idle CPU")
    parser.add_argument("--keepalive", default="15min",
                        help="between two keepalives: at 2min a million sleepers and their tester on "
                        "one machine have 8,300 a second to say and hear, most of two slow cores")
    parser.add_argument("--parallel", type=int, default=64, help="logins under way")
    parser.add_argument("--port", type=int, default=20243)
    parser.add_argument("--mail-uid", type=int, default=5000)
    parser.add_argument("--stop", action="store_true", help="end everything, remove the folder")
    options = parser.parse_args()
    if options.sessions % options.part or options.part % SESSIONS_PER_USER:
        parser.error(f"--sessions in whole parts, --part in whole users ({SESSIONS_PER_USER})")
    standard = [options.sessions] + [size for size in (500_000, 100_000) if size < options.sessions]
    options.sizes = ([int(word) for word in options.sizes.split(",")] if options.sizes else standard)
    for size in options.sizes:
        if size % options.part or size > options.sessions:
            parser.error("--sizes in whole parts")
    options.load = f"{options.build}/loadtest/dormouse-load"
    Dormouse.keepalive = options.keepalive
    Dormouse.binary = f"{options.build}/dormouse"
    return options


def main():
    options = parse_options()
    if os.geteuid() != 0:
        sys.exit("million: needs root, for the memory figures and the number of sockets")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, on_sigterm)
    million = Million(options)
    if options.stop:
        million.stop()
        return
    try:
        with bench.Sysctls():
            million.run()
    except (KeyboardInterrupt, Stopped):
        say("stopped; all goes on with the same command, --stop ends it")
        sys.exit(130)


if __name__ == "__main__":
    main()
