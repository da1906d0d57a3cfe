#!/usr/bin/env python3
"""Many sleepers leave at once (their process is killed, and the kernel closes all its sockets) while
others get mail and say DONE: how long these wait, beside the same time without anybody leaving, and
how long it takes until the server has taken all connections down.

    loadtest/bench/leave_storm.py --build build/release
"""

import argparse
import json
import time

import rig


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--sleepers", type=int, default=2000, help="those who stay")
    parser.add_argument("--leaving", type=int, default=18000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=50, help="deliveries, and DONEs, a second")
    parser.add_argument("--json")
    return parser.parse_args()


SPARE = 200  # connections of others on this machine, and listeners


def tcp_sockets():
    """Of the whole machine, both ends; the server is not asked, since it has other things to do."""
    with open("/proc/net/sockstat", encoding="ascii") as stat:
        return int(next(line for line in stat if line.startswith("TCP:")).split()[2])


def begin_hold(load, args, seconds):
    load.begin(f"hold {seconds} deliver={args.rate} done={args.rate} timeout=60")


def heard(load):
    answer = load.answer()
    return {"exists": rig.percentiles(answer["latency"]), "done": rig.percentiles(answer["answers"]),
            "missing": answer["missing"]}


def leave(server, load, binary, args):
    """All leave after one second of a hold of four."""
    leaving = rig.Load(binary, server, args.leaving, args.users, "--parallel", 64, tls=True)
    leaving.ask("wait-connected timeout=600")
    leaving.ask("wait-parked timeout=120")
    begin_hold(load, args, 4)
    quiet = heard(load)
    begin_hold(load, args, 4)
    time.sleep(1)
    before = rig.cpu_times()
    begun = time.monotonic()
    leaving.process.kill()
    leaving.process.wait()
    while tcp_sockets() > 2 * args.sleepers + SPARE:
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    after = rig.cpu_times()
    told = {"quiet": quiet, "leaving": heard(load), "seconds": round(seconds, 1),
            "stolen_percent": rig.cpu_percent(before, after, "stolen")}
    print(json.dumps(told), flush=True)
    return told


def main():
    args = arguments()
    binary = rig.use_build(args.build)
    from server import Server
    settings = (f"[den]\nsessions = {(args.sleepers + args.leaving) * 8 // 7}\n"
                "[login]\nmax_connections_per_address = 100000\n[tracker]\nsessions_per_user = 0\n")
    with Server(users=args.users, settings=settings, start=False) as server:
        rig.fill(server, args.users, 1)
        server.start()
        load = rig.Load(binary, server, args.sleepers, args.users, tls=True)
        load.ask("wait-connected timeout=600")
        load.ask("wait-parked timeout=120")
        rig.measure_first(load.process)
        rounds = [leave(server, load, binary, args) for _ in range(args.rounds)]
        load.close()
    for when in ("quiet", "leaving"):
        for what in ("exists", "done"):
            print(f"{when:8}{what:7}", rig.medians([each[when][what] for each in rounds], "p50_us",
                                                   "p90_us", "p99_us", "max_us"),
                  "ms (p50 / p90 / p99 / slowest)")
    if args.json:
        with open(args.json, "w", encoding="ascii") as out:
            json.dump(rounds, out, indent=1)


if __name__ == "__main__":
    main()
