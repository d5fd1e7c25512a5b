"""Where the benchmarks run: native, runc, bubblewrap, Debian's gVisor, and ours on each platform.

An environment turns a command into the command line that runs it inside, as root, with the host's
files at the same paths.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "test", "util"))
import runner


class Environment:
    def __init__(self, name, prefix):
        self.name, self.prefix = name, prefix

    def command(self, command):
        return [*self.prefix, *command]

    def close(self):
        pass


class Runc(Environment):
    """`runc run` of a bundle whose root is a bind mount of /; each command rewrites its process."""

    def __init__(self):
        super().__init__("runc", [])
        self.bundle = tempfile.mkdtemp(prefix="runsc-bench-runc.")
        subprocess.run(["/usr/sbin/runc", "spec"], cwd=self.bundle, check=True)
        self.config = os.path.join(self.bundle, "config.json")
        with open(self.config, encoding="utf-8") as file:
            self.spec = json.load(file)
        self.root = os.path.join(self.bundle, "rootfs")  # runc cannot pivot to / itself.
        os.mkdir(self.root)
        subprocess.run(["/bin/mount", "--bind", "/", self.root], check=True)
        self.spec["root"] = {"path": "rootfs", "readonly": False}
        self.spec["process"]["terminal"] = False
        # Not every machine has a cgroup hierarchy that runc can mount.
        self.spec["mounts"] = [m for m in self.spec["mounts"] if m["type"] != "cgroup"]
        self.spec["process"]["env"] = [f"{k}={v}" for k, v in runner.ENV.items()]
        self.count = 0

    def command(self, command):
        self.spec["process"]["args"] = command
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump(self.spec, file)
        self.count += 1
        return ["/usr/sbin/runc", "run", "--bundle", self.bundle, f"bench-{os.getpid()}-{self.count}"]

    def close(self):
        subprocess.run(["/bin/umount", self.root], check=True)
        os.rmdir(self.root)  # So that rmtree can never reach what was mounted there.
        shutil.rmtree(self.bundle)


class Gvisor(Environment):
    """Debian's gVisor. It gives the files that it has as stdio to nobody, /dev/null too."""

    def __init__(self):
        super().__init__("gvisor-ptrace", ["/usr/bin/runsc", "--platform=ptrace", "--network=none", "do", "--"])

    def close(self):
        os.chown("/dev/null", 0, 0)


def available(platforms, runsc, only):
    """All environments that this machine has, or those of them whose names are in `only`."""
    kinds = [("native", None, lambda: Environment("native", [])),
             ("runc", "/usr/sbin/runc", Runc),
             ("bwrap", "/usr/bin/bwrap",
              lambda: Environment("bwrap", ["/usr/bin/bwrap", "--dev-bind", "/", "/", "--unshare-all", "--"])),
             ("gvisor-ptrace", "/usr/bin/runsc", Gvisor)]
    kinds += [(p, runsc, lambda p=p: Environment(p, [runsc, f"--platform={p}", "do", "--"])) for p in platforms]
    return [make() for name, needs, make in kinds
            if (not only or name in only) and (needs is None or os.path.exists(needs))]
