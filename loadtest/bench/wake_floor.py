#!/usr/bin/env python3
"""What two bare processes take to pass a byte on, as watch and den do for an EXISTS, while whatever else
runs on the machine. They do nothing else, have the short time slice of the server's roles, and each a
session of its own, as roles have (what shares a session with others shares their part of the CPUs, too:
autogroup, sched(7)). Who measures has real-time priority, as the load tester has. So it is what
server.wake_scheduling = "fair" could give at best.

    loadtest/bench/wake_floor.py --seconds 20
    echo '20 10' | loadtest/bench/wake_floor.py --serve     # seconds and bytes a second, by lines

Answers milliseconds as JSON. login_storm.py runs it beside its sleepers.
"""

import argparse
import ctypes
import json
import os
import platform
import struct
import subprocess
import sys
import time

SHORT_SLICE_NS = 200_000  # role/scheduling.h
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
HOPS = 2


def take_short_slice():
    """As role/scheduling.cc; does nothing where the kernel knows no slices."""
    # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
    attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, 0, 0, SHORT_SLICE_NS, 0, 0)
    number = SCHED_SETATTR.get(platform.machine())
    if number is None or ctypes.CDLL(None).syscall(number, 0, attributes, 0) != 0:
        print("wake_floor: no short time slice", file=sys.stderr)


def take_real_time():
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        print("wake_floor: not root: my own waits are in it", file=sys.stderr)


def pass_on(source, sink):
    os.setsid()
    take_short_slice()
    while passed := os.read(source, 1):
        os.write(sink, passed)


class Chain:
    """Processes in a row; ends with the object."""

    def __init__(self):
        first, self.sink = os.pipe()
        source = first
        for _ in range(HOPS):
            following, sink = os.pipe()
            if os.fork() == 0:
                os.close(self.sink)
                pass_on(source, sink)
                os._exit(0)
            os.close(source)
            os.close(sink)
            source = following
        self.source = source
        take_real_time()

    def hold(self, seconds, rate):
        """Milliseconds from when each byte was sent."""
        took = []
        due = time.monotonic()
        for _ in range(int(seconds * rate)):
            due += 1 / rate
            time.sleep(max(due - time.monotonic(), 0))
            sent = time.monotonic()
            os.write(self.sink, b".")
            os.read(self.source, 1)
            took.append((time.monotonic() - sent) * 1000)
        took.sort()
        return {f"p{part}": round(took[min(len(took) * part // 100, len(took) - 1)], 2)
                for part in (50, 90, 99)} | {"max": round(took[-1], 2)} if took else {}


class Floor:
    """For other scripts: measures in a process of its own while they do something else."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--serve"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, seconds, rate):
        self.process.stdin.write(f"{seconds} {rate}\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=20, help="bytes a second")
    parser.add_argument("--serve", action="store_true")
    args = parser.parse_args()
    chain = Chain()
    if not args.serve:
        print(json.dumps(chain.hold(args.seconds, args.rate)))
        return
    for line in sys.stdin:
        seconds, rate = line.split()
        print(json.dumps(chain.hold(float(seconds), float(rate))), flush=True)


if __name__ == "__main__":
    main()
