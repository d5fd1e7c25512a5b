"""What the Python runners share: sandbox command lines, time limits, expectations, counting."""
import os
import re
import select
import signal
import subprocess
import sys
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
RUNSC = os.path.join(TOP, "bazel-bin/runsc/runsc")
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
       "TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def add_platform_flags(parser):
    parser.add_argument("--native", action="store_true", help="run on the host, no sandbox")
    parser.add_argument("--platform", action="append", default=[],
                        help="run in the sandbox on this platform; may be repeated")
    parser.add_argument("--runsc", default=RUNSC, help="the runsc binary")
    parser.add_argument("--runsc-flag", action="append", default=[], help="an extra global flag")


def modes(args):
    """The list of places to run in: "native" and platform names."""
    return (["native"] if args.native or not args.platform else []) + args.platform


def sandboxed(args, mode, command, do_flags=()):
    """The command line that runs `command` in `mode`."""
    if mode == "native":
        return list(command)
    return [args.runsc, f"--platform={mode}", *args.runsc_flag, "do", *do_flags, "--", *command]


# Processes are started as process groups, not sessions: with autogroups the host's scheduler weighs sessions
# against each other, and some kernels let one starve the others (docs/performance.md).
def end_group(process):
    """Kills a process that was started as a process group, with all in it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, timeout, stdin=None, cwd=None, env=None):
    """Runs to the end; answers (exit status, stdout and stderr together as bytes).

    Status is None when the time limit struck; then everything in its process group is killed.
    """
    process = subprocess.Popen(command, stdin=subprocess.PIPE if stdin is not None
                               else subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, cwd=cwd, env=env or ENV,
                               process_group=0)
    try:
        out, _ = process.communicate(stdin, timeout=timeout)
        return process.returncode, out
    except subprocess.TimeoutExpired:
        end_group(process)
        try:
            out, _ = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            out = b""
        return None, out


def lines_with_silence_limit(command, silence):
    """Yields output lines; finally an int exit status, or None if it was silent for too long."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=ENV, process_group=0)
    fd, pending, ended = process.stdout.fileno(), b"", False
    while True:
        if not select.select([fd], [], [], silence)[0]:
            break
        data = os.read(fd, 65536)
        if not data:
            ended = True
            break
        pending += data
        *lines, pending = pending.split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if pending:
        yield pending.decode(errors="replace")
    status = None
    if ended:
        try:
            status = process.wait(timeout=silence)
        except subprocess.TimeoutExpired:
            pass
    if status is None:
        end_group(process)
        process.wait()
    yield status


class Expectations:
    """Known failures: lines of `name platform reason`; platform may be `*`, name may end in `*`."""

    def __init__(self, name):
        self.rows, self.used = [], set()
        path = os.path.join(TOP, "test/expectations", name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    words = line.split("#")[0].split(None, 2)
                    if len(words) == 3:
                        self.rows.append(tuple(words))
                    elif words:
                        sys.exit(f"{path}: a line needs name, platform and reason: {line.strip()}")

    def reason(self, name, platform):
        for row in self.rows:
            pattern = re.escape(row[0]).replace(r"\*", ".*")
            if re.fullmatch(pattern, name) and row[1] in (platform, "*"):
                return row[2]
        return None


class Score:
    """Counts results of one mode at a time and prints what needs attention."""

    def __init__(self, expectations):
        self.expectations = expectations
        self.passed = self.failed = self.expected = 0
        self.failures = []

    def add(self, mode, name, ok, detail=""):
        reason = None if mode == "native" else self.expectations.reason(name, mode)
        if reason and not ok:
            self.expected += 1
        elif reason:
            self._fail(mode, name, f"passes, but test/expectations says: {reason}; remove the line")
        elif ok:
            self.passed += 1
        else:
            self._fail(mode, name, detail)

    def _fail(self, mode, name, detail):
        self.failed += 1
        self.failures.append((mode, name, detail))
        print(f"FAIL [{mode}] {name}", flush=True)
        for line in detail.rstrip().splitlines()[-40:]:
            print(f"    {line}", flush=True)

    def finish(self):
        if self.expected:
            print(f"{self.expected} failed as test/expectations says")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0


def clock():
    return time.monotonic()
