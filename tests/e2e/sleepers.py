"""Thousands of IMAP clients in one thread: connect, say a script, and from then on hear everything.
What each hears is kept, so a test can tell that it heard exactly what it should."""

import collections
import resource
import selectors
import socket
import ssl
import time
import zlib

from server import WAIT_S

# Clients on their way through TLS and login at a time: more wait in the listen queue at best.
CONNECTING_MAX = 100


class Sleeper:
    """One client. `kind` is the test's name for it; `steps` the commands it says to begin with, each
    sent when the one before is answered; a step of "COMPRESS" deflates what follows."""

    def __init__(self, number, user, kind, tls, steps):
        self.number = number
        self.user = user
        self.kind = kind
        self.tls = tls
        self.steps = collections.deque(steps)
        self.heard = []  # untagged responses since forget(), keepalives apart
        self.answers = {}  # tag: the line
        self.waits_for = None
        self.idle_tag = None
        self.tags = 0
        self.ready = False
        self.plain = b""
        self.deflate = self.inflate = None

    def forget(self):
        self.heard = []
        self.answers = {}

    def number_of(self, word):
        """The numbers of the responses "* number WORD" heard."""
        return [int(line.split()[1]) for line in self.heard
                if line.split(b" ")[2:3] == [word.encode()]]

    def send(self, text):
        data = text.encode()
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.socket.send(data)  # far less than a socket's buffer

    def say(self, command):
        self.tags += 1
        self.waits_for = f"t{self.tags}"
        if command == "IDLE":
            self.idle_tag = self.waits_for
            self.waits_for = "+"
        self.send(f"t{self.tags} {command}\r\n")
        return f"t{self.tags}"

    def done(self):
        self.waits_for = self.idle_tag
        self.send("DONE\r\n")

    def answered(self):
        return self.waits_for is None


class Sleepers:
    def __init__(self, server):
        self.server = server
        self.all = []
        self.selector = selectors.DefaultSelector()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def close(self):
        for sleeper in self.all:
            sleeper.socket.close()
        self.selector.close()

    def connect_all(self, sleepers):
        """Until every one of them has said its steps and heard their answers."""
        waiting = collections.deque(sleepers)
        busy = set()
        end = time.monotonic() + 4 * WAIT_S
        while waiting or busy:
            assert time.monotonic() < end, f"{len(waiting) + len(busy)} are still logging in"
            while waiting and len(busy) < CONNECTING_MAX:
                sleeper = waiting.popleft()
                self._connect(sleeper)
                busy.add(sleeper)
            self._turn(0.2)
            busy = {sleeper for sleeper in busy if not sleeper.ready}

    def _connect(self, sleeper):
        port = self.server.tls_port if sleeper.tls else self.server.port
        # Addresses of the client's: ports of one alone would be too few, and keepalives align by it.
        source = f"127.0.{1 + sleeper.number % 8}.{1 + sleeper.number % 200}"
        raw = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S,
                                       source_address=(source, 0))
        raw.setblocking(False)
        if sleeper.tls:
            raw = self.context.wrap_socket(raw, do_handshake_on_connect=False)
        sleeper.socket = raw
        sleeper.shaken = not sleeper.tls
        sleeper.waits_for = "* OK"
        self.all.append(sleeper)
        self.selector.register(raw, selectors.EVENT_READ, sleeper)
        if sleeper.tls:
            self._shake(sleeper)

    def _shake(self, sleeper):
        try:
            sleeper.socket.do_handshake()
            sleeper.shaken = True
        except ssl.SSLWantReadError:
            pass

    def _turn(self, timeout):
        for key, _ in self.selector.select(timeout):
            sleeper = key.data
            if not sleeper.shaken:
                self._shake(sleeper)
            if sleeper.shaken:
                self._read(sleeper)

    def _read(self, sleeper):
        while True:
            try:
                data = sleeper.socket.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            if not data:
                raise AssertionError(f"{sleeper.kind} {sleeper.number} was dropped")
            sleeper.plain += sleeper.inflate.decompress(data) if sleeper.inflate else data
            *lines, sleeper.plain = sleeper.plain.split(b"\r\n")
            for line in lines:
                self._line(sleeper, line)

    def _line(self, sleeper, line):
        waited = sleeper.waits_for is not None and line.startswith(sleeper.waits_for.encode())
        if line.startswith(b"* BYE"):
            raise AssertionError(f"{sleeper.kind} {sleeper.number} heard {line!r}")
        if waited:
            sleeper.answers[sleeper.waits_for] = line
            sleeper.waits_for = None
            if not sleeper.ready:
                self._next_step(sleeper, line)
        elif line.startswith(b"* ") and not line.startswith(b"* OK Still here"):
            sleeper.heard.append(line)

    def _next_step(self, sleeper, line):
        assert b" OK" in line or line.startswith(b"+"), f"{sleeper.kind}: {line!r}"
        if b"DEFLATE active" in line:
            # A small window: the client's memory is not what is tested.
            sleeper.deflate = zlib.compressobj(1, zlib.DEFLATED, -10, 1)
            sleeper.inflate = zlib.decompressobj(-15)
        if sleeper.steps:
            sleeper.say(sleeper.steps.popleft())
        else:
            sleeper.ready = True
            sleeper.forget()

    def hear_until(self, condition, timeout=2 * WAIT_S):
        """False when it does not come to that."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                return False
            self._turn(0.1)
        return True

    def hear_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._turn(0.1)

    def ask(self, sleepers, command):
        """All of them say it; until all are answered. Returns those whose answer is not OK."""
        tags = [(sleeper, sleeper.say(command)) for sleeper in sleepers]
        assert self.hear_until(lambda: all(s.answered() for s in sleepers)), f"{command}: no answer"
        return [s for s, tag in tags if not s.answers.get(tag, b"+").startswith(
            (f"{tag} OK".encode(), b"+"))]
