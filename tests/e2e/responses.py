"""Reads IMAP responses as a strict client does: what breaks the grammar is an error here."""

import re

ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\[\]]+|\[\]')
ITEM = re.compile(rb"[A-Z0-9.]+(\[[^\]]*\])?(<\d+>)?")


class Malformed(AssertionError):
    pass


class Reader:
    """One response line with its literals in it. Lists are lists, strings bytes, NIL None."""

    def __init__(self, line):
        self.line = line
        self.at = 0

    def fail(self, what):
        raise Malformed(f"{what} at {self.at}: ...{self.line[max(0, self.at - 60):self.at + 60]!r}")

    def peek(self):
        return self.line[self.at:self.at + 1]

    def expect(self, text):
        if not self.line.startswith(text, self.at):
            self.fail(f"expected {text!r}")
        self.at += len(text)

    def value(self):
        first = self.peek()
        if first == b"(":
            return self.list()
        if first == b'"':
            return self.quoted()
        if first == b"{":
            return self.literal()
        match = ATOM.match(self.line, self.at)
        if not match:
            self.fail("expected a value")
        self.at = match.end()
        return None if match.group() == b"NIL" else match.group()

    def list(self):
        self.expect(b"(")
        values = []
        while self.peek() != b")":
            # A multipart's bodies follow one another without a space (RFC 3501 9).
            if values and not (isinstance(values[-1], list) and self.peek() == b"("):
                self.expect(b" ")
            values.append(self.value())
        self.expect(b")")
        return values

    def quoted(self):
        match = re.compile(rb'"((?:[^"\\\r\n\0\x80-\xff]|\\["\\])*)"').match(self.line, self.at)
        if not match:
            self.fail("a broken quoted string")
        self.at = match.end()
        return re.sub(rb"\\(.)", rb"\1", match.group(1))

    def literal(self):
        match = re.compile(rb"\{(\d+)\}\r\n").match(self.line, self.at)
        if not match:
            self.fail("a broken literal")
        end = match.end() + int(match.group(1))
        text = self.line[match.end():end]
        if len(text) != int(match.group(1)) or b"\0" in text:
            self.fail("a short literal, or a NUL in it")
        self.at = end
        return text

    def items(self):
        """(NAME value NAME value ...) of FETCH."""
        self.expect(b"(")
        found = {}
        while True:
            match = ITEM.match(self.line, self.at)
            if not match:
                self.fail("expected an item's name")
            self.at = match.end()
            self.expect(b" ")
            found[match.group().decode()] = self.value()
            if self.peek() == b")":
                break
            self.expect(b" ")
        self.expect(b")")
        if self.at != len(self.line):
            self.fail("something after the items")
        return found


def fetched(line):
    """(sequence number, {item: value}) of a FETCH response, None of any other."""
    match = re.match(rb"\* (\d+) FETCH ", line)
    if not match:
        return None
    reader = Reader(line)
    reader.at = match.end()
    return int(match.group(1)), reader.items()


def all_fetched(lines):
    return [found for found in map(fetched, lines) if found]


def leaves(structure, prefix=""):
    """(section, octets) of each part of a BODYSTRUCTURE that is no multipart."""
    if isinstance(structure[0], list):
        for number, child in enumerate([c for c in structure if isinstance(c, list)
                                        and len(c) > 2 and _is_body(c)], 1):
            yield from leaves(child, f"{prefix}{number}.")
        return
    section = prefix[:-1] or "1"
    yield section, int(structure[6])
    if [structure[0].lower(), structure[1].lower()] == [b"message", b"rfc822"]:
        inner = structure[8]
        yield from leaves(inner, f"{section}." if isinstance(inner[0], list) else f"{section}.1.")


def _is_body(value):
    return isinstance(value[0], list) or len(value) >= 7
