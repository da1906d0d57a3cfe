#!/usr/bin/env python3
"""What short time slices (role/time_slice.h) do for sleepers while others log in as fast as they
can: the slices of den, watch and tracker are made long (the kernel's own) and short in turns, while
clients come and go in the background and sleepers get mail and say DONE.

Turns of some seconds, so that whatever else happens on the machine, or on its host, happens to both.

    loadtest/bench/time_slices.py --build build/release
"""

import argparse
import ctypes
import json
import struct
import subprocess

import rig

SCHED_SETATTR, SCHED_GETATTR = 314, 315  # x86-64
ATTRIBUTES = "IIQiIQQQ"  # struct sched_attr, first version; [5] is the slice, ns
ROLES = ("den", "watch", "tracker")


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


def set_slice(process, slice_ns):
    fields = attributes(process)
    fields[0], fields[5] = struct.calcsize(ATTRIBUTES), slice_ns
    buffer = ctypes.create_string_buffer(struct.pack(ATTRIBUTES, *fields))
    if ctypes.CDLL(None).syscall(SCHED_SETATTR, process, buffer, 0) != 0:
        raise OSError("sched_setattr")


def turn(load, server, args, slice_ns):
    for role in ROLES:
        for process in server.pids_of(role):
            set_slice(process, slice_ns)
    before = rig.cpu_times()
    answer = load.ask(f"hold {args.hold} deliver={args.rate} done={args.rate} timeout=60")
    return {"exists": rig.percentiles(answer["latency"]), "done": rig.percentiles(answer["answers"]),
            "missing": answer["missing"], "stolen_percent": rig.cpu_percent(before, rig.cpu_times(), "stolen")}


def main():
    args = arguments()
    binary = rig.use_build(args.build)
    from server import Server
    settings = (f"[den]\nsessions = {args.sleepers * 2}\n"
                "[login]\nmax_connections_per_address = 100000\n[tracker]\nsessions_per_user = 0\n"
                f'[pressure]\nwake_goal = "{args.wake_goal}"\n')
    turns = {"long": [], "short": []}
    with Server(users=args.users, settings=settings, start=False) as server:
        rig.fill(server, args.users, 1)
        server.start()
        # The kernel's, and what the server takes.
        slices = {"long": attributes(0)[5], "short": attributes(server.pids_of("den")[0])[5]}
        if slices["short"] in (0, slices["long"]):
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
                for name, slice_ns in slices.items():
                    turns[name].append(turn(load, server, args, slice_ns))
                    print(name, json.dumps(turns[name][-1]), flush=True)
        finally:
            storm.terminate()
            storm.wait()
        load.close()
    for what in ("exists", "done"):
        for name, seen in turns.items():
            print(f"{what:7}{name:6}", rig.medians([each[what] for each in seen], "p50_us", "p90_us",
                                                   "p99_us"), "ms (p50 / p90 / p99)")
    if args.json:
        with open(args.json, "w", encoding="ascii") as out:
            json.dump(turns, out, indent=1)


if __name__ == "__main__":
    main()
