"""What ./quickstart does once the program is built: a folder with settings, users and a certificate;
the server; one session shown step by step (demonstration.py); then the server in the foreground.
Standard library only."""

import argparse
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time

from demonstration import PARK_AFTER_S, PASSWORD, PATIENCE_S, USER, Demonstration, Failed

OTHER_USER = "ben"
# As root the mail belongs to a uid of its own; beside those of the roles (60801 to 60805).
MAIL_UID = 60806
IO_URING_SETUP = 425  # the same number on every architecture
PR_SET_PDEATHSIG = 1


def arguments():
    parser = argparse.ArgumentParser(prog="./quickstart")
    parser.add_argument("--port", type=int, default=int(os.environ.get("DORMOUSE_PORT", 10143)))
    parser.add_argument("--tls-port", type=int,
                        default=int(os.environ.get("DORMOUSE_TLS_PORT", 10993)))
    parser.add_argument("--dir", default=os.environ.get("DORMOUSE_DIR") or default_folder())
    parser.add_argument("--no-serve", action="store_true")
    parser.add_argument("--binary", default="build/release/dormouse", help=argparse.SUPPRESS)
    parser.add_argument("--preflight", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def default_folder():
    # A worker runs as the mail's own uid, which may not see into root's home.
    return "/var/lib/dormouse-quickstart" if os.geteuid() == 0 else "build/quickstart"


def preflight(options):
    """What would stop the server, said before minutes are spent on a build."""
    for port, option in ((options.port, "--port"), (options.tls_port, "--tls-port")):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise Failed(f"port {port} of 127.0.0.1 cannot be had ({error.strerror}); "
                             f"choose another with {option}") from error
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(IO_URING_SETUP, 8, ctypes.create_string_buffer(120))
    if ring >= 0:
        os.close(ring)
        return
    number = ctypes.get_errno()
    reasons = {errno.ENOSYS: "this kernel is built without io_uring",
               errno.EPERM: "a seccomp filter, a container's policy or sysctl "
                            "kernel.io_uring_disabled forbids it",
               errno.ENOMEM: "RLIMIT_MEMLOCK or the memory cgroup is too small"}
    raise Failed("no io_uring: " + reasons.get(number, os.strerror(number)))


class Folder:
    """Settings, users, certificate and mail. What is there already stays, but for the settings."""

    def __init__(self, options):
        self.path = os.path.abspath(options.dir)
        self.settings = os.path.join(self.path, "dormouse.toml")
        self.passwd = os.path.join(self.path, "passwd")
        self.certificate = os.path.join(self.path, "certificate.pem")
        self.key = os.path.join(self.path, "key.pem")
        self.mail = os.path.join(self.path, "mail")
        self.log = os.path.join(self.path, "log")
        self.uid = MAIL_UID if os.geteuid() == 0 else os.geteuid()
        self.gid = MAIL_UID if os.geteuid() == 0 else os.getegid()

    def prepare(self, options):
        os.makedirs(self.path, mode=0o755, exist_ok=True)
        if os.stat(self.path).st_uid != os.geteuid():
            raise Failed(f"{self.path} belongs to somebody else: choose another --dir")
        for sub in (self.mail, os.path.join(self.path, "base")):
            os.makedirs(sub, mode=0o755, exist_ok=True)
        for user in (USER, OTHER_USER):
            home = os.path.join(self.mail, user)
            if not os.path.exists(home):
                os.mkdir(home, 0o700)
                os.chown(home, self.uid, self.gid)
        # PLAIN, so that every mechanism works in a demonstration; docs/authentication.md has the
        # schemes for real users.
        self.write(self.passwd, 0o600, "".join(
            f"{user}:{{PLAIN}}{PASSWORD}:{self.uid}:{self.gid}::{self.mail}/{user}::\n"
            for user in (USER, OTHER_USER)))
        if not os.path.exists(self.key):
            subprocess.run([options.binary, "make-certificate", "--certificate", self.certificate,
                            "--key", self.key], check=True, stdout=subprocess.DEVNULL)
        self.write(self.settings, 0o644, f"""\
# Written by ./quickstart at every start. docs/settings.md explains every key.
[server]
base_dir = "{self.path}/base"
mail_root = "{self.mail}"
[listen]
imap = ["127.0.0.1:{options.port}"]
imaps = ["127.0.0.1:{options.tls_port}"]
[tls]
certificate = "{self.certificate}"
key = "{self.key}"
[auth]
passwd_file = "{self.passwd}"
[login]
processes = 1
[den]
sessions = 1000
park_after = "{PARK_AFTER_S}s"
""")

    @staticmethod
    def write(path, mode, text):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
            out.write(text)


def die_with_parent():
    # The server must not outlive a quickstart that was killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Server:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.log = open(folder.log, "wb")
        # A session of its own: Ctrl-C is ours to pass on, once.
        self.process = subprocess.Popen(
            [options.binary, "serve", "--config", folder.settings], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True, preexec_fn=die_with_parent)

    def log_text(self, offset=0):
        with open(self.folder.log, "rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def wait_until_ready(self):
        self.wait_for("the server to be ready", lambda: "server-ready" in self.log_text())

    def wait_for(self, what, condition):
        end = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            if self.process.poll() is not None:
                raise Failed(f"the server ended by itself (status {self.process.returncode}). "
                             f"Its log, {self.folder.log}, ends with:\n" + self.last_lines())
            if time.monotonic() > end:
                raise Failed(f"waited {PATIENCE_S} s for {what}. The server's log, "
                             f"{self.folder.log}, ends with:\n" + self.last_lines())
            time.sleep(0.02)
        return value

    def last_lines(self):
        return "\n".join(self.log_text().splitlines()[-12:])

    def view(self):
        """What SIGUSR2 makes the server say of itself."""
        offset = os.path.getsize(self.folder.log)
        self.process.send_signal(signal.SIGUSR2)

        def said():
            text = self.log_text(offset)
            return text if "--- end of view" in text else None

        return self.wait_for("the server's view", said)

    def cpu_ns(self):
        """{role: nanoseconds on a CPU so far} of the server's processes."""
        spent = {}
        master = self.process.pid
        with open(f"/proc/{master}/task/{master}/children") as file:
            pids = [master] + [int(pid) for pid in file.read().split()]
        for pid in pids:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode().split("\0")
                role = words[2] if words[1] == "role" else "master"
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                        spent[role] = spent.get(role, 0) + int(file.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return spent

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def say_how_to_connect(options, folder):
    print(f"""
The server runs. Users {USER} and {OTHER_USER}, password {PASSWORD}.

  IMAP with STARTTLS   127.0.0.1:{options.port}
  IMAP over TLS        127.0.0.1:{options.tls_port}
  mail                 {folder.mail}/{USER}/Maildir
  settings             {folder.settings}
  log                  {folder.log}

Try:
  curl --cacert {folder.certificate} -u {USER}:{PASSWORD} 'imaps://localhost:{options.tls_port}/INBOX;MAILINDEX=1'
  openssl s_client -quiet -crlf -CAfile {folder.certificate} -connect localhost:{options.tls_port}
  echo 'Subject: hello' | {options.binary} deliver {USER} --config {folder.settings}

mbsync (isync), in ~/.mbsyncrc:
  IMAPStore dormouse
  Host localhost
  Port {options.tls_port}
  User {USER}
  Pass {PASSWORD}
  SSLType IMAPS
  CertificateFile {folder.certificate}

  MaildirStore local
  Path ~/dormouse-mail/
  Inbox ~/dormouse-mail/INBOX

  Channel dormouse
  Far :dormouse:
  Near :local:
  Patterns *
  Create Near""")


def serve(server):
    print(f"""
What it holds, and what that costs:  kill -USR2 {server.process.pid}
Ctrl-C ends it. Its log from here on:
""", flush=True)
    stopping = []

    def stop(_number, _frame):
        stopping.append(True)
        server.process.terminate()  # a second time: at once

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    offset = os.path.getsize(server.folder.log)
    while True:
        ended = server.process.poll() is not None
        with open(server.folder.log, "rb") as log:
            log.seek(offset)
            news = log.read()
        offset += len(news)
        sys.stdout.write(news.decode(errors="replace"))
        sys.stdout.flush()
        if ended:
            break
        time.sleep(0.2)
    if not stopping:
        raise Failed(f"the server ended by itself, status {server.process.returncode}")
    print(f"\nended; the mail stays in {server.folder.mail}")
    return server.process.returncode


def run(options):
    preflight(options)
    if options.preflight:
        return 0
    options.binary = os.path.abspath(options.binary)
    folder = Folder(options)
    print(f"\n==> settings, users, certificate, mail: {folder.path}")
    folder.prepare(options)
    print(f"==> dormouse serve --config {folder.settings}", flush=True)
    server = Server(options, folder)
    try:
        server.wait_until_ready()
        print("==> one session, from login to sleep and back", flush=True)
        Demonstration(options, folder, server).run()
        if options.no_serve:
            status = server.stop()
            print(f"\nThe demonstration is over and the server has ended (status {status}); "
                  f"without --no-serve it stays.")
            return status
        say_how_to_connect(options, folder)
        return serve(server)
    finally:
        server.stop()


def main():
    try:
        return run(arguments())
    except Failed as failure:
        print(f"\nquickstart: {failure}", file=sys.stderr)
    except OSError as error:
        print(f"\nquickstart: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"\nquickstart: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nquickstart: interrupted; the server has ended", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
