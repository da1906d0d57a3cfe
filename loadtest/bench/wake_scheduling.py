#!/usr/bin/env python3
"""What the ways in which den, watch and tracker may be scheduled (role/scheduling.h) do for sleepers
while others log in as fast as they can. They are scheduled in turns

    long      as any process
    fair      with a short time slice
    weight    and with nine times the weight of others, in the group of the session (autogroup) too
    realtime  den and watch in real time

while clients come and go in the background and sleepers get mail and say DONE. Turns of some seconds,
so that whatever else happens on the machine, or on its host, happens to all. As root.

    loadtest/bench/wake_scheduling.py --build build/release
"""

import argparse
import ctypes
import json
import os
import struct
import subprocess

import rig

SCHED_SETATTR, SCHED_GETATTR = 314, 315  # x86-64
ATTRIBUTES = "=IIQiIQQQ"  # struct sched_attr, first version
SLICE = 5  # of its fields, ns
SHORT_SLICE_NS = 200_000
WEIGHT_NICE = -10
WAYS = ("long", "fair", "weight", "realtime")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--sleepers", type=int, default=4000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=64, help="logins under way")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--hold", type=int, default=6, help="seconds of a turn")
    parser.add_argument("--rate", type=int, default=25, help="deliveries, and DONEs, a second")
    parser.add_argument("--wake-goal", default="0ms", help="0ms: logins are not paced")
    parser.add_argument("--json")
    return parser.parse_args()


def attributes(process):
    size = struct.calcsize(ATTRIBUTES)
    buffer = ctypes.create_string_buffer(size)
    if ctypes.CDLL(None).syscall(SCHED_GETATTR, process, buffer, size, 0) != 0:
        raise OSError("sched_getattr")
    return list(struct.unpack(ATTRIBUTES, buffer.raw))


def schedule(process, way, long_ns):
    """`way` is one of WAYS."""
    policy, nice, priority, slice_ns = os.SCHED_OTHER, 0, 0, SHORT_SLICE_NS
    if way == "long":
        slice_ns = long_ns
    elif way == "weight":
        nice = WEIGHT_NICE
    elif way == "realtime":
        policy, priority, slice_ns = os.SCHED_RR, 1, 0
    fields = struct.pack(ATTRIBUTES, struct.calcsize(ATTRIBUTES), policy, 0, nice, priority,
                         slice_ns, 0, 0)
    if ctypes.CDLL(None).syscall(SCHED_SETATTR, process, fields, 0) != 0:
        raise OSError("sched_setattr")
    group = f"/proc/{process}/autogroup"
    if os.path.exists(group):
        with open(group, "w", encoding="ascii") as out:
            out.write(str(nice))


def turn(load, server, args, way, long_ns):
    for role in ("den", "watch", "tracker"):
        for process in server.pids_of(role):
            # As the server does it: the tracker is never real time.
            schedule(process, "weight" if (role, way) == ("tracker", "realtime") else way, long_ns)
    before = rig.cpu_times()
    answer = load.ask(f"hold {args.hold} deliver={args.rate} done={args.rate} timeout=60")
    return {"exists": rig.percentiles(answer["latency"]), "done": rig.percentiles(answer["answers"]),
            "missing": answer["missing"], "stolen_percent": rig.cpu_percent(before, rig.cpu_times(), "stolen")}


def main():
    args = arguments()
    binary = rig.use_build(args.build)
    from server import Server
    settings = ('[server]\nwake_scheduling = "fair"\n'
                f"[den]\nsessions = {args.sleepers * 2}\n"
                "[login]\nmax_connections_per_address = 100000\n[tracker]\nsessions_per_user = 0\n"
                f'[pressure]\nwake_goal = "{args.wake_goal}"\n')
    turns = {way: [] for way in WAYS}
    with Server(users=args.users, settings=settings, start=False) as server:
        rig.fill(server, args.users, 1)
        server.start()
        long_ns = attributes(0)[SLICE]  # the kernel's
        if attributes(server.pids_of("den")[0])[SLICE] in (0, long_ns):
            raise SystemExit("this kernel has no time slices of a task's own (Linux 6.12)")
        load = rig.Load(binary, server, args.sleepers, args.users, "--parallel", 64, tls=True)
        load.ask("wait-connected timeout=600")
        load.ask("wait-parked timeout=120")
        rig.measure_first(load.process)
        storm = subprocess.Popen(
            [binary, "storm", "-q", "--target", f"127.0.0.1:{server.tls_port}", "--tls", "--user",
             "u%d", "--password", "pw%d", "--first-user", "0", "--users", str(args.users), "-n",
             str(args.parallel), "--storms", "1000000"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(args.rounds):
                for way in WAYS:
                    turns[way].append(turn(load, server, args, way, long_ns))
                    print(way, json.dumps(turns[way][-1]), flush=True)
        finally:
            storm.terminate()
            storm.wait()
        load.close()
    for what in ("exists", "done"):
        for name, seen in turns.items():
            print(f"{what:7}{name:9}", rig.medians([each[what] for each in seen], "p50_us", "p90_us",
                                                   "p99_us"), "ms (p50 / p90 / p99)")
    if args.json:
        with open(args.json, "w", encoding="ascii") as out:
            json.dump(turns, out, indent=1)


if __name__ == "__main__":
    main()
