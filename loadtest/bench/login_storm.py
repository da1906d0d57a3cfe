#!/usr/bin/env python3
"""Sleepers are there, with deliveries, DONEs and commands at a steady rate; then many more clients
connect at once, each trying again until it is in. Told: how long that takes, who was refused, reset
or lost, and how long the sleepers waited meanwhile, beside the same without a storm.

Server and clients share the machine. The process whose sleepers are measured is given real-time
priority (its work is small): otherwise half of what it measures is its own wait for a CPU. Beside it
wake_floor.py tells what two bare processes take to pass a byte on meanwhile ("floor", ms).

    loadtest/bench/login_storm.py --build build/release --admission auto
    loadtest/bench/login_storm.py --build build/release --admission off --wake-goal 0ms
"""

import argparse
import collections
import json
import os
import re
import subprocess
import tempfile
import threading
import time

import measure
import rig
from wake_floor import Floor


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--sleepers", type=int, default=20000)
    parser.add_argument("--clients", type=int, default=50000)
    parser.add_argument("--testers", type=int, default=3, help="processes the clients come from")
    parser.add_argument("--users", type=int, default=10000,
                        help="sleepers and clients share them: a storm is of those who were there")
    parser.add_argument("--admission", default="auto", choices=["auto", "bpf", "accept", "off"])
    parser.add_argument("--wake-goal", default="10ms", help="0ms: logins are not paced")
    parser.add_argument("--rate", type=int, default=10, help="acts of each kind a second")
    parser.add_argument("--hold", type=int, default=20, help="seconds of a measurement")
    parser.add_argument("--patience", type=int, default=600, help="seconds, of each client")
    parser.add_argument("--settings", default="", help="more of them, TOML")
    parser.add_argument("--json")
    return parser.parse_args()


def settings(args):
    return (f"[den]\nsessions = {(args.sleepers + args.clients) * 8 // 7}\n"
            f"[login]\nmax_connections_per_address = 100000\n"
            f"[tracker]\nsessions_per_user = 0\n"
            f'[admission]\nmode = "{args.admission}"\n'
            f'[pressure]\nenabled = true\nwake_goal = "{args.wake_goal}"\n' + args.settings)


class Storm:
    """The clients, in some processes; each ends when all of its own are in, or have given up."""

    def __init__(self, binary, server, args, folder):
        each = args.clients // args.testers
        self.processes = [subprocess.Popen(
            [binary, "storm", "-q", "--target", f"127.0.0.1:{server.tls_port}", "--tls",
             "--user", "u%d", "--password", "pw%d", "--first-user", "0",
             "--users", str(args.users), "-n", str(each), "--storms", "0",
             "--login-timeout", str(args.patience)],
            stdout=open(os.path.join(folder, str(number)), "w+", encoding="utf-8"),
            stderr=subprocess.DEVNULL) for number in range(args.testers)]
        self.folder = folder
        self.began = time.monotonic()
        self.seconds = None
        self.watch = threading.Thread(target=self.wait)
        self.watch.start()

    def wait(self):
        for process in self.processes:
            process.wait()
        self.seconds = round(time.monotonic() - self.began)

    def running(self):
        return any(process.poll() is None for process in self.processes)

    def result(self):
        total = {"clients": 0, "in": 0, "failed": 0, "lost": 0, "connects_given_up_by_tcp": 0,
                 "reasons": {}}
        for number in range(len(self.processes)):
            with open(os.path.join(self.folder, str(number)), encoding="utf-8") as out:
                status = json.loads(out.read().splitlines()[-1])["status"]
            total["clients"] += status["sessions"]
            total["in"] += status["connected"]
            total["failed"] += status["failed"]
            total["lost"] += status["lost"]
            total["connects_given_up_by_tcp"] += status["connect_timeouts"]
            for reason, times in status["reasons"].items():
                total["reasons"][reason] = total["reasons"].get(reason, 0) + times
        return total

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        self.watch.join()


def held(load, floor, args, what):
    """One kind after the other, since their goals are not the same."""
    before = rig.cpu_times()
    acts = (f"deliver={args.rate} done={args.rate}" if what == "mail" else f"command={args.rate}")
    floor.begin(args.hold, 2 * args.rate)
    answer = load.ask(f"hold {args.hold} {acts} timeout={args.patience}")
    told = {"answers": rig.percentiles(answer["answers"]), "missing": answer["missing"]}
    if what == "mail":
        told["exists"] = rig.percentiles(answer["latency"])
        told["testers_own_lateness"] = rig.percentiles(answer["lateness"])
    after = rig.cpu_times()
    for name in ("idle", "stolen"):  # by the host of a virtual machine
        told[f"cpu_{name}_percent"] = rig.cpu_percent(before, after, name)
    told["floor"] = floor.answer()
    print(json.dumps({what: told}), flush=True)
    return {what: told}


def said(server):
    return [line for line in server.view().split("\n")
            if line.startswith(("admission", "steering", "login_pace", "pressure level"))
            or any(name in line for name in ("accepted=", "  ended ", " handshakes=",
                                             " refused_connections="))]


def logged(server):
    """Warnings and worse, and (with log_level = "debug") why login's connections ended."""
    lines = re.findall(r"^\S+ (\w+) \S+ (\S+)(?:.* (reason=.*))?", server.read_log(), re.M)
    return collections.Counter(" ".join(line) for line in lines
                               if line[0] in ("warning", "error") or line[1] == "closed")


def main():
    args = arguments()
    binary = rig.use_build(args.build)
    from server import Server
    result = {"admission": args.admission, "wake_goal": args.wake_goal, "storm": []}
    with Server(users=args.users, settings=settings(args), start=False) as server, \
            tempfile.TemporaryDirectory() as folder:
        # Else there is nothing to fetch, and the den answers what is asked.
        rig.fill(server, args.users, 1)
        server.start()
        load = rig.Load(binary, server, args.sleepers, args.users, "--parallel", 64,
                        "--login-timeout", args.patience, tls=True)
        load.ask(f"wait-connected timeout={args.patience}")
        load.ask("wait-parked timeout=120")
        rig.measure_first(load.process)
        floor = Floor()
        result["quiet"] = [held(load, floor, args, "mail"), held(load, floor, args, "commands")]
        tcp = measure.tcp_counters()
        storm = Storm(binary, server, args, folder)
        try:
            while storm.running() and time.monotonic() - storm.began < 2 * args.patience:
                result["storm"].append(held(load, floor, args, "mail"))
                if storm.running():
                    result["storm"].append(held(load, floor, args, "commands"))
        finally:
            storm.close()
        result["seconds"] = storm.seconds
        result["clients"] = storm.result()
        result["sleepers"] = {name: count for name, count in load.ask("status")["status"].items()
                              if name in ("connected", "lost", "missing", "repeated_exists")}
        result["kernel"] = measure.tcp_trouble(tcp)
        result["server"] = said(server)
        result["log"] = logged(server)
        told = ("seconds", "clients", "sleepers", "kernel", "server", "log")
        print(json.dumps({name: result[name] for name in told}, indent=1), flush=True)
        load.close()
        floor.close()
    if args.json:
        with open(args.json, "w", encoding="ascii") as out:
            json.dump(result, out, indent=1)


if __name__ == "__main__":
    main()
