"""COMPRESS=DEFLATE: a client of Python's zlib that sleeps and wakes many times, over TLS and in
clear, hears deliveries, pipelines, and outlives its den."""

import random
import time
import unittest
import zlib

from imap_client import Client
from server import Server, wait_for


class DeflatedSocket:
    """A socket of bytes as the application sees them."""

    def __init__(self, raw, flush):
        self.raw = raw
        self.flush = flush
        self.deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.inflate = zlib.decompressobj(-15)
        self.sent = self.received = self.plain = 0

    def sendall(self, data):
        wire = self.deflate.compress(data) + self.deflate.flush(self.flush)
        self.sent += len(wire)
        self.raw.sendall(wire)

    def recv(self, size):
        while True:
            wire = self.raw.recv(size)
            if not wire:
                return b""
            self.received += len(wire)
            plain = self.inflate.decompress(wire)
            self.plain += len(plain)
            if plain:
                return plain

    def settimeout(self, seconds):
        self.raw.settimeout(seconds)

    def close(self):
        self.raw.close()


def compressed_client(server, number, tls, flush=zlib.Z_SYNC_FLUSH):
    client = Client(server, tls=tls)
    untagged, tagged = client.login(number)
    assert b"COMPRESS=DEFLATE" in tagged, tagged
    client.command("COMPRESS DEFLATE")
    assert client.buffer == b""
    client.socket = DeflatedSocket(client.socket, flush)
    return client


class CompressTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=5)
        cls.addClassCleanup(cls.server.__exit__, None, None, None)

    def parked(self, count):
        def all_parked():
            view = self.server.view()
            return (self.server.counter("parked_compressed", view) >= count
                    and self.server.counter("sessions", view) == 0)
        wait_for(f"{count} compressed sessions to park", all_parked)

    def hears_exists(self, client, count):
        line = client.line()
        while line != f"* {count} EXISTS".encode():
            self.assertTrue(line.startswith(b"* "), line)
            line = client.line()

    def test_sleeps_and_wakes_many_times_in_every_way(self):
        ways = [(True, zlib.Z_SYNC_FLUSH), (False, zlib.Z_SYNC_FLUSH), (True, zlib.Z_PARTIAL_FLUSH),
                (False, zlib.Z_FULL_FLUSH)]
        clients = []
        for number, (tls, flush) in enumerate(ways):
            client = compressed_client(self.server, number, tls, flush)
            self.addCleanup(client.close)
            client.command("SELECT INBOX")
            client.idle()
            clients.append(client)
        dice = random.Random(1)
        mails = 0
        for round_number in range(12):
            self.parked(len(ways))
            if round_number in (4, 9):
                self.server.kill_role("den")
                wait_for("a new den", lambda: self.server.counter("adopted") >= len(ways))
            mails += 1
            for number in range(len(ways)):
                self.server.drop_mail(f"u{number}", f"Subject: mail {mails}\r\n\r\n".encode()
                                      + dice.randbytes(300).hex().encode() + b"\r\n")
            for client in clients:
                self.hears_exists(client, mails)
                untagged, tagged = client.done()
                self.assertIn(b" OK ", tagged)
                how = dice.randrange(3)
                if how == 0:  # a worker is needed
                    untagged, _ = client.command(f"FETCH {mails} BODY.PEEK[]")
                    self.assertIn(f"Subject: mail {mails}\r\n".encode(), b"".join(untagged))
                elif how == 1:  # many commands in one piece
                    tags = [client.tag() for _ in range(20)]
                    client.send("".join(f"{tag} FETCH 1:{mails} (UID FLAGS)\r\n" for tag in tags))
                    for tag in tags:
                        untagged, tagged = client.finish(tag)
                        self.assertEqual(len([x for x in untagged if b" FETCH " in x]), mails)
                        self.assertIn(b" OK ", tagged)
                client.idle()
        self.parked(len(ways))
        view = self.server.view()
        self.assertGreater(self.server.counter("talk_idle", view), 0)
        for client in clients:
            self.assertLess(client.socket.received, client.socket.plain)
            client.done()
            client.command("LOGOUT")

    def test_small_talk_is_answered_asleep(self):
        client = compressed_client(self.server, 4, True)
        self.addCleanup(client.close)
        client.command("SELECT INBOX")
        client.idle()
        self.parked(1)
        before = self.server.counter("attaches")
        for _ in range(200):
            _, tagged = client.done()
            self.assertIn(b" OK ", tagged)
            client.idle()
        client.done()
        client.command("NOOP")
        self.assertEqual(self.server.counter("attaches"), before)
        client.command("LOGOUT")

    def test_a_second_compress_is_refused(self):
        client = compressed_client(self.server, 4, False)
        self.addCleanup(client.close)
        _, tagged = client.command("COMPRESS DEFLATE", expect=b"NO")
        self.assertIn(b"[COMPRESSIONACTIVE]", tagged)
        client.command("LOGOUT")

    def test_a_bomb_costs_its_own_connection(self):
        witness = compressed_client(self.server, 3, False)
        self.addCleanup(witness.close)
        bomber = compressed_client(self.server, 4, False)
        self.addCleanup(bomber.close)
        started = time.monotonic()
        try:
            bomber.send(b"x" * (200 << 20))  # one line of 200 MB, 200 KB on the wire
            while True:
                bomber.line()
        except (EOFError, OSError, zlib.error):
            pass
        witness.command("NOOP")
        witness.command("LOGOUT")
        print(f"the bomb was over after {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    unittest.main(verbosity=2)
