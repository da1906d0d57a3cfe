"""The servers that are measured: how each is configured, started and stopped, in a folder of its
own, on loopback, its processes known by a control group or by descent, never by name."""

import os
import shutil
import signal
import socket
import subprocess
import time

from measure import ControlGroup, Processes

HERE = os.path.dirname(os.path.abspath(__file__))
DOMAIN = "example.org"
PASSWORD = "x"


class Server:
    name = ""
    quiet_seconds = 0  # after which its sessions are surely asleep

    def __init__(self, root, mail, users, sessions, uid, gid, ports):
        self.root, self.mail, self.users, self.sessions = root, mail, users, sessions
        self.uid, self.gid = uid, gid
        self.port, self.tls_port = ports
        self.process = None
        self.group = None

    def user(self, number):
        return f"u{number}@{DOMAIN}"

    def make_mail(self):
        """Maildirs with one message each, so that FETCH 1 has something to fetch."""
        for number in range(1, self.users + 1):
            maildir = f"{self.mail}/{self.user(number)}/Maildir"
            for folder in ("cur", "new", "tmp"):
                os.makedirs(f"{maildir}/{folder}")
            with open(f"{maildir}/cur/1000000000.P1.bench:2,S", "w", encoding="ascii") as file:
                file.write(f"From: bench@{DOMAIN}\r\nTo: {self.user(number)}\r\n"
                           "Subject: first\r\n\r\nThe first letter.\r\n")
        if os.geteuid() == 0:
            for folder, _, files in os.walk(self.mail):
                os.chown(folder, self.uid, self.gid)
                for name in files:
                    os.chown(f"{folder}/{name}", self.uid, self.gid)

    def make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", f"{self.root}/key.pem", "-out", f"{self.root}/cert.pem",
             "-days", "30", "-subj", "/CN=localhost"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def configure(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def start(self):
        self.group = ControlGroup.create(f"dormouse-bench-{os.getpid()}-{self.name}")
        with open(f"{self.root}/output", "ab") as output:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=self.group.enter if self.group else None, start_new_session=True)
        if self.group is None:
            self.group = Processes(self.process.pid)
        deadline = time.monotonic() + 20
        for port in (self.port, self.tls_port):
            while not self.answers(port):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.stop()
                    raise RuntimeError(f"{self.name} does not come up: see {self.root}/output")
                time.sleep(0.1)

    @staticmethod
    def answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        """SIGTERM to the master, then patience: a server may have a lot to close (an inotify
        instance takes 15 ms, and Dovecot has one for each sleeper)."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            self.process.poll()
            if not self.group.pids():
                break
            time.sleep(0.2)
        for pid in self.group.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for _ in range(50):
            if not self.group.pids():
                break
            time.sleep(0.1)
        self.group.remove()
        self.process = None


class Dormouse(Server):
    name = "dormouse"
    quiet_seconds = 3
    binary = ""
    keepalive = "2min"  # the server's default, and Dovecot's

    def configure(self):
        self.make_certificate()
        with open(f"{self.root}/passwd", "w", encoding="ascii") as file:
            for number in range(1, self.users + 1):
                file.write(f"{self.user(number)}:{{PLAIN}}{PASSWORD}:{self.uid}:{self.gid}::"
                           f"{self.mail}/{self.user(number)}::\n")
        base = f"{self.root}/base"
        os.makedirs(base, exist_ok=True)
        with open(f"{self.root}/dormouse.toml", "w", encoding="ascii") as file:
            file.write(f"""
[server]
base_dir = "{base}"
mail_root = "{self.mail}"
log_level = "warning"
[listen]
imap = ["127.0.0.1:{self.port}"]
imaps = ["127.0.0.1:{self.tls_port}"]
[tls]
certificate = "{self.root}/cert.pem"
key = "{self.root}/key.pem"
[auth]
passwd_file = "{self.root}/passwd"
[den]
sessions = {self.sessions + 200}
park_after = "1s"
keepalive = "{self.keepalive}"
[tracker]
sessions_per_user = 1000
# Both servers are measured as they are with a machine of their own; what this one does on a busy one
# is docs/pressure.md's.
[pressure]
enabled = false
""")

    def command(self):
        return [self.binary, "serve", "--config", f"{self.root}/dormouse.toml"]


class Dovecot(Server):
    name = "dovecot"
    hibernate_seconds = 5
    quiet_seconds = hibernate_seconds + 2

    def configure(self):
        self.make_certificate()
        with open(f"{self.root}/users", "w", encoding="ascii") as file:
            for number in range(1, self.users + 1):
                file.write(f"{self.user(number)}:{{PLAIN}}{PASSWORD}\n")
        words = {"ROOT": self.root, "MAIL": self.mail, "UID": self.uid, "GID": self.gid,
                 "PORT": self.port, "TLS_PORT": self.tls_port,
                 "HIBERNATE": self.hibernate_seconds}
        with open(f"{HERE}/dovecot.conf.in", encoding="ascii") as file:
            text = file.read()
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        with open(f"{self.root}/dovecot.conf", "w", encoding="ascii") as file:
            file.write(text)

    def command(self):
        return [shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin:/usr/bin"),
                "-F", "-c", f"{self.root}/dovecot.conf"]

    @staticmethod
    def why_not():
        if shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
            return "not installed (apt-get install --no-install-recommends dovecot-imapd)"
        if os.geteuid() != 0:
            return "needs root"
        return ""
