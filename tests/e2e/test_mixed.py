"""Five thousand sleepers of every kind: plain, TLS, COMPRESS, polling, quiet without IDLE, and with
NOTIFY and CONTEXT. All park; each hears of its mail exactly once, in the way of its kind; those who
poll cost no worker while nothing but mail comes."""

import os
import re
import time
import unittest

from imap_client import Client
from server import WAIT_S, Server, wait_for
from sleepers import Sleeper, Sleepers

SESSIONS = int(os.environ.get("DORMOUSE_MIXED", "5000"))
SESSIONS_PER_USER = 10
USERS = SESSIONS // SESSIONS_PER_USER
# An arrival within two seconds of a worker's look is left to a worker (docs/life-of-a-session.md).
# The watch looks for four seconds after the last parking (Watch::kSettleMs), on a busy machine late.
LOOK_S = 8

# kind: (share of 20, TLS, steps after LOGIN)
IN_IDLE = ["SELECT INBOX", "IDLE"]
KINDS = {
    "plain": (4, False, IN_IDLE),
    "tls": (5, True, IN_IDLE),
    "compress": (2, False, ["COMPRESS DEFLATE"] + IN_IDLE),
    "tls-compress": (2, True, ["COMPRESS DEFLATE"] + IN_IDLE),
    "notify": (1, False, ["NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))",
                          "SELECT INBOX"]),
    "context": (1, False, ["SELECT INBOX", "SEARCH RETURN (UPDATE) UNDELETED", "IDLE"]),
    "poll": (2, False, ["SELECT INBOX"]),
    "tls-poll": (2, True, ["SELECT INBOX"]),
    "authenticated": (1, True, ["NOOP"]),
}
NEEDS = {"notify": "NOTIFY", "context": "CONTEXT=SEARCH"}
ASKING = ("poll", "tls-poll")


class MixedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=USERS, settings=f"""[den]
sessions = {SESSIONS + 100}
park_after = "300ms"
park_quiet = "300ms"
""")
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        cls.crowd = Sleepers(cls.server)
        cls.addClassCleanup(cls.crowd.close)
        client = Client(cls.server, tls=False)
        capabilities = client.login(0)[1].decode()
        client.command("LOGOUT", expect=b"OK")
        client.close()
        kinds = []
        for kind, (share, tls, steps) in KINDS.items():
            if kind in NEEDS and not re.search(rf"\b{NEEDS[kind]}\b", capabilities):
                kind, (_, tls, steps) = "plain", KINDS["plain"]
            kinds += [(kind, tls, steps)] * share
        # Kinds change faster than users, so that every user has sessions of many kinds.
        sleepers = []
        for number in range(SESSIONS):
            user = number % USERS
            kind, tls, steps = kinds[(number // USERS + number) % len(kinds)]
            sleepers.append(Sleeper(number, user, kind, tls,
                                    [f"LOGIN u{user} pw{user}"] + steps))
        started = time.monotonic()
        cls.crowd.connect_all(sleepers)
        print(f"{SESSIONS} sessions of {USERS} users in {time.monotonic() - started:.1f} s",
              flush=True)
        cls.selected = [s for s in sleepers if s.kind != "authenticated"]
        cls.asking = [s for s in sleepers if s.kind in ASKING]
        cls.told = [s for s in cls.selected if s.kind not in ASKING]  # without being asked
        cls.exists = dict.fromkeys(range(USERS), 0)

    def wait_parked(self):
        def parked():
            view = self.server.view()
            return (self.server.counter("parked", view) == SESSIONS
                    and self.server.counter("sessions", view) == 0)
        wait_for("all to park", parked, timeout=2 * WAIT_S, pause=0.3)

    def deliver(self, users):
        for user in users:
            self.server.drop_mail(f"u{user}")
            self.exists[user] += 1

    def hears(self, sleepers, wrong):
        """Until wrong(sleeper) holds for none of them; and they hear nothing else for a while."""
        right = self.crowd.hear_until(lambda: not any(wrong(s) for s in sleepers))
        self.crowd.hear_for(0.5)
        self.assertEqual([(s.kind, s.number, s.user, s.heard) for s in self.crowd.all
                          if s in set(sleepers) and wrong(s)][:20], [], right)

    def not_told_once(self, sleeper):
        """Exactly one EXISTS, of the right number; CONTEXT: one message more in the result."""
        added = sum(b"ADDTO" in line for line in sleeper.heard)
        return (sleeper.number_of("EXISTS") != [self.exists[sleeper.user]]
                or added != (sleeper.kind == "context"))

    def forget(self):
        for sleeper in self.crowd.all:
            sleeper.forget()

    def refreshing(self):
        view = self.server.view()
        return sum(self.server.counter(name, view)
                   for name in ("refreshes_waiting", "refreshes_running"))

    def test_1_all_park(self):
        self.wait_parked()
        view = self.server.view()
        self.assertEqual(sum(int(n) for n in
                             re.findall(r"^\s*worker sessions=(\d+)", view, re.MULTILINE)), 0)
        compressed = sum("compress" in s.kind for s in self.crowd.all)
        self.assertEqual(self.server.counter("parked_compressed", view), compressed)

    def test_2_mail_is_told_once_and_costs_no_worker(self):
        self.wait_parked()
        time.sleep(LOOK_S)
        self.forget()
        before = self.server.view()
        self.deliver(range(USERS))
        self.hears(self.told, self.not_told_once)
        self.hears(self.asking, lambda s: s.heard)  # nothing may be pushed
        # Who asks in the middle of a refresh is answered by the worker that is at it.
        wait_for("the refreshes to end", lambda: not self.refreshing())
        # The first NOOP tells them, the others find nothing new.
        for _ in range(3):
            self.assertEqual(self.crowd.ask(self.asking, "NOOP"), [])
        self.hears(self.asking, self.not_told_once)
        self.assertEqual(self.crowd.ask([s for s in self.crowd.all if s.kind == "authenticated"],
                                        "NOOP"), [])
        after = self.server.view()

        def grown(name):
            return self.server.counter(name, after) - self.server.counter(name, before)

        self.assertEqual(grown("attaches"), 0, "who polls wakes no worker")
        self.assertEqual(grown("talk_noop"),
                         3 * len(self.asking) + len(self.crowd.all) - len(self.selected))
        plain_told = [s for s in self.selected if s.kind != "context"]
        self.assertGreaterEqual(grown("announced"), len(plain_told))
        self.wait_parked()

    def all_done(self, sleepers):
        for sleeper in sleepers:
            sleeper.done()
        self.assertTrue(self.crowd.hear_until(lambda: all(s.answered() for s in sleepers)))
        self.assertEqual([s.kind for s in sleepers if b" OK" not in s.answers[s.idle_tag]], [])

    def look(self, sleepers):
        """They learn the flags of their messages: who never did is told of no change of them."""
        idle = [s for s in sleepers if s.idle_tag]
        self.all_done(idle)
        self.assertEqual(self.crowd.ask(sleepers, "FETCH 1:* (UID FLAGS)"), [])
        self.assertEqual(self.crowd.ask(idle, "IDLE"), [])

    def test_3_what_others_change_is_told_once(self):
        flagged = range(0, USERS, 10)
        gone = range(5, USERS, 10)
        self.look([s for s in self.selected if s.user in flagged])
        self.wait_parked()
        self.forget()
        for user in list(flagged) + list(gone):
            writer = Client(self.server, tls=False)
            writer.login(user)
            writer.command("SELECT INBOX")
            writer.command("STORE 1 +FLAGS (\\Flagged)" if user in flagged
                           else "UID STORE 1 +FLAGS.SILENT (\\Deleted)")
            if user in gone:
                writer.command("EXPUNGE")
                self.exists[user] -= 1
            writer.command("LOGOUT")
            writer.close()

        def not_flagged_once(sleeper):
            return sum(b"\\Flagged" in line for line in sleeper.heard) != 1

        def not_expunged_once(sleeper):
            return sleeper.number_of("EXPUNGE") != [1]

        def of(sleepers, users):
            return [s for s in sleepers if s.user in users]

        self.hears(of(self.told, flagged), not_flagged_once)
        self.hears(of(self.told, gone), not_expunged_once)
        self.hears(self.asking, lambda s: s.heard)
        # Those who ask still see the message that is gone, until a command may say so.
        ghosts = self.crowd.ask(of(self.asking, gone), "FETCH 1 (UID)")
        self.assertEqual(len(ghosts), len(of(self.asking, gone)))
        for sleeper in ghosts:
            self.assertEqual(sleeper.heard, [])
            self.assertIn(b"[EXPUNGEISSUED]", list(sleeper.answers.values())[-1])
        self.wait_parked()
        for _ in range(2):
            self.assertEqual(self.crowd.ask(of(self.asking, flagged) + of(self.asking, gone),
                                            "NOOP"), [])
        self.hears(of(self.asking, flagged), not_flagged_once)
        self.hears(of(self.asking, gone), not_expunged_once)
        untouched = set(range(USERS)) - set(flagged) - set(gone)
        self.hears(of(self.selected, untouched), lambda s: s.heard)

    def test_4_all_answer_and_see_what_they_were_told(self):
        self.wait_parked()
        self.forget()
        self.deliver(range(USERS))
        self.hears(self.told, self.not_told_once)
        self.assertEqual(self.crowd.ask(self.asking, "NOOP"), [])
        self.hears(self.asking, self.not_told_once)
        idle = [s for s in self.told if s.idle_tag]
        self.all_done(idle)
        self.forget()
        awake = self.selected[::10]
        self.assertEqual(self.crowd.ask(awake, "FETCH 1:* (UID FLAGS)"), [])
        for sleeper in awake:
            seen = sleeper.number_of("FETCH")
            self.assertEqual(seen, list(range(1, self.exists[sleeper.user] + 1)), sleeper.kind)
        self.wait_parked()


if __name__ == "__main__":
    unittest.main(verbosity=2)
