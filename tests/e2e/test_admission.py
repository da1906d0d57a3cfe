"""New connections are paced, shared out and counted: by the kernel where it can, by login where not.
Nobody who waits is refused, and nobody who is in notices."""

import os
import re
import signal
import socket
import subprocess
import unittest

from imap_client import Client
from server import BINARY, WAIT_S, Server, wait_for

PATIENT = 40
SLEEPERS = 10


def settings(admission="auto", steering="auto", rate=20, burst=10, share=100, processes=2):
    return f"""[admission]
mode = "{admission}"
rate = {rate}
burst = {burst}
prefix_share = {share}
[login]
processes = {processes}
steering = "{steering}"
"""


def why_no_bpf():
    """Empty where the kernel's programs can be loaded."""
    with Server(users=1, settings=settings()) as server:
        found = re.search(r'admission-without-bpf.*', server.read_log())
        return found.group(0) if found else ""


WHY_NO_BPF = why_no_bpf()


def knock(server, source):
    """A connection on its way; TCP goes on asking by itself."""
    client = socket.socket()
    client.setblocking(False)
    client.bind((source, 0))
    client.connect_ex(("127.0.0.1", server.port))
    return client


def greeting(client):
    client.settimeout(WAIT_S)
    data = b""
    while not data.endswith(b"\r\n"):
        more = client.recv(1000)
        if not more:
            raise AssertionError(f"closed after {data!r}")
        data += more
    return data


def counted(view, name):
    return sum(int(n) for n in re.findall(rf"\b{name}=(\d+)", view))


def accepted_by(view):
    """Connections that each login process has accepted."""
    return [int(n) for n in re.findall(r"\baccepted=(\d+)", view)]


class AdmissionTest(unittest.TestCase):
    def modes(self):
        return ["accept", "off"] if WHY_NO_BPF else ["bpf", "accept", "off"]

    def test_what_can_be_had_is_taken_and_said(self):
        with Server(users=1, settings=settings()) as server:
            view = server.view()
            mode, steering = ("accept", "hash") if WHY_NO_BPF else ("bpf", "bpf")
            self.assertRegex(view, rf"(?m)^admission {mode}\b")
            self.assertRegex(view, rf"(?m)^steering {steering}\b")
            self.assertRegex(server.read_log(), rf"admission.*mode={mode}.*steering={steering}")

    @unittest.skipIf(WHY_NO_BPF == "", "BPF works here")
    def test_who_insists_on_bpf_is_told_why_there_is_none(self):
        server = Server(users=1, settings=settings(admission="bpf"), start=False)
        with self.assertRaisesRegex(AssertionError, r'admission\.mode = \\?"bpf'):
            server.start()
        server.__exit__(None, None, None)

    def test_a_crowd_waits_for_its_turn_and_everybody_gets_in(self):
        for mode in self.modes():
            with self.subTest(mode=mode), Server(users=SLEEPERS,
                                                 settings=settings(mode)) as server:
                sleepers = [Client(server) for _ in range(SLEEPERS)]
                for number, sleeper in enumerate(sleepers):
                    sleeper.login(number)
                clients = [knock(server, f"127.0.{i % 4}.{1 + i}") for i in range(PATIENT)]
                # Those who are in are served meanwhile.
                for sleeper in sleepers:
                    self.assertIn(b"OK", sleeper.command("NOOP")[-1])
                for client in clients:
                    self.assertTrue(greeting(client).startswith(b"* OK"))
                    client.close()
                view = server.view()
                waited = counted(view, "dropped_rate") + counted(view, "dropped_share")
                if mode == "off":
                    self.assertEqual(waited, 0)
                else:
                    self.assertGreater(waited, 0)
                    let_in = counted(view, "within") + counted(view, "over")
                    self.assertEqual(let_in, PATIENT + SLEEPERS)
                for sleeper in sleepers:
                    self.assertIn(b"OK", sleeper.command("NOOP")[-1])
                    sleeper.close()

    def test_one_network_that_floods_does_not_shut_out_another(self):
        for mode in self.modes():
            if mode == "off":
                continue
            limits = settings(mode, rate=10, burst=40, share=25, processes=1)
            with self.subTest(mode=mode), Server(users=1, settings=limits) as server:
                flood = [knock(server, f"127.0.1.{1 + i}") for i in range(100)]
                others = [knock(server, f"127.0.{10 + i}.1") for i in range(5)]
                for client in others:
                    self.assertTrue(greeting(client).startswith(b"* OK"))
                view = server.view()
                self.assertGreater(counted(view, "dropped_share"), 0)
                if mode == "bpf":
                    self.assertEqual(counted(view, "dropped_rate"), 0, "the reserve was for them")
                for client in flood + others:
                    client.close()

    def test_new_rates_take_effect_without_a_restart(self):
        for mode in self.modes():
            if mode == "off":
                continue
            with self.subTest(mode=mode), Server(users=1,
                                                 settings=settings(mode, rate=1, burst=2)) as server:
                clients = [knock(server, "127.0.0.1") for _ in range(PATIENT)]
                with open(server.config) as file:
                    text = file.read()
                with open(server.config, "w") as file:
                    file.write(text.replace("rate = 1\n", "rate = 100000\n")
                               .replace("burst = 2\n", "burst = 1000\n"))
                server.process.send_signal(signal.SIGHUP)
                wait_for("the reload", lambda: "reloaded" in server.read_log())
                self.assertIn("rate=100000 burst=1000", server.view())
                for client in clients:
                    self.assertTrue(greeting(client).startswith(b"* OK"))
                    client.close()


class SteeringTest(unittest.TestCase):
    def modes(self):
        return ["hash", "shared"] if WHY_NO_BPF else ["bpf", "hash", "shared"]

    def test_an_address_stays_with_its_login_process(self):
        for mode in self.modes():
            with self.subTest(mode=mode), Server(
                    users=1, settings=settings("off", mode, processes=3)) as server:
                for _ in range(20):
                    client = knock(server, "127.0.5.5")
                    greeting(client)
                    client.close()
                shares = accepted_by(server.view())
                self.assertEqual(sum(shares), 20)
                if mode != "shared":
                    self.assertEqual(sorted(shares), [0, 0, 20])
                clients = [knock(server, f"127.0.6.{1 + i}") for i in range(60)]
                for client in clients:
                    greeting(client)
                    client.close()
                if mode != "shared":
                    self.assertTrue(all(accepted_by(server.view())), "all of them have work")

    def test_a_login_process_that_dies_costs_nobody_his_connection(self):
        for mode in self.modes():
            with self.subTest(mode=mode), Server(
                    users=1, settings=settings("off", mode, processes=3)) as server:
                for round_ in range(3):
                    os.kill(server.pids_of("login")[0], signal.SIGKILL)
                    clients = [knock(server, f"127.0.{round_}.{1 + i}") for i in range(30)]
                    for client in clients:
                        # Sent to the dead one before that was known: its successor answers.
                        self.assertTrue(greeting(client).startswith(b"* OK"))
                        client.close()
                    wait_for("three logins", lambda: len(server.pids_of("login")) == 3)

    def test_nobody_else_may_listen_beside_us(self):
        with Server(users=1, settings=settings("off", "hash", processes=2)) as server:
            second = subprocess.run(
                [BINARY, "serve", "--config", server.config], stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=WAIT_S)
            self.assertNotEqual(second.returncode, 0)
            with open(server.config) as file:
                text = file.read()
            other = server.config + ".other"
            with open(other, "w") as file:
                file.write(text.replace("/base\"", "/base2\""))
            second = subprocess.run([BINARY, "serve", "--config", other],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=WAIT_S)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(f"127.0.0.1:{server.port}", second.stderr)


class CensusTest(unittest.TestCase):
    def who(self, server, *more):
        return subprocess.run([BINARY, "who", "--sockets", "--config", server.config, *more],
                              capture_output=True, text=True, timeout=WAIT_S)

    @unittest.skipIf(WHY_NO_BPF, WHY_NO_BPF)
    def test_sockets_are_counted_and_listed(self):
        with Server(users=5) as server:
            clients = [Client(server, tls=number % 2 == 0) for number in range(5)]
            for number, client in enumerate(clients):
                client.login(number)
            answer = self.who(server, "--each")
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertRegex(answer.stdout, r"(?m)^sockets established=5\b.* listen=4\b")
            ports = {client.socket.getsockname()[1] for client in clients}
            listed = {int(port) for port in re.findall(r"(?m)^127\.0\.0\.1:(\d+) port=\d+ established",
                                                       answer.stdout)}
            self.assertEqual(listed, ports)
            self.assertRegex(server.view(), r"(?m)^census sockets established=5\b")
            for client in clients:
                client.close()

    @unittest.skipIf(WHY_NO_BPF == "", "BPF works here")
    def test_without_bpf_it_says_why_there_is_none(self):
        with Server(users=1) as server:
            answer = self.who(server)
            self.assertNotEqual(answer.returncode, 0)
            self.assertIn("no census of sockets: ", answer.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
