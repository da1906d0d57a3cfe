#!/usr/bin/env python3
"""Every mailbox of many sleepers changes at once (another program sets a flag on its message), while
some clients say DONE and some a command. Told: how long it takes until every sleeper was told, at how
many refreshes a second, and how long the clients waited meanwhile, beside the same without a storm.

    loadtest/bench/refresh_storm.py --build build/release --sessions 100000 --users 20000
"""

import argparse
import json
import os
import threading
import time

import rig


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--sessions", type=int, default=20000)
    parser.add_argument("--users", type=int, default=20000)
    parser.add_argument("--storms", type=int, default=3)
    parser.add_argument("--asks", type=int, default=50, help="of each kind, a second")
    parser.add_argument("--quiet-seconds", type=int, default=15)
    parser.add_argument("--settings", default="", help="more of them, TOML")
    parser.add_argument("--json")
    return parser.parse_args()


class Mailboxes:
    """One message in each; change() sets or takes its flag, as a mail program would."""

    def __init__(self, server, users):
        self.paths = []
        for number in range(users):
            path = server.maildir(f"u{number}")
            for name in ("", "cur", "new", "tmp"):
                os.mkdir(os.path.join(path, name))
                server._own(os.path.join(path, name))
            base = os.path.join(path, "cur", f"{1700000000 + number}.m.test:2,")
            with open(base, "wb") as out:
                out.write(b"Subject: hello\r\n\r\nhello\r\n")
            server._own(base)
            self.paths.append(base)
        self.seen = False

    def change(self):
        before, after = ("S", "") if self.seen else ("", "S")
        for path in self.paths:
            os.rename(path + before, path + after)
        self.seen = not self.seen


def refreshed(server):
    return server.counter("refreshes")


def going_on(samples, args):
    """Who says DONE or a command meanwhile hears it then: a few need no refresh."""
    _, told, *waiting = samples[-1]
    lately = samples[-10:]
    over = told > 0.9 * args.sessions and not any(waiting) and lately[0][1] == told
    return told < args.sessions and not over


def one_storm(server, load, mailboxes, args):
    before = refreshed(server)
    seconds = max(args.sessions // 500, 20)
    load.begin(f"hold {seconds} done={args.asks} command={args.asks} timeout=300")
    time.sleep(1)
    began = time.monotonic()
    changer = threading.Thread(target=mailboxes.change)
    changer.start()
    samples = []
    while not samples or (going_on(samples, args) and samples[-1][0] < 600):
        time.sleep(0.5)
        view = server.view()
        samples.append((time.monotonic() - began, server.counter("refreshes", view) - before,
                        rig.counted(view, "refresh"), server.counter("refreshes_waiting", view)))
    changer.join()
    told = next(sample for sample in samples if sample[1] == samples[-1][1])
    answer = load.answer()
    return {"refreshes": told[1], "seconds": round(told[0], 1),
            "refreshes_per_second": round(told[1] / told[0]),
            "most_waiting_at_the_tracker": max(s[2] for s in samples),
            "most_waiting_at_the_dens": max(s[3] for s in samples),
            "asked": answer["asked"], "answered": answer["answered"],
            "latency": answer["answers"], "lateness": answer["lateness"]}


def main():
    args = arguments()
    binary = rig.use_build(args.build)
    from server import Server
    settings = (f"[den]\nsessions = {args.sessions + 2000}\npark_after = \"300ms\"\n"
                f"[login]\nmax_connections_per_address = 2000\n" + args.settings)
    results = {"sessions": args.sessions, "users": args.users, "storms": []}
    with Server(users=args.users, settings=settings, start=False) as server:
        mailboxes = Mailboxes(server, args.users)
        server.start()
        load = rig.Load(binary, server, args.sessions, args.users, "--parallel", 200,
                        "--login-timeout", 600)
        connected = load.ask("wait-connected timeout=3000")
        print(json.dumps({"logins_per_second": connected.get("logins_per_second"),
                          "ok": connected["ok"], "error": connected.get("error")}), flush=True)
        load.ask("wait-parked timeout=300")
        quiet = load.ask(f"hold {args.quiet_seconds} done={args.asks} command={args.asks}")
        results["quiet"] = quiet["answers"]
        print(json.dumps({"quiet": quiet["answers"]}), flush=True)
        for _ in range(args.storms):
            load.ask("wait-parked timeout=300")
            results["storms"].append(one_storm(server, load, mailboxes, args))
            print(json.dumps(results["storms"][-1]), flush=True)
        results["status"] = load.ask("status")["status"]
        print(json.dumps(results["status"]), flush=True)
        view = server.view()
        results["view"] = [line for line in view.split("\n")
                           if "queue waiting" in line or "pressure level" in line]
        print("\n".join(results["view"]), flush=True)
        load.close()
    if args.json:
        with open(args.json, "w", encoding="ascii") as out:
            json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
