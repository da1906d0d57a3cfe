"""A small IMAP client that sees every byte: for tests that imaplib is too polite for."""

import socket
import ssl

from server import WAIT_S


class Client:
    def __init__(self, server, tls=True, version=None, source=None):
        port = server.tls_port if tls else server.port
        raw = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S,
                                       source_address=(source, 0) if source else None)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if version is not None:
                context.minimum_version = context.maximum_version = version
            raw = context.wrap_socket(raw)
        self.socket = raw
        self.buffer = b""
        self.tags = 0
        self.greeting = self.line()

    def close(self):
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def line(self):
        """The next line, with the literals in it, without its end."""
        while True:
            line = self._whole_line()
            if line is not None:
                return line
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the server closed; left: {self.buffer!r}")
            self.buffer += data

    def _whole_line(self):
        at = 0
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                return None
            if self.buffer[at:end].endswith(b"}"):
                size = int(self.buffer[self.buffer.rfind(b"{", at, end) + 1:end - 1])
                if len(self.buffer) < end + 2 + size:
                    return None
                at = end + 2 + size
                continue
            line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
            return line

    def tag(self):
        self.tags += 1
        return f"t{self.tags}"

    def finish(self, tag):
        """Lines until the tagged one: (untagged lines, tagged line)."""
        untagged = []
        while True:
            line = self.line()
            if line.startswith(tag.encode() + b" "):
                return untagged, line
            untagged.append(line)

    def command(self, text, expect=b"OK"):
        tag = self.tag()
        self.send(f"{tag} {text}\r\n" if isinstance(text, str) else tag.encode() + b" " + text
                  + b"\r\n")
        untagged, tagged = self.finish(tag)
        assert tagged.split(b" ")[1] == expect, f"{text}: {tagged!r}"
        return untagged, tagged

    def login(self, number):
        return self.command(f"LOGIN u{number} pw{number}")

    def idle(self):
        self.idle_tag = self.tag()
        self.send(f"{self.idle_tag} IDLE\r\n")
        line = self.line()
        while not line.startswith(b"+"):
            line = self.line()

    def done(self):
        self.send("DONE\r\n")
        return self.finish(self.idle_tag)

    def news(self):
        """The next line that is neither a keepalive nor RECENT."""
        line = self.line()
        while line.endswith(b"RECENT") or line == b"* OK Still here":
            line = self.line()
        return line

    def silent(self, seconds=0.3):
        """True when nothing comes for a while (keepalives apart)."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(65536)
            self.buffer += data
            return False
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(WAIT_S)
