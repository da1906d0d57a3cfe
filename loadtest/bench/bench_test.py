"""Tests of bench.py's own arithmetic; nothing is measured."""

import os
import select
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bench  # noqa: E402
import measure  # noqa: E402


class MedianTest(unittest.TestCase):
    def test_is_taken_of_numbers_figure_by_figure(self):
        runs = [{"a": 1, "b": 5.0}, {"a": 9, "b": 1.0}, {"a": 2}]
        self.assertEqual(bench.median_of(runs), {"a": 2, "b": 3.0})

    def test_of_what_is_no_number_is_the_last(self):
        self.assertEqual(bench.median_of([{"s": {"x": 1}}, {"s": {"x": 2}}]), {"s": {"x": 2}})


class TableTest(unittest.TestCase):
    def test_shows_goal_and_ratio_for_the_kind_of_session(self):
        text = bench.table({("dormouse", "tls"): {"sessions": 10, "user_bytes": 400.0},
                            ("dovecot", "tls"): {"sessions": 5, "user_bytes": 80000.0}})
        row = next(line for line in text.splitlines() if line.startswith("user memory"))
        self.assertEqual(row.split()[-4:], ["512", "400", "80,000", "200.0"])
        self.assertNotIn("plain:", text)

    def test_leaves_out_what_nobody_has_and_marks_what_one_lacks(self):
        text = bench.table({("dormouse", "plain"): {"sessions": 1, "done_p50": 0.1}})
        self.assertNotIn("user memory", text)
        self.assertEqual(text.splitlines()[-1].split()[-2:], ["-", "-"])


class ProcessesTest(unittest.TestCase):
    def test_finds_itself_and_its_time(self):
        processes = measure.Processes(os.getpid())
        self.assertIn(os.getpid(), processes.pids())
        self.assertGreaterEqual(processes.cpu_seconds(), 0)

    def test_finds_descendants_only(self):
        self.assertNotIn(os.getppid(), measure.Processes(os.getpid()).pids())

    def test_memory_of_this_process_is_seen(self):
        seen = measure.user_bytes_by_role([os.getpid()])
        if seen is not None:
            self.assertGreater(sum(seen.values()), 1 << 20)
            self.assertEqual(list(seen), [measure.role_of(os.getpid())])


class TcpTroubleTest(unittest.TestCase):
    def test_a_connection_closed_with_bytes_unread_is_seen(self):
        before = measure.tcp_counters()
        with socket.create_server(("127.0.0.1", 0)) as listener, \
                socket.create_connection(listener.getsockname()) as client:
            served, _ = listener.accept()
            client.sendall(b"never read")
            select.select([served], [], [], 10)
            served.close()
        self.assertGreaterEqual(measure.tcp_trouble(before).get("TCPAbortOnClose", 0), 1)


if __name__ == "__main__":
    unittest.main()
