"""For the scripts that press a server: a Dormouse of their own (that of the tests) and a
dormouse-load that is driven by commands."""

import json
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "e2e"))


def use_build(build):
    """Before anything of the tests is imported."""
    os.environ["DORMOUSE"] = os.path.join(build, "dormouse")
    return os.path.join(build, "loadtest", "dormouse-load")


class Load:
    """`dormouse-load sleep` with its control channel."""

    def __init__(self, binary, server, sessions, users, *options, tls=False):
        self.process = subprocess.Popen(
            [binary, "sleep", "-q", "--control", "-", "--target",
             f"127.0.0.1:{server.tls_port if tls else server.port}", *(["--tls"] if tls else []),
             "--user", "u%d", "--password", "pw%d", "--first-user", "0", "-n", str(sessions),
             "--users", str(users), "--maildir", f"{server.mail_root}/%u/Maildir",
             *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def begin(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("dormouse-load ended")
        return json.loads(line)

    def ask(self, command):
        self.begin(command)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=120)
        self.process.stdout.close()


def measure_first(process):
    """Real time, round robin, the lowest priority of that; says so where it is not permitted."""
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        try:
            os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            print("not root: what is measured has the tester's own waits in it", flush=True)
            return


def percentiles(histogram):
    return {name: histogram[name] for name in ("count", "p50_us", "p90_us", "p99_us", "max_us")}


def cpu_times():
    with open("/proc/stat", encoding="ascii") as stat:
        times = [int(word) for word in stat.readline().split()[1:]]
    return {"idle": times[3] + times[4], "stolen": times[7], "all": sum(times[:8])}


def cpu_percent(before, after, name):
    """Of all CPU time between two cpu_times()."""
    return round(100 * (after[name] - before[name]) / max(after["all"] - before["all"], 1), 1)


def medians(histograms, *names):
    """Milliseconds, of several turns."""
    return " / ".join(f"{statistics.median(each[name] for each in histograms) / 1000:.2f}"
                      for name in names)


def fill(server, users, messages):
    """So many messages in each user's mailbox."""
    for number in range(users):
        path = server.maildir(f"u{number}")
        for name in ("", "cur", "new", "tmp"):
            os.mkdir(os.path.join(path, name))
            server._own(os.path.join(path, name))
        for message in range(messages):
            name = os.path.join(path, "cur", f"{1700000000 + message}.m{number}.test:2,")
            with open(name, "wb") as out:
                out.write(b"Subject: hello %d\r\n\r\nhello\r\n" % message)
            server._own(name)


def counted(view, name):
    """The sum of every `name=` in a view."""
    return sum(int(number) for number in re.findall(rf"\b{name}=(\d+)", view))
