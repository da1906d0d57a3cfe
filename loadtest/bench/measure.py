"""What a server costs: memory of its processes, memory of the kernel, CPU time; and what the kernel
refused or aborted meanwhile.

Traps that the figures are protected from:
 * PSS, not RSS: pages shared between processes are counted once.
 * Caches are dropped and slabs shrunk before each look at the kernel's memory, else freed objects
   of the run before are counted. Both need root; without it the figure is missing, not wrong.
 * CPU time comes from a control group, where there is one: exact, and with the processes that have
   ended (a server that forks for each refresh has spent its time there).
"""

import glob
import os
import time


def read_text(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def write_text(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def tcp_counters():
    """Everything /proc/net/netstat and snmp count of TCP: {name: count}."""
    counters = {}
    for path in ("/proc/net/netstat", "/proc/net/snmp"):
        lines = read_text(path).splitlines()
        for names, numbers in zip(lines[::2], lines[1::2]):
            if names.startswith("Tcp"):
                counters.update(zip(names.split()[1:], map(int, numbers.split()[1:])))
    return counters


# Why the kernel refused a connection, or ended one, where nobody had asked it to.
TCP_TROUBLE = ("ListenOverflows", "ListenDrops", "SyncookiesFailed", "TCPAbortOnData",
               "TCPAbortOnClose", "TCPAbortOnMemory", "TCPAbortOnTimeout", "TCPAbortOnLinger",
               "TCPAbortFailed", "TCPReqQFullDrop", "TCPReqQFullDoCookies", "TCPMemoryPressures",
               "TCPTimeWaitOverflow", "PAWSEstab", "TCPSYNChallenge", "TCPChallengeACK",
               "AttemptFails", "EstabResets", "OutRsts")


def tcp_trouble(before):
    """What has happened of it since `before`, tcp_counters() of then."""
    now = tcp_counters()
    return {name: now[name] - before[name] for name in TCP_TROUBLE
            if now.get(name, 0) != before.get(name, 0)}


class ControlGroup:
    """The processes of one server, whatever they fork. None of it is needed: see Processes."""

    @staticmethod
    def create(name):
        for root, usage, scale in (("/sys/fs/cgroup/cpuacct", "cpuacct.usage", 1e-9),
                                   ("/sys/fs/cgroup", "cpu.stat", 1e-6)):
            if not os.path.exists(f"{root}/{usage}"):
                continue
            try:
                os.mkdir(f"{root}/{name}")
            except OSError:
                continue
            if os.path.exists(f"{root}/{name}/{usage}"):
                return ControlGroup(f"{root}/{name}", usage, scale)
            os.rmdir(f"{root}/{name}")
        return None

    def __init__(self, path, usage, scale):
        self.path = path
        self.usage = usage
        self.scale = scale

    def enter(self):
        """In the child, before exec."""
        write_text(f"{self.path}/cgroup.procs", str(os.getpid()))

    def pids(self):
        return [int(word) for word in read_text(f"{self.path}/cgroup.procs").split()]

    def cpu_seconds(self):
        words = read_text(f"{self.path}/{self.usage}").split()
        value = words[words.index("usage_usec") + 1] if "usage_usec" in words else words[0]
        return int(value) * self.scale

    def remove(self):
        try:
            os.rmdir(self.path)
        except OSError as error:
            print(f"bench: {error}")


class Processes:
    """The same from /proc: descendants of one process; CPU time in ticks of 10 ms."""

    def __init__(self, root_pid):
        self.root = root_pid

    @staticmethod
    def stat(pid):
        # The name may hold spaces and brackets: fields count from the last bracket.
        return read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()

    def pids(self):
        children = {}
        for path in glob.glob("/proc/[0-9]*"):
            pid = int(path[6:])
            try:
                children.setdefault(int(self.stat(pid)[1]), []).append(pid)
            except OSError:
                continue
        found = [self.root] if os.path.exists(f"/proc/{self.root}") else []
        for pid in found:
            found.extend(children.get(pid, []))
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            try:
                # utime, stime, and those of children that were waited for.
                ticks += sum(int(field) for field in self.stat(pid)[11:15])
            except OSError:
                continue
        return ticks / os.sysconf("SC_CLK_TCK")

    def remove(self):
        pass


def role_of(pid):
    """What a process is: `dormouse role worker` is a worker; else the program's name."""
    words = read_text(f"/proc/{pid}/cmdline").split("\0")
    if len(words) > 2 and words[1] == "role":
        return words[2]
    return read_text(f"/proc/{pid}/comm").strip()


def user_bytes_by_role(pids):
    """PSS of the processes, added up by role; None where /proc does not let us look."""
    roles = {}
    for pid in pids:
        try:
            role = role_of(pid)
            for line in read_text(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith("Pss:"):
                    roles[role] = roles.get(role, 0) + int(line.split()[1]) * 1024
        except FileNotFoundError:
            continue
        except (PermissionError, ProcessLookupError):
            if os.path.exists(f"/proc/{pid}"):
                return None
    return roles


class KernelMemory:
    """Slab, page tables and kernel stacks, in bytes, by cache."""

    PARTS = ("Slab", "PageTables", "KernelStack")

    def __init__(self):
        self.caches = {}
        for line in read_text("/proc/slabinfo").splitlines()[2:]:
            fields = line.split()
            self.caches[fields[0]] = int(fields[1]) * int(fields[3])
        info = dict(line.split(":") for line in read_text("/proc/meminfo").splitlines())
        self.parts = {part: int(info[part].split()[0]) * 1024 for part in self.PARTS}

    @staticmethod
    def look():
        """After letting go of what can be let go; None without root."""
        try:
            os.sync()
            write_text("/proc/sys/vm/drop_caches", "3")
            for _ in range(2):
                for path in glob.glob("/sys/kernel/slab/*/shrink"):
                    write_text(path, "1")
                time.sleep(0.5)  # objects freed by RCU come back a grace period later
            return KernelMemory()
        except OSError:
            return None

    def since(self, before):
        return sum(self.parts[part] - before.parts[part] for part in self.PARTS)

    def top_caches(self, before, per, count=12):
        grown = {name: (size - before.caches.get(name, 0)) / per
                 for name, size in self.caches.items()}
        best = sorted(grown.items(), key=lambda item: -item[1])[:count]
        return {name: round(size, 1) for name, size in best if size >= 1}


def bare_socket_bytes(pairs=4000):
    """What one end of an idle loopback connection costs the kernel, with its descriptor: measured
    with both ends in this process and nothing else about them."""
    import socket
    before = KernelMemory.look()
    if before is None:
        return None
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    kept = []
    for _ in range(pairs):
        client = socket.create_connection(listener.getsockname())
        kept += [client, listener.accept()[0]]
    after = KernelMemory.look()
    for end in kept:
        end.close()
    listener.close()
    return after.since(before) / (2 * pairs)
