"""A Dormouse server for a test: its own folder, users, certificate and ports, processes stopped by
id, nothing left behind. Standard library only."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

BINARY = os.environ.get("DORMOUSE", "build/release/dormouse")
# Generous, since CI machines are busy: a test waits for what must happen, never for a time.
WAIT_S = int(os.environ.get("DORMOUSE_WAIT_S", "60"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, timeout=WAIT_S, pause=0.02):
    """The first true value of condition(), or an AssertionError that names `what`."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(pause)


class Server:
    """`with Server(users=10) as server:`. Users are u0, u1, ...; the password of uN is pwN.
    `names`: of the certificate; localhost and 127.0.0.1 by default."""

    def __init__(self, users=3, settings="", start=True, names=()):
        self.folder = tempfile.mkdtemp(prefix="dormouse-e2e-")
        os.chmod(self.folder, 0o755)
        self.port = free_port()
        self.tls_port = free_port()
        self.users = users
        self.log_path = os.path.join(self.folder, "log")
        self.process = None
        self.enter = None  # what the server's process does before it becomes the server
        # As root the mail belongs to somebody else; otherwise to us.
        self.mail_uid = 5000 if os.geteuid() == 0 else os.geteuid()
        self.mail_root = os.path.join(self.folder, "mail")
        os.mkdir(self.mail_root)
        self._own(self.mail_root)
        passwd = os.path.join(self.folder, "passwd")
        with open(passwd, "w") as out:
            for i in range(users):
                home = self.home(f"u{i}")
                os.mkdir(home)
                self._own(home)
                out.write(f"u{i}:{{PLAIN}}pw{i}:{self.mail_uid}:{self.mail_uid}::{home}::\n")
        subprocess.run(
            [BINARY, "make-certificate", "--certificate", f"{self.folder}/cert.pem", "--key",
             f"{self.folder}/key.pem"] + [word for name in names for word in ("--name", name)],
            check=True, stdout=subprocess.DEVNULL)
        self.config = os.path.join(self.folder, "dormouse.toml")
        sections = {
            "server": f'base_dir = "{self.folder}/base"\nmail_root = "{self.mail_root}"',
            "listen": f'imap = ["127.0.0.1:{self.port}"]\nimaps = ["127.0.0.1:{self.tls_port}"]',
            "tls": f'certificate = "{self.folder}/cert.pem"\nkey = "{self.folder}/key.pem"',
            "auth": f'passwd_file = "{passwd}"',
            "login": "processes = 2\nfailure_delay = \"50ms\"",
            "den": 'sessions = 4000\npark_after = "300ms"',
            "tracker": "sessions_per_user = 0",
            # A machine that runs tests is busy; what that changes is test_pressure.py's.
            "pressure": "enabled = false",
        }
        for section, lines in re.findall(r"\[(\w+)\]\n((?:[^\[].*\n?)*)", settings):
            kept = [line for line in sections.get(section, "").split("\n")
                    if line.split("=")[0].strip() not in
                    [new.split("=")[0].strip() for new in lines.split("\n") if new.strip()]]
            sections[section] = "\n".join(kept + [lines])
        with open(self.config, "w") as out:
            for section, lines in sections.items():
                out.write(f"[{section}]\n{lines}\n")
        os.makedirs(f"{self.folder}/base", exist_ok=True)
        if start:
            self.start()

    def _own(self, path):
        if os.geteuid() == 0:
            os.chown(path, self.mail_uid, self.mail_uid)

    def home(self, user):
        return os.path.join(self.mail_root, user)

    def maildir(self, user):
        return os.path.join(self.home(user), "Maildir")

    def start(self):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen([BINARY, "serve", "--config", self.config],
                                        stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, start_new_session=True,
                                        preexec_fn=self.enter)

        def up():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n"
                                     + self.read_log()[-4000:])
            return "server-ready" in self.read_log()

        wait_for("the server to be ready", up)

    def read_log(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode(errors="replace")

    def stop(self):
        """Ends it in order; returns its exit status."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            status = self.process.wait(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process = None
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("---- the server's log, last 6,000 characters ----")
            print(self.read_log()[-6000:])
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def children(self):
        """{pid: role name and arguments} of the server's processes."""
        found = {}
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            for pid in f.read().split():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as c:
                        found[int(pid)] = c.read().decode().split("\0")
                except FileNotFoundError:
                    pass
        return found

    def pids_of(self, role):
        return [pid for pid, line in self.children().items() if role in line]

    def kill_role(self, role, sig=signal.SIGKILL):
        """Kills every process of the role by its id; returns the ids."""
        pids = self.pids_of(role)
        for pid in pids:
            os.kill(pid, sig)
        return pids

    def view(self):
        """The text that SIGUSR2 makes the server print."""
        start = os.path.getsize(self.log_path)
        self.process.send_signal(signal.SIGUSR2)

        def printed():
            with open(self.log_path, "rb") as log:
                log.seek(start)
                text = log.read().decode(errors="replace")
            return text if "--- end of view" in text else None

        return wait_for("the view", printed)

    def counter(self, name, view=None):
        """The sum of every `name=` in the dens' lines of a view."""
        text = view if view is not None else self.view()
        return sum(int(n) for line in text.split("\n") if re.match(r"\s*den\[\d+\] ", line)
                   for n in re.findall(rf"\b{name}=(\d+)", line))

    def drop_mail(self, user, text=b"Subject: hello\r\n\r\nhello\r\n", name=None, folder=""):
        """What any other program does: into tmp/, then renamed into new/."""
        maildir = os.path.join(self.maildir(user), folder) if folder else self.maildir(user)
        name = name or f"{time.time_ns()}.{os.getpid()}_{threading.get_ident()}.test"
        tmp = os.path.join(maildir, "tmp", name)
        with open(tmp, "wb") as out:
            out.write(text)
        self._own(tmp)
        os.rename(tmp, os.path.join(maildir, "new", name))
        return name
