#!/usr/bin/env python3
"""A load that needs more memory than there is. The same load three times: with all the memory that it
takes; with a part of that, and a server that does not bend ([pressure] enabled = false); and with the
same part and one that does. Told for each: the most memory, processes that the kernel killed, who was
lost, who was refused, how long clients waited; and for the last, its levels, and how long after the
load it was calm again. Needs root (a memory cgroup).

    loadtest/bench/squeeze.py --build build/release --sessions 1500 --share 0.6
"""

import argparse
import json
import re
import threading
import time

import rig


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--sessions", type=int, default=1500, help="a user each")
    parser.add_argument("--messages", type=int, default=300, help="in each mailbox")
    parser.add_argument("--share", type=float, default=0.6, help="of the memory that it takes")
    parser.add_argument("--rate", type=int, default=100, help="commands a second, and deliveries")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--patience", type=int, default=90, help="seconds, for all to be connected")
    parser.add_argument("--need", type=int, default=0,
                        help="MiB that the load takes, where known: only the server that bends runs")
    parser.add_argument("--json")
    return parser.parse_args()


class Watch:
    """The most that the group had in use, looked at often."""

    def __init__(self, group):
        self.group = group
        self.most = 0
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ends.wait(0.1):
            self.most = max(self.most, self.group.used())

    def close(self):
        self.ends.set()
        self.thread.join()


def settings(args, bends):
    return (f'[den]\nsessions = {args.sessions + 500}\n'
            "[login]\nmax_connections_per_address = 2000\n"
            f"[pressure]\nenabled = {'true' if bends else 'false'}\ncalm_after = \"5s\"\n"
            # What the rest of the machine does is not to be measured here.
            "cpu_stall_busy = 100\nio_stall_busy = 100\nio_stall_pressed = 100\n")


def levels(server):
    """Each with what caused it: "pressed memory=953"."""
    return [f"{level} {reading}={value}" if reading else level for level, reading, value in
            re.findall(r" pressure level=(\w+) was=\w+(?: reading=(\w+) value=(\d+))?",
                       server.read_log())]


def run(args, binary, limit, bends):
    from memory_cgroup import MemoryCgroup
    from server import Server
    with MemoryCgroup("squeeze") as group, \
            Server(users=args.sessions, settings=settings(args, bends), start=False) as server:
        rig.fill(server, args.sessions, args.messages)
        server.enter = group.enter
        server.start()
        idle = group.used()
        if limit:
            group.set_limit(limit)
        pids = set(server.children())
        watch = Watch(group)
        load = rig.Load(binary, server, args.sessions, args.sessions, "--ramp", 150, "--parallel",
                        200, "--headers", 50, "--login-timeout", 120, "--may-drop-awake")
        connected = load.ask(f"wait-connected timeout={args.patience}")
        held = load.ask(f"hold {args.seconds} deliver={args.rate} done={args.rate // 2} "
                        f"command={args.rate // 2} timeout={args.seconds + args.patience}")
        status = load.ask("status")["status"]
        watch.close()
        view = server.view()
        load.close()
        ended = time.monotonic()
        calm = None
        while bends and limit and time.monotonic() - ended < 120:
            if "pressure level=calm" in server.view():
                calm = round(time.monotonic() - ended, 1)
                break
            time.sleep(0.5)
        result = {
            "limit_mib": limit >> 20 if limit else None, "bends": bends,
            "idle_mib": idle >> 20, "most_mib": watch.most >> 20,
            "oom_kills": group.oom_kills(),
            "roles_lost": sum("worker" not in line for pid, line in server.children().items()
                              if pid not in pids),
            "logins": connected.get("logins"), "status": status,
            "missing": held.get("missing"), "latency_of_mail": held.get("latency"),
            "latency_of_answers": held.get("answers"), "hold_error": held.get("error"),
            "refused": {name: rig.counted(view, name) for name in
                        ("refused_connections", "dropped_connections", "refused_logins",
                         "paced_logins", "talk_delayed")},
            "levels": levels(server), "calm_after_seconds": calm}
    print(json.dumps(result), flush=True)
    return result


def main():
    args = arguments()
    binary = rig.use_build(args.build)
    from memory_cgroup import MemoryCgroup
    if not MemoryCgroup.available():
        raise SystemExit("no memory cgroup can be made here")
    results = [] if args.need else [run(args, binary, 0, False)]
    need = (args.need or results[0]["most_mib"]) << 20
    limit = int(need * args.share) // 4096 * 4096
    if not args.need:
        results.append(run(args, binary, limit, False))
    results.append(run(args, binary, limit, True))
    if args.json:
        with open(args.json, "w", encoding="ascii") as out:
            json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
