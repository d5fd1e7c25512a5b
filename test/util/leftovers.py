"""What a sandbox could leave behind: processes, mounts, state files, cgroups."""
import ctypes
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "bench"))
import processes


# Where test/ and bench/ work themselves; another of them may run at the same time.
TOOLS = ("/tmp/runsc-app", "/tmp/runsc-bench", "/tmp/runsc-fuzz")


def become_subreaper():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def _mounts():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return {line.split()[4] + " " + line.split(" - ")[1].strip() for line in file}


def _cgroups():
    found = set()
    for top, folders, _ in os.walk("/sys/fs/cgroup"):
        found |= {os.path.join(top, f) for f in folders if "runsc" in f or "sandbox" in f}
    return found


class Watch:
    """Compares what is there now with what was there at construction.

    `state`: the --root of the runs under watch. Processes are seen as descendants of this one,
    which must be a subreaper.
    """

    def __init__(self, state):
        self.state = state
        self.mounts, self.cgroups = _mounts(), _cgroups()
        self.files = self._files()

    def _files(self):
        tmp = {"/tmp/" + n for n in os.listdir("/tmp") if "runsc" in n and not ("/tmp/" + n).startswith(TOOLS)}
        found = set()
        for top, folders, names in os.walk(self.state):
            found |= {os.path.join(top, n) for n in folders + names}
        return found | tmp

    def processes(self):
        return [p for p in processes.descendants(os.getpid()) if not self._is_zombie(p)]

    @staticmethod
    def _is_zombie(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def leftovers(self, patience=3.0):
        """Texts that name what was left; waits up to `patience` seconds for it to go."""
        deadline = time.monotonic() + patience
        while True:
            self.reap()
            found = [f"process {p}: {self._name(p)}" for p in self.processes()]
            found += [f"mount {m}" for m in _mounts() - self.mounts
                      if self.state in m or ("runsc" in m and not m.startswith(TOOLS))]
            found += [f"cgroup {c}" for c in _cgroups() - self.cgroups]
            # A lock file of the state directory itself is not a container's.
            found += [f"file {f}" for f in self._files() - self.files if not f.endswith(".lock")]
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    @staticmethod
    def _name(pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read().replace(b"\0", b" ").decode(errors="replace")[:200]
        except OSError:
            return "?"

    @staticmethod
    def reap():
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def kill_all(self):
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
        self.reap()
