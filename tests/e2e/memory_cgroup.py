"""A memory cgroup for a test, v1 or v2; only root can make one. Standard library only."""

import os
import signal
import subprocess
import sys
import time

V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"


class MemoryCgroup:
    """`with MemoryCgroup("name") as group:`, and group.enter in a child before it executes."""

    @staticmethod
    def available():
        if os.geteuid() != 0:
            return False
        try:
            with MemoryCgroup("probe"):
                return True
        except OSError:
            return False

    def __init__(self, name):
        self.v1 = os.path.exists(f"{V1}/memory.limit_in_bytes")
        self.path = f"{V1 if self.v1 else V2}/dormouse-{name}-{os.getpid()}"
        os.mkdir(self.path)
        try:
            self.read("memory.limit_in_bytes" if self.v1 else "memory.max")
        except OSError:
            os.rmdir(self.path)
            raise

    def read(self, name):
        with open(f"{self.path}/{name}") as file:
            return file.read()

    def write(self, name, value):
        with open(f"{self.path}/{name}", "w") as file:
            file.write(str(value))

    def enter(self):
        self.write("cgroup.procs", os.getpid())

    def set_limit(self, size):
        self.write("memory.limit_in_bytes" if self.v1 else "memory.max", size)

    def usage(self):
        return int(self.read("memory.usage_in_bytes" if self.v1 else "memory.current"))

    def used(self):
        """Bytes in use without the pages of files that are written, as the server counts them."""
        caches = (("total_active_file", "total_inactive_file") if self.v1 else
                  ("active_file", "inactive_file", "slab_reclaimable"))
        unwritten = (("total_dirty", "total_writeback") if self.v1 else
                     ("file_dirty", "file_writeback"))
        stat = dict(line.split()[:2] for line in self.read("memory.stat").splitlines())
        back = sum(int(stat.get(key, 0)) for key in caches)
        back -= sum(int(stat.get(key, 0)) for key in unwritten)
        return self.usage() - max(back, 0)

    def oom_kills(self):
        text = self.read("memory.oom_control" if self.v1 else "memory.events")
        return int(dict(line.split()[:2] for line in text.splitlines())["oom_kill"])

    def pids(self):
        return [int(pid) for pid in self.read("cgroup.procs").split()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Our own children have ended by now; a zombie's page tables may take a moment.
        for _ in range(100):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)


class Ballast:
    """A process in the group that holds so many bytes, and ends with `close`."""

    def __init__(self, group, size):
        code = ("import mmap, sys\n"
                f"m = mmap.mmap(-1, {size})\n"
                f"for at in range(0, {size}, 4096): m[at] = 1\n"
                "print('held', flush=True)\n"
                "sys.stdin.read()\n")
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, preexec_fn=group.enter)
        assert self.process.stdout.readline() == b"held\n"

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()
