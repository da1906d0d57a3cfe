"""Searches that live (RFC 5267) in sessions that sleep: the list a client keeps by ADDTO and
REMOVEFROM is what a fresh search gives, whatever slept or died meanwhile."""

import random
import re
import unittest

from imap_client import Client
from server import Server, wait_for

# (command, program, numbers are UIDs)
PROGRAMS = [
    ("UID SEARCH", "UNSEEN UNDELETED", True),
    ("SEARCH", "OR FLAGGED SUBJECT apple", False),
    ("UID SORT", "(SUBJECT REVERSE ARRIVAL) UTF-8 UNDELETED", True),
    ("SORT", "(REVERSE DATE) UTF-8 NOT ANSWERED", False),
]
SUBJECTS = ["apple", "Re: banana", "[list] cherry", "fwd: date"]


def numbers_of(text):
    found = []
    for item in text.split(","):
        first, _, last = item.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


class Result:
    """What a client knows of one search."""

    def __init__(self, tag, by_uid):
        self.tag = tag
        self.by_uid = by_uid
        self.list = []

    def take(self, line):
        line = line.decode()
        expunged = re.fullmatch(r"\* (\d+) EXPUNGE", line)
        if expunged and not self.by_uid:
            gone = int(expunged[1])
            assert gone not in self.list, line
            self.list = [n - 1 if n > gone else n for n in self.list]
        start = f'* ESEARCH (TAG "{self.tag}")' + (" UID" if self.by_uid else "")
        if not line.startswith(start):
            return
        for name, pairs, value in re.findall(r" (\w+) (?:\(([^)]*)\)|(\S+))", line[len(start):]):
            if name == "ALL":
                self.list = numbers_of(value)
            words = pairs.split()
            for position, some in zip(map(int, words[::2]), map(numbers_of, words[1::2])):
                if name == "ADDTO":
                    self.add(position, some)
                else:
                    self.remove(position, some, line)

    def add(self, position, some):
        if position == 0:
            self.list = sorted(self.list + some)
        else:
            self.list[position - 1:position - 1] = some

    def remove(self, position, some, line):
        if position == 0:
            for number in some:
                self.list.remove(number)
        else:
            end = position - 1 + len(some)
            assert self.list[position - 1:end] == some, (line, self.list)
            del self.list[position - 1:end]


class Watcher:
    def __init__(self, server, user, tls=True):
        self.client = Client(server, tls=tls)
        self.client.login(user)
        self.results = []
        self.run("SELECT INBOX")
        for command, program, by_uid in PROGRAMS:
            tag = self.client.tag()
            self.results.append(Result(tag, by_uid))
            self.client.send(f"{tag} {command} RETURN (UPDATE ALL) {program}\r\n")
            self.take(*self.client.finish(tag))

    def take(self, untagged, tagged):
        assert b" OK " in tagged, tagged
        for line in untagged:
            for result in self.results:
                result.take(line)

    def run(self, command):
        untagged, tagged = self.client.command(command)
        self.take(untagged, tagged)
        return untagged

    def done(self):
        self.take(*self.client.done())

    def fresh(self, command, program, by_uid):
        """The result of a search at whose end nothing else was told: what has just been noticed comes
        behind the answer, which is then one too old."""
        untagged = [b"", b""]
        while len(untagged) > 1:
            tag = self.client.tag()
            self.client.send(f"{tag} {command} RETURN (ALL) {program}\r\n")
            untagged, tagged = self.client.finish(tag)
            self.take(untagged, tagged)
        fresh = Result(tag, by_uid)
        fresh.take(untagged[0])
        return fresh

    def check(self, test):
        self.run("NOOP")
        for result, (command, program, by_uid) in zip(self.results, PROGRAMS):
            fresh = self.fresh(command, program, by_uid)
            test.assertEqual(result.list, fresh.list, f"{command} {program}")


def change(server, writer, user, dice):
    what = dice.randrange(5)
    if what <= 1:
        subject = dice.choice(SUBJECTS)
        server.drop_mail(f"u{user}", f"Subject: {subject}\r\nDate: Wed, {dice.randint(1, 9)} Jan "
                         f"2024 10:00:00 +0000\r\n\r\nx\r\n".encode())
        writer.command("NOOP")
    elif what <= 3:
        flag = dice.choice([r"\Seen", r"\Flagged", r"\Answered", r"\Deleted"])
        sign = dice.choice("+-")
        writer.command(f"UID STORE {dice.randint(1, 20)}:{dice.randint(1, 20)} {sign}FLAGS ({flag})")
    else:
        writer.command("EXPUNGE")


class ContextTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=6, settings='[den]\nsessions = 400\npark_after = "200ms"\n'
                            'park_quiet = "200ms"\n')
        cls.addClassCleanup(cls.server.__exit__, None, None, None)

    def asleep(self, number):
        wait_for("the sessions to park", lambda: self.server.counter("parked_idle")
                 + self.server.counter("parked_selected") >= number)

    def writer(self, user):
        client = Client(self.server)
        client.login(user)
        client.command("SELECT INBOX")
        return client

    def test_sleepers_in_idle_are_told_what_enters_and_leaves(self):
        dice = random.Random(1)
        writer = self.writer(0)
        watchers = [Watcher(self.server, 0, tls=tls) for tls in (True, False, True)]
        for _ in range(4):
            for watcher in watchers:
                watcher.client.idle()
            wait_for("sleepers", lambda: self.server.counter("parked_idle") >= len(watchers))
            for _ in range(5):
                change(self.server, writer, 0, dice)
            self.assertGreaterEqual(self.server.counter("parked_idle"), len(watchers))
            for watcher in watchers:
                watcher.done()
                watcher.check(self)
        for client in [w.client for w in watchers] + [writer]:
            client.command("LOGOUT")
            client.close()

    def test_an_arrival_is_told_as_part_of_the_result(self):
        watcher = Watcher(self.server, 1)
        watcher.client.idle()
        self.asleep(1)
        self.server.drop_mail("u1")
        self.assertEqual(watcher.client.line(), b"* 1 EXISTS")
        line = watcher.client.line()
        while b"ESEARCH" not in line:
            line = watcher.client.line()
        tags = [result.tag for result in watcher.results]
        self.assertEqual(line.decode(), f'* ESEARCH (TAG "{tags[0]}") UID ADDTO (0 1)')
        self.assertEqual(watcher.client.line().decode(),
                         f'* ESEARCH (TAG "{tags[2]}") UID ADDTO (1 1)')
        self.assertEqual(watcher.client.line().decode(), f'* ESEARCH (TAG "{tags[3]}") ADDTO (1 1)')
        watcher.client.done()
        watcher.client.close()

    def test_sleepers_outside_idle_are_told_by_their_next_command(self):
        dice = random.Random(2)
        writer = self.writer(2)
        watcher = Watcher(self.server, 2)
        for _ in range(4):
            for _ in range(5):
                change(self.server, writer, 2, dice)
            wait_for("sleepers", lambda: self.server.counter("parked_selected") >= 2)
            watcher.run("NOOP")
            watcher.check(self)
        writer.close()
        watcher.client.close()

    def test_contexts_outlive_every_process_but_the_client(self):
        dice = random.Random(3)
        writer = self.writer(3)
        watcher = Watcher(self.server, 3)
        for role in ("worker", "den", "watch", "tracker"):
            watcher.client.idle()
            self.asleep(2)
            self.server.kill_role(role)
            wait_for("the role to come back", lambda: self.server.pids_of(role))
            for _ in range(4):
                change(self.server, writer, 3, dice)
            watcher.done()
            watcher.check(self)
        writer.close()
        watcher.client.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
