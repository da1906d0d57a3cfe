"""NOTIFY with real clients that sleep: over several mailboxes, in IDLE and outside it."""

import re
import unittest

from imap_client import Client
from server import Server, wait_for

FOLDERS = {"INBOX": "", "Lists": ".Lists", "Lists/C++": ".Lists.C++", "Work": ".Work"}
EVENTS = "(MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"
NOTIFY = f"NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange)) (PERSONAL {EVENTS})"


class NotifyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(users=8, settings='[den]\npark_quiet = "300ms"\n')
        cls.addClassCleanup(cls.server.__exit__, None, None, None)

    def sleepers(self):
        return self.server.counter("parked_notify")

    def asleep(self, count):
        wait_for("all to sleep", lambda: self.sleepers() >= count
                 and self.server.counter("sessions") == 0)

    def user_with_folders(self, number):
        client = Client(self.server)
        client.login(number)
        for name in FOLDERS:
            if name != "INBOX":
                client.command(f'CREATE "{name}"')
        return client

    def hears(self, client, pattern):
        """The next line, keepalives and RECENT apart, is this."""
        self.assertRegex(client.news().decode(), pattern)

    def test_1_sleeping_clients_hear_of_deliveries_to_each_mailbox(self):
        """One in IDLE, one outside it, one with no mailbox selected; of another user, nobody."""
        others = Client(self.server, tls=False)
        others.login(1)
        others.command(NOTIFY)
        idle = self.user_with_folders(0)
        quiet, unselected = Client(self.server, tls=False), Client(self.server)
        for client in (quiet, unselected):
            client.login(0)
        for client in (idle, quiet):
            client.command("SELECT INBOX")
        for client in (idle, quiet, unselected):
            untagged, _ = client.command(NOTIFY.replace("SET", "SET STATUS"))
            statuses = [line for line in untagged if line.startswith(b"* STATUS")]
            # Drafts, Junk, Sent and Trash are there, too; INBOX where it is not selected.
            self.assertEqual(len(statuses), 8 if client is unselected else 7, untagged)
        idle.idle()
        self.asleep(4)
        before = self.server.view()
        messages = dict.fromkeys(FOLDERS, 0)
        for name in list(FOLDERS) + list(reversed(FOLDERS)):
            self.server.drop_mail("u0", folder=FOLDERS[name])
            messages[name] += 1
            status = rf"^\* STATUS \"?{re.escape(name)}\"? \(MESSAGES {messages[name]} UIDNEXT"
            for client in (idle, quiet, unselected):
                selected = name == "INBOX" and client is not unselected
                self.hears(client, rf"^\* {messages[name]} EXISTS$" if selected else status)
        for client in (idle, quiet, unselected, others):
            self.assertTrue(client.silent(), client.buffer)
        after = self.server.view()
        self.assertEqual(self.server.counter("parked_notify", after), 4)
        self.assertEqual(self.server.counter("attaches", after),
                         self.server.counter("attaches", before), "nobody had to wake")
        # Small talk leads on to the same.
        idle.done()
        quiet.idle()
        self.server.drop_mail("u0", folder=".Work")
        for client in (idle, quiet, unselected):
            self.hears(client, r"^\* STATUS Work \(MESSAGES 3 UIDNEXT 4 UIDVALIDITY \d+ UNSEEN 3 "
                               r"HIGHESTMODSEQ \d+\)$")
        for client in (idle, quiet, unselected, others):
            client.close()

    def test_2_a_sleeper_hears_of_mailboxes_and_watches_those_that_come(self):
        writer = self.user_with_folders(2)
        client = Client(self.server)
        client.login(2)
        client.command(NOTIFY)
        before = self.sleepers()
        wait_for("it to sleep", lambda: self.sleepers() > before or self.sleepers() == 1)
        writer.command("CREATE New")
        self.hears(client, r'^\* LIST \(\\HasNoChildren\) "/" New$')
        self.hears(client, r"^\* STATUS New \(MESSAGES 0 ")
        wait_for("it to be asleep again", lambda: self.server.counter("sessions") <= 1)
        self.server.drop_mail("u2", folder=".New")
        self.hears(client, r"^\* STATUS New \(MESSAGES 1 ")
        writer.command("RENAME New Newer")
        self.hears(client, r'^\* LIST \(\\HasNoChildren\) "/" Newer \("OLDNAME" \(New\)\)$')
        self.server.drop_mail("u2", folder=".Newer")
        self.hears(client, r"^\* STATUS Newer \(MESSAGES 2 ")
        writer.command("SUBSCRIBE Newer")
        self.hears(client, r'^\* LIST \(\\HasNoChildren \\Subscribed\) "/" Newer$')
        writer.command("SELECT Newer")
        writer.command(r"STORE 1 +FLAGS (\Seen \Deleted)")
        self.hears(client, r"^\* STATUS Newer \(UIDVALIDITY \d+ UNSEEN 1 HIGHESTMODSEQ \d+\)$")
        writer.command("CLOSE")
        self.hears(client, r"^\* STATUS Newer \(MESSAGES 1 ")
        writer.command("DELETE Newer")
        self.hears(client, r'^\* LIST \(.*\\NonExistent.*\) "/" Newer$')
        self.assertTrue(client.silent(), client.buffer)
        for one in (client, writer):
            one.close()

    def test_3_asked_for_items_come_with_the_message_while_it_sleeps(self):
        client = Client(self.server)
        client.login(3)
        client.command("SELECT INBOX")
        client.command("NOTIFY SET (SELECTED-DELAYED (MessageNew (UID BODY.PEEK[HEADER.FIELDS "
                       "(SUBJECT)]) MessageExpunge))")
        wait_for("it to sleep", lambda: self.sleepers() >= 1)
        before = self.server.view()
        name = self.server.drop_mail("u3", text=b"Subject: first\n\nx\n")
        self.hears(client, r"^\* 1 EXISTS$")
        self.hears(client, r"(?s)^\* 1 FETCH \(UID 1 BODY\[.*Subject: first")
        self.assertEqual(self.server.counter("announced"),
                         self.server.counter("announced", before), "a worker must look")
        # What is gone waits for a command.
        writer = Client(self.server)
        writer.login(3)
        writer.command("SELECT INBOX")
        writer.command(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        writer.command("EXPUNGE")
        self.server.drop_mail("u3", text=b"Subject: second\n\nx\n")
        self.hears(client, r"^\* 2 EXISTS$")
        self.hears(client, r"(?s)^\* 2 FETCH \(UID 2 BODY\[.*Subject: second")
        untagged, _ = client.command("NOOP")
        self.assertIn(b"* 1 EXPUNGE", untagged, name)
        for one in (client, writer):
            one.close()

    def test_4_a_sleeper_outlives_the_den_and_the_watch(self):
        client = self.user_with_folders(4)
        client.command("SELECT INBOX")
        client.command(NOTIFY)
        wait_for("it to sleep", lambda: self.sleepers() >= 1 and
                 self.server.counter("sessions") == 0)
        for count, role in enumerate(("den", "watch", "worker"), 1):
            pids = self.server.kill_role(role)
            wait_for(f"another {role}", lambda: self.server.pids_of(role)
                     and not set(pids) & set(self.server.pids_of(role)))
            wait_for("it to be found", lambda: self.sleepers() >= 1)
            self.server.drop_mail("u4", folder=".Lists")
            self.hears(client, rf"^\* STATUS Lists \(MESSAGES {count} ")
        client.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
