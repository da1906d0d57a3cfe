"""Clients that drip, flood, lie about sizes, send garbage, or say nothing: each costs only itself.
While all of them hang on, honest clients are answered and sleepers hear of their mail; afterwards
every process of the server is the one it was."""

import os
import random
import socket
import ssl
import time
import unittest

import mails
from imap_client import Client
from server import WAIT_S, Server, wait_for

MIB = 1024 * 1024
BIG_BODY_BYTES = 24 * MIB
# What a process may hold while a client has asked for a hundred times that much, and reads nothing.
RESIDENT_BYTES_MAX = 200 * MIB
HUGE_SIZES = (b"4294967295", b"18446744073709551615", b"99999999999999999999999", b"-1", b"0x10",
              b"1073741824")
CHANCE = random.Random(7)


class RawTls:
    """TLS whose records pass through our hands: they can be cut, dripped and forged."""

    def __init__(self, server, version=ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.socket = socket.create_connection(("127.0.0.1", server.tls_port), timeout=WAIT_S)
        self.text = b""

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.socket.sendall(self.outgoing.read())
                return self
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                self.incoming.write(self.socket.recv(65536))

    def hello(self):
        """The ClientHello's bytes."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def records(self, text):
        self.tls.write(text)
        return self.outgoing.read()

    def read_until(self, text):
        while text not in self.text:
            try:
                self.text += self.tls.read(65536)
            except ssl.SSLWantReadError:
                data = self.socket.recv(65536)
                if not data:
                    raise EOFError(self.text)
                self.incoming.write(data)
        self.text = self.text[self.text.index(text) + len(text):]

    def login(self, number, idle=False):
        self.handshake()
        self.socket.sendall(self.records(b"r1 LOGIN u%d pw%d\r\nr2 SELECT INBOX\r\n"
                                         % (number, number)))
        self.read_until(b"r2 OK")
        if idle:
            self.socket.sendall(self.records(b"r3 IDLE\r\n"))
            self.read_until(b"+ ")
        return self


class HostileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=6, start=False,
                            settings="[login]\nmax_connections_per_address = 50\n")
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        big = mails.header(b"big") + b"\n" + b"0123456789abcde\n" * (BIG_BODY_BYTES // 16)
        for user in range(6):
            mails.fill(cls.server, f"u{user}", {"one": mails.numbered(1)})
        mails.fill(cls.server, "u1", {"one": mails.numbered(1), "big": big})
        cls.server.start()
        # A worker is there once somebody came.
        client = Client(cls.server)
        client.login(0)
        client.close()
        cls.processes = cls.server.children()

    def setUp(self):
        self.sockets = []
        self.sleepers = []
        for tls in (False, True):
            client = Client(self.server, tls=tls)
            client.login(2)
            untagged, _ = client.command("SELECT INBOX")
            client.exists = [int(line.split()[1]) for line in untagged
                             if line.endswith(b"EXISTS")][0]
            client.idle()
            self.sleepers.append(client)
            self.addCleanup(client.close)
        wait_for("sleepers", lambda: self.server.counter("parked_idle") >= 2)

    def tearDown(self):
        self.honest_clients_are_served()
        for each in self.sockets:
            each.close()
        self.honest_clients_are_served()
        for process, line in self.processes.items():
            self.assertEqual(self.server.children().get(process), line)
        self.assertNotIn("role-ended", self.server.read_log())

    def honest_clients_are_served(self):
        for tls in (False, True):
            client = Client(self.server, tls=tls)
            client.login(0)
            client.command("SELECT INBOX")
            untagged, _ = client.command("FETCH 1 BODY[]")
            self.assertIn(b"This is mail 1.", b"".join(untagged))
            client.command("LOGOUT")
            client.close()
        self.server.drop_mail("u2")
        for client in self.sleepers:
            client.exists += 1
            while client.line() != b"* %d EXISTS" % client.exists:
                pass

    def plain(self, source="127.0.0.1"):
        raw = socket.create_connection(("127.0.0.1", self.server.port), timeout=WAIT_S,
                                       source_address=(source, 0))
        self.sockets.append(raw)
        return raw

    def tls(self, **arguments):
        raw = RawTls(self.server, **arguments)
        self.sockets.append(raw.socket)
        return raw

    def logged_in(self, number, tls=True):
        client = Client(self.server, tls=tls)
        self.sockets.append(client)
        client.login(number)
        client.command("SELECT INBOX")
        return client

    def push(self, raw, data):
        """Sends what the server takes of it; that it closes is its right."""
        try:
            raw.sendall(data)
        except (ConnectionError, ssl.SSLError):
            pass

    def until_closed(self, raw):
        """All that comes until the server closes, which it must."""
        received = b""
        while True:
            try:
                data = raw.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return received
            if not data:
                return received
            received += data

    def test_garbage_before_login(self):
        garbage = CHANCE.randbytes(64 * 1024)
        closing = [self.plain() for _ in range(3)]
        self.push(closing[0], garbage)
        self.push(closing[1], b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Y: z\r\n" * 50 + b"\r\n")
        self.push(closing[2], b"\0\r\n" * 200)
        for _ in range(3):
            raw = self.tls()
            self.push(raw.socket, CHANCE.randbytes(4096) if raw.socket.fileno() % 2
                      else b"a1 LOGIN u0 pw0\r\n" * 10)
            closing.append(raw.socket)
        hello = self.tls()
        self.push(hello.socket, hello.hello() + garbage)
        closing.append(hello.socket)
        torn = self.tls()
        self.push(torn.socket, b"\x16\x03\x01\xff\xff" + garbage)
        closing.append(torn.socket)
        forged = self.tls().handshake()
        self.push(forged.socket, b"\x17\x03\x03\x01\x00" + CHANCE.randbytes(256))
        closing.append(forged.socket)
        for raw in closing:
            self.until_closed(raw)

    def test_a_megabyte_without_an_end_of_line_before_login(self):
        raw = self.plain()
        self.push(raw, b"a1 LOGIN " + b"x" * MIB)
        self.assertNotIn(b"a1 OK", self.until_closed(raw))
        raw = self.tls().handshake()
        self.push(raw.socket, b"".join(raw.records(b"y" * 16000) for _ in range(64)))
        self.until_closed(raw.socket)

    def test_huge_literals_are_refused_before_and_after_login(self):
        for size in HUGE_SIZES:
            for end in (b"}", b"+}"):
                raw = self.plain()
                self.push(raw, b"a1 LOGIN {" + size + end + b"\r\n")
                raw.shutdown(socket.SHUT_WR)
                answer = self.until_closed(raw)
                self.assertNotIn(b"\r\n+", answer, size)
                self.assertRegex(answer, rb"\r\n(a1 (NO|BAD)|\* BYE)")
        for size in HUGE_SIZES:
            client = self.logged_in(1, tls=size[:1] != b"1")
            for command in (b"APPEND INBOX {", b"SELECT {", b"SEARCH SUBJECT {"):
                tag = client.tag().encode()
                client.send(tag + b" " + command + size + b"}\r\n")
                while not (line := client.line()).startswith((tag + b" ", b"* BYE")):
                    self.assertFalse(line.startswith(b"+"), size)
                self.assertIn(line.split()[1], (b"NO", b"BAD", b"BYE"))
                if line.startswith(b"* BYE"):
                    break

    def test_slow_drips_hold_nobody_up(self):
        """One octet at a time, honest work between them."""
        drips = []
        plain = self.plain()
        drips.append((plain.sendall, b"a1 LOGIN u0 pw0\r\na2 LOGOUT\r\n", plain))
        hello = self.tls()
        drips.append((hello.socket.sendall, hello.hello()[:200], None))
        awake = self.tls().login(3)
        drips.append((awake.socket.sendall, awake.records(b"r4 NOOP\r\n"), awake))
        asleep = self.tls(version=ssl.TLSVersion.TLSv1_2).login(4, idle=True)
        wait_for("the sleeper", lambda: self.server.counter("parked_idle") >= 3)
        drips.append((asleep.socket.sendall, asleep.records(b"DONE\r\n"), asleep))
        for at in range(max(len(text) for _, text, _ in drips)):
            for send, text, _ in drips:
                send(text[at:at + 1])
            if at % 20 == 0:
                self.honest_clients_are_served()
        self.assertIn(b"a2 OK", self.until_closed(plain))
        awake.read_until(b"r4 OK")
        asleep.read_until(b"r3 OK")

    def test_a_megabyte_without_an_end_of_line_awake_and_asleep(self):
        for tls in (False, True):
            for idle in (False, True):
                with self.subTest(tls=tls, idle=idle):
                    client = self.logged_in(1, tls)
                    if idle:
                        client.idle()
                        wait_for("the sleeper", lambda: self.server.counter("parked_idle") >= 3)
                    self.push(client.socket, b"l1 " + b"x" * MIB)
                    self.honest_clients_are_served()
                    # Nothing of it was kept; the line is refused, the session may go on.
                    self.push(client.socket, b"\r\nl2 NOOP\r\nl3 LOGOUT\r\n")
                    said = client.buffer + self.until_closed(client.socket)
                    self.assertRegex(said, rb"(?m)^(\S+ BAD|\* BYE) ")
                    client.close()
                    if idle:
                        wait_for("its slot", lambda: self.server.counter("parked_idle") == 2)

    def test_forged_records_end_only_their_session(self):
        forged = b"\x17\x03\x03\x00\x40" + CHANCE.randbytes(64)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for idle in (False, True):
                for data in (forged, b"\x17\x03\x03\xff\xff" + forged, b"\x00" * 40,
                             b"\x15\x03\x03\x00\x02\x02\x28", b"a1 NOOP\r\n" * 5):
                    with self.subTest(version=version, idle=idle, data=data[:5]):
                        raw = self.tls(version=version).login(4, idle)
                        if idle:
                            wait_for("the sleeper",
                                     lambda: self.server.counter("parked_idle") >= 3)
                        self.push(raw.socket, data)
                        self.until_closed(raw.socket)
                        raw.socket.close()
                        if idle:
                            wait_for("its slot",
                                     lambda: self.server.counter("parked_idle") == 2)

    def test_half_open_connections(self):
        """They fill their own address's share, and nobody else's."""
        silent = [self.plain(source="127.0.0.9") for _ in range(120)]
        for raw in silent[::3]:
            self.push(raw, b"a1 LOG")
        gone = self.logged_in(5)
        gone.send(b"h1 APPEND INBOX {100000}\r\n")
        self.assertTrue(gone.line().startswith(b"+"))
        gone.send(b"x" * 5000)
        half = self.plain()
        half.sendall(b"a1 NOOP\r\na2 LOG")
        half.shutdown(socket.SHUT_WR)
        self.assertIn(b"a1 OK", self.until_closed(half))
        self.honest_clients_are_served()
        gone.close()
        tmp = os.path.join(self.server.maildir("u5"), "tmp")
        wait_for("the message that never came to be removed", lambda: not os.listdir(tmp))

    def test_a_client_that_does_not_read(self):
        greedy = self.logged_in(1)
        for _ in range(5):
            greedy.send(b"g1 FETCH 1:* BODY[]\r\ng2 FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\n" * 20)
        # It has megabytes in front of it, and its worker waits for it alone.
        for _ in range(3):
            self.honest_clients_are_served()
        for process in self.server.children():
            with open(f"/proc/{process}/statm") as statm:
                resident_bytes = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            self.assertLess(resident_bytes, RESIDENT_BYTES_MAX)

    def test_commands_that_cost_much_to_understand(self):
        client = self.logged_in(1)
        hard = [
            b'LIST "" "' + b"%*" * 400 + b'z"',
            b"SEARCH " + b"(" * 5000 + b"ALL" + b")" * 5000,
            b"SEARCH " + b"NOT " * 5000 + b"ALL",
            b"SEARCH " + b"OR ALL " * 3000 + b"ALL",
            b"FETCH " + b"1:*," * 10000 + b"1 FLAGS",
            b"UID FETCH " + b",".join(b"%d" % (i * 2) for i in range(1, 9000)) + b" FLAGS",
            b"UID FETCH 1:4294967295 FLAGS",
            b"FETCH 1 (" + b"BODY.PEEK[" + b"1." * 3000 + b"1])",
            b"FETCH 1 BODY.PEEK[HEADER.FIELDS (" + b"A " * 5000 + b"B)]",
            b"STORE 1 +FLAGS (" + b" ".join(b"k%d" % i for i in range(5000)) + b")",
            b"CREATE " + b"a/" * 2000 + b"a",
            b"CREATE ../../../../tmp/x",
            b"SELECT \"&AAAA-\"",
            b"ID (" + b'"a" "b" ' * 5000 + b')',
        ]
        for command in hard:
            with self.subTest(command[:30]):
                tag = client.tag().encode()
                client.send(tag + b" " + command + b"\r\n")
                _, tagged = client.finish(tag.decode())
                self.assertIn(tagged.split()[1], (b"OK", b"NO", b"BAD"))
                client.command("NOOP")
        self.assertFalse(os.path.exists("/tmp/x"))

    def test_resets_in_every_state(self):
        for state in ("greeting", "hello", "login", "literal", "idle", "fetch"):
            if state in ("greeting", "hello"):
                raw = self.tls()
                raw.socket.sendall(raw.hello()[:None if state == "hello" else 0])
                end = raw.socket
            else:
                client = self.logged_in(1, tls=state != "fetch")
                end = client.socket
                client.send({"login": b"x1 NO", "literal": b"x1 APPEND INBOX {50+}\r\nabc",
                             "idle": b"x1 IDLE\r\n", "fetch": b"x1 FETCH 1:* BODY[]\r\n"}[state])
            time.sleep(0.05)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            end.close()
        self.honest_clients_are_served()


if __name__ == "__main__":
    unittest.main(verbosity=2)
