"""Checks that only read source text."""
import json
import os
import re
import subprocess

import tree

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)

# Inside sentry a folder sees its own level and lower ones.
SENTRY_LEVEL = {"wait": 0, "time": 0, "auth": 1, "usermem": 1, "mm": 2, "vfs": 3, "kernel": 4,
                "fs": 5, "net": 5, "ipc": 5, "loader": 5, "state": 6}
SENTRY_SEES = {"base", "abi", "arch", "memory", "api"}
CONCRETE = {"systrap", "ptrace", "kvm"}


def second(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


def includes():
    for path in tree.code_files():
        for target in INCLUDE.findall(tree.read(path)):
            yield path, target


def include_direction():
    """includes point one way: platform, gofer, sentry, syscalls, runsc, test"""
    bad = []
    for path, target in includes():
        here, there = tree.layer(path), tree.layer(target)
        if there is not None and there > here:
            bad.append(f"{path}: includes {target}")
    return bad


def include_sentry_order():
    """inside sentry: wait time, auth usermem, mm, vfs, kernel, fs net ipc loader, state"""
    bad = []
    for path, target in includes():
        if not (path.startswith("sentry/") and target.startswith("sentry/")):
            continue
        here, there = second(path), second(target)
        for name, where in ((here, path), (there, target)):
            if name not in SENTRY_LEVEL:
                bad.append(f"{where}: folder sentry/{name} has no place in the order")
                break
        else:
            if SENTRY_LEVEL[there] > SENTRY_LEVEL[here] and not tree.is_test(path):
                bad.append(f"{path}: includes {target}")
    return bad


def include_platform_seen():
    """sentry sees platform/{base,abi,arch,memory,api}; platform/host only from *_host.cc"""
    bad = []
    for path, target in includes():
        if not (path.startswith("sentry/") and target.startswith("platform/")):
            continue
        folder = second(target)
        host_ok = folder == "host" and re.search(r"_host\.(cc|h)$", path)
        if folder not in SENTRY_SEES and not host_ok and not tree.is_test(path):
            bad.append(f"{path}: includes {target}")
    return bad


def include_concrete_platform():
    """platform/{systrap,ptrace,kvm} are seen by runsc/boot and platform/contract only"""
    bad = []
    for path, target in includes():
        folder = second(target)
        if not (target.startswith("platform/") and folder in CONCRETE):
            continue
        own = path.startswith(f"platform/{folder}/")
        if not own and not path.startswith(("runsc/boot/", "platform/contract/")):
            bad.append(f"{path}: includes {target}")
    return bad


def include_gofer_client():
    """gofer/client is used by sentry/fs/gofer, and by runsc/boot to connect; gofer/server by runsc only"""
    bad = []
    for path, target in includes():
        if target.startswith("gofer/client/"):
            allowed = ("gofer/client/", "sentry/fs/gofer/", "runsc/boot/")
        elif target.startswith("gofer/server/"):
            allowed = ("gofer/server/", "runsc/")
        else:
            continue
        if not path.startswith(allowed) and not tree.is_test(path):
            bad.append(f"{path}: includes {target}")
    return bad


def guest_tests_plain():
    """test/syscalls, test/fuzz and bench/micro guests include no product header"""
    bad = []
    for path, target in includes():
        guest = path.startswith(("test/syscalls/", "test/util/", "bench/micro/"))
        if guest and not target.startswith(("test/util/", "test/syscalls/", "bench/micro/")):
            bad.append(f"{path}: includes {target}")
    return bad


def file_length():
    """no source file over 1000 lines (over 500 is listed)"""
    bad = []
    for path in tree.code_files():
        lines = tree.read(path).count("\n")
        if lines > 1000:
            bad.append(f"{path}: {lines} lines")
        elif lines > 500 and not path.endswith(".def"):
            print(f"  note: {path} has {lines} lines, aim is 500")
    return bad


def function_lengths():
    files = [p for p in tree.code_files() if p.endswith((".cc", ".h")) and os.path.exists(p)]
    out = subprocess.run(
        ["/usr/bin/ctags", "--output-format=json", "--fields=+ne", "--kinds-C++=f",
         "--language-force=C++", "-f", "-", "-L", "-"],
        input="\n".join(files), check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        tag = json.loads(line)
        if "end" in tag:
            yield tag["end"] - tag["line"] + 1, f'{tag["path"]}:{tag["line"]}', tag["name"]


def function_length():
    """no function over 120 lines; nine of ten within 40"""
    lengths = sorted(function_lengths())
    if not lengths:
        return []
    p90 = lengths[len(lengths) * 9 // 10][0]
    print(f"  note: {len(lengths)} functions, p90 {p90} lines, longest {lengths[-1][0]}")
    bad = [f"{where}: {name} has {count} lines" for count, where, name in lengths if count > 120]
    if p90 > 40:
        bad.append(f"90th percentile is {p90} lines, at most 40 wanted")
    return bad


def generated_not_committed():
    """generated files are built, not committed"""
    name = re.compile(r"(\.pb\.(h|cc)|\.o|\.a|\.so|\.pyc|\.gen\.(h|cc))$|^bazel-")
    mark = re.compile(r"do not edit|@generated|generated by", re.I)
    bad = []
    for path in tree.tracked():
        if name.search(path):
            bad.append(path)
        elif path.endswith(tree.CODE) and mark.search(tree.read(path)[:400]):
            bad.append(f"{path}: says that it is generated")
    return bad


def mutex_rank():
    """every mutex is a ranked one: no bare std, pthread or absl mutex outside platform/base"""
    bare = re.compile(
        r"std::(recursive_|shared_|timed_)?mutex\b|pthread_(mutex|rwlock|spinlock)_t|absl::Mutex\b")
    unranked = re.compile(r"(?<![A-Za-z_:])(Mutex|RwMutex|SharedMutex)<(?![^>]*\bk[A-Z])(?!.*\bR\b)")
    bad = []
    for path in tree.code_files(tree.PRODUCT):
        if path.startswith("platform/base/") or tree.is_test(path):
            continue
        for number, line in enumerate(tree.read(path).splitlines(), 1):
            code = line.split("//")[0]
            if bare.search(code) or unranked.search(code):
                bad.append(f"{path}:{number}: {line.strip()}")
    return bad


def rank_once():
    """every lock rank is declared exactly once and used"""
    ranks = re.findall(r"^LOCK_RANK\((\w+)\)", tree.read("platform/base/lock_rank.def"), re.M)
    bad = [f"{rank} is declared more than once" for rank in set(ranks) if ranks.count(rank) > 1]
    text = "\n".join(tree.read(p) for p in tree.code_files(tree.PRODUCT)
                     if not p.startswith("platform/base/lock_rank"))
    used = set(re.findall(r"\bLockRank::(k\w+)", text))
    bad += [f"{rank} is used but not declared" for rank in sorted(used - set(ranks))]
    bad += [f"{rank} is declared, but no lock has it" for rank in ranks if rank not in used]
    return bad


def guarded_mutex():
    """a class with a mutex says what it guards"""
    declares = re.compile(r"\bMutex<LockRank::\w+> (\w+)(?: [A-Z_]+\([^)]*\))*;")
    bad = []
    for path in tree.code_files(tree.PRODUCT):
        if tree.is_test(path):
            continue
        text = tree.read(path)
        for name in set(declares.findall(text)):
            if not re.search(r"(GUARDED_BY|REQUIRES|ACQUIRE)\([^)]*\b" + name + r"\b", text):
                bad.append(f"{path}: nothing says that it is guarded by {name}")
    return bad


def readme_present():
    """each second-level folder that has code has a README.md"""
    folders = {"/".join(p.split("/")[:2]) for p in tree.code_files() if p.count("/") >= 2}
    folders |= {"/".join(p.split("/")[:2]) for p in tree.tracked()
                if p.startswith("test/") and p.count("/") >= 2}
    folders -= {"bench/micro"}  # Its README is bench/README.md.
    return [f"{folder}/README.md is missing" for folder in sorted(folders)
            if not tree.read(f"{folder}/README.md")]


# What a test says when it means a call whose name it does not spell.
SPELLED = {
    "rt_sigaction": "sigaction", "rt_sigpending": "sigpending", "rt_sigtimedwait": "sigtimedwait",
    "rt_sigsuspend": "sigsuspend", "rt_sigreturn": "ScopedSigaction", "restart_syscall": "StopAndContinueRestartsSleep",
    "exit_group": "_exit", "fadvise64": "posix_fadvise", "newfstatat": "fstatat", "faccessat": "access",
    "mknodat": "mknod", "pselect6": "pselect", "signalfd4": "signalfd", "eventfd2": "eventfd", "pread64": "pread",
    "pwrite64": "pwrite", "clone3": "SYS_clone3", "fchmodat2": "kFchmodat2", "futex_wake": "kFutexWake",
    "futex_wait": "kFutexWait", "futex_requeue": "kFutexRequeue", "futex_waitv": "kFutexWaitv", "mseal": "kMseal",
    "prlimit64": "prlimit", "getdents64": "SYS_getdents64", "umount2": "umount2",
}


def claimed_calls_tested():
    """each system call claimed as full is made by a guest test"""
    rows = re.findall(r"^SYSCALL\(\s*\d+,\s*(\w+),\s*\w+,\s*kFull", tree.read("syscalls/table/syscalls.def"), re.M)
    text = "\n".join(tree.read(p) for p in tree.tracked()
                     if p.startswith(("test/syscalls/", "test/util/")) and p.endswith((".cc", ".h")))
    words = set(re.findall(r"\w+", text))
    bad = [name for name in rows if not {SPELLED.get(name, name), "SYS_" + name} & words]
    print(f"  note: {len(rows)} calls are claimed as full")
    return bad


CHECKS = [claimed_calls_tested, include_direction, include_sentry_order, include_platform_seen,
          include_concrete_platform, include_gofer_client, guest_tests_plain, file_length,
          function_length, generated_not_committed, mutex_rank, rank_once, guarded_mutex,
          readme_present]
