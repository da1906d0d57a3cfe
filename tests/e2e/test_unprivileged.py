"""The whole life of a session (test_session.py) on a server that was started without root."""

import glob
import os
import shutil
import subprocess
import tempfile
import unittest

from server import BINARY

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = 65534


class UnprivilegedTest(unittest.TestCase):
    def test_a_session_lives_without_root(self):
        if os.geteuid() != 0:
            self.skipTest("test_session.py runs without root already")
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin")  # ours may lie in /root
        if python is None:
            self.skipTest("no python3 that everybody may run")
        # Where nobody may read them, which the build folder need not be.
        folder = tempfile.mkdtemp(prefix="dormouse-unprivileged-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        for path in [BINARY, *glob.glob(f"{HERE}/*.py")]:
            shutil.copy(path, folder)
        environment = {"PATH": os.environ["PATH"], "DORMOUSE": f"{folder}/{os.path.basename(BINARY)}",
                       "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([python, f"{folder}/test_session.py"], env=environment,
                              user=NOBODY, group=NOBODY, extra_groups=[], timeout=500, check=False)
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
