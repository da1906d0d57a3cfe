"""What ./quickstart shows: one session from its login to its sleep and back, each step with what was
said, how long it took and what it cost each process of the server."""

import re
import socket
import ssl
import subprocess
import sys
import time

USER = "anna"
PASSWORD = "asleep"
# How long a step may take before the demonstration gives up; a busy machine is not a failure.
PATIENCE_S = 30
PARK_AFTER_S = 2  # the demonstration's bound; the park policy may wait longer


class Failed(Exception):
    """Said to the user as it is."""


class Client:
    """An IMAP client, over TLS, that shows what is said."""

    def __init__(self, options, folder):
        context = ssl.create_default_context(cafile=folder.certificate)
        raw = socket.create_connection(("127.0.0.1", options.tls_port), timeout=PATIENCE_S)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.received = b""
        self.shown = []

    def send(self, text):
        self.shown.append("C: " + text.replace(PASSWORD, "..."))
        self.socket.sendall(text.encode() + b"\r\n")

    def until(self, start, seen=None):
        """Reads up to the line that starts so, literals of the lines before it included."""
        while True:
            while b"\n" not in self.received:
                more = self.socket.recv(65536)
                if not more:
                    raise Failed("the server closed the connection")
                self.received += more
            text = self.take_line()
            if seen is not None:
                seen.append(text)
            if text.startswith(start) or (start == "EXISTS" and text.endswith(" EXISTS")):
                return text

    def take_line(self):
        line, self.received = self.received.split(b"\n", 1)
        text = line.decode(errors="replace").rstrip("\r")
        self.shown.append("S: " + text)
        return text

    def linger(self, seconds):
        """Takes what the server still says of its own accord."""
        self.socket.settimeout(seconds)
        try:
            self.received += self.socket.recv(65536)
        except TimeoutError:
            pass
        self.socket.settimeout(PATIENCE_S)
        while b"\n" in self.received:
            self.take_line()

    def expect_ok(self, tag, seen=None):
        answer = self.until(tag + " ", seen)
        if not answer.startswith(tag + " OK"):
            raise Failed("the server refused: " + answer)


def counter(view, name):
    """The sum over the dens of one number of the view."""
    return sum(int(value) for value in re.findall(rf"^\s*den\[.*\b{name}=(\d+)", view, re.M))


class Demonstration:
    def __init__(self, options, folder, server):
        self.options = options
        self.folder = folder
        self.server = server
        self.client = None

    def step(self, title, action):
        """Does one step and says what was said, how long it took and what it cost the server."""
        before = self.server.cpu_ns()
        started = time.monotonic()
        note = action()
        taken_ms = (time.monotonic() - started) * 1000
        # The server tidies up behind an answer: that is part of its cost.
        self.client.linger(0.05)
        after = self.server.cpu_ns()
        spent = {role: (ns - before.get(role, 0)) / 1e6 for role, ns in after.items()}
        parts = ", ".join(f"{role} {ms:.2f}" for role, ms in
                          sorted(spent.items(), key=lambda item: -item[1]) if ms >= 0.005)
        print(f"\n  {title}")
        for line in self.client.shown:
            print("      " + line)
        self.client.shown.clear()
        cost = f"server CPU {sum(spent.values()):.2f} ms" + (f" ({parts})" if parts else "")
        print(f"    - {taken_ms:.1f} ms; {cost}")
        if callable(note):
            note = note()  # looks at the server, which must not count
        if note:
            print(f"    - {note}")
        sys.stdout.flush()

    def run(self):
        self.step("1. connect over TLS and log in", self.log_in)
        self.step("2. SELECT, then IDLE", self.idle)
        self.step("3. quiet: the session is parked", self.wait_parked)
        self.step("4. a mail is delivered (dormouse deliver); the sleeper is told", self.deliver)
        self.step("5. DONE, answered by the den itself", self.done)
        self.step("6. FETCH: a worker takes the session up again", self.fetch)
        self.step("7. LOGOUT", self.log_out)

    def log_in(self):
        self.client = Client(self.options, self.folder)
        self.client.until("* OK")
        self.client.send(f"a LOGIN {USER} {PASSWORD}")
        self.client.expect_ok("a")
        return f"{self.client.socket.version()}, {self.client.socket.cipher()[0]}"

    def idle(self):
        self.client.send("b SELECT INBOX")
        self.client.expect_ok("b")
        self.client.send("c IDLE")
        self.client.until("+")

    def wait_parked(self):
        time.sleep(PARK_AFTER_S + 0.3)
        return self.parked_note

    def parked_note(self):
        view = self.server.wait_for("the session to park", self.view_when_parked)
        self.attaches = counter(view, "attaches")
        awake = sum(map(int, re.findall(r"\bworker sessions=(\d+)", view)))
        return (f"all that is kept of it: a record of {counter(view, 'record_bytes_mean')} bytes "
                f"(TLS keys, IMAP state) and its socket; sessions held by workers: {awake}")

    def view_when_parked(self):
        view = self.server.view()
        return view if counter(view, "parked_idle") == 1 else None

    def deliver(self):
        mail = (f"From: Dormouse <dormouse@example.org>\r\nTo: {USER}@example.org\r\n"
                f"Subject: Twinkle, twinkle, little bat\r\nDate: {time.strftime('%a, %d %b %Y %T %z')}"
                "\r\n\r\nHow I wonder what you're at!\r\n")
        started = time.monotonic()
        subprocess.run([self.options.binary, "deliver", USER, "--config", self.folder.settings],
                       input=mail.encode(), check=True)
        delivered_ms = (time.monotonic() - started) * 1000
        self.number = self.client.until("EXISTS").split()[1]
        total_ms = (time.monotonic() - started) * 1000
        return (f"the delivery itself took {delivered_ms:.1f} ms; EXISTS was there "
                f"{max(0.0, total_ms - delivered_ms):.1f} ms after it had ended")

    def done(self):
        self.client.send("DONE")
        self.client.expect_ok("c")

    def fetch(self):
        self.client.send(f"d FETCH {self.number} (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        seen = []
        self.client.expect_ok("d", seen)
        if not any("Twinkle" in line for line in seen):
            raise Failed("the mail that FETCH brought is not the one that was delivered")

    def log_out(self):
        self.client.send("e LOGOUT")
        self.client.expect_ok("e")
        return self.counted_note

    def counted_note(self):
        view = self.server.view()
        return (f"the den's counts: DONE answered asleep {counter(view, 'talk_done')}, "
                f"refreshes {counter(view, 'refreshes')}, "
                f"woken by the client {counter(view, 'attaches') - self.attaches}")
