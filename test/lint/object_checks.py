"""Checks on the compiled objects in bazel-bin: which libc wrappers they pull in."""
import glob
import re
import subprocess

import tree

# libc functions that enter the host kernel. Thread starts, locks and plain output to the
# standard streams are not listed: they go through libc, not through code of ours.
ENTERS_KERNEL = set("""
open open64 openat openat64 creat close close_range read write pread pread64 pwrite pwrite64 readv
writev preadv preadv64 pwritev pwritev64 preadv2 preadv64v2 pwritev2 pwritev64v2 lseek lseek64
stat stat64 fstat fstat64 lstat lstat64 fstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64
access faccessat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink
symlinkat readlink readlinkat chmod fchmod fchmodat chown fchown lchown fchownat truncate truncate64
ftruncate ftruncate64 fallocate fallocate64 utimensat futimens fsync fdatasync sync syncfs
sync_file_range flock fcntl fcntl64 ioctl dup dup2 dup3 pipe pipe2 sendfile sendfile64 splice tee
vmsplice copy_file_range getdents64 getcwd chdir fchdir chroot pivot_root mount umount umount2
mknod mknodat mkfifo mkfifoat setxattr getxattr listxattr removexattr lsetxattr lgetxattr fsetxattr
fgetxattr flistxattr fremovexattr inotify_init1 inotify_add_watch inotify_rm_watch
mmap mmap64 munmap mprotect mremap madvise msync mincore mlock mlock2 munlock mlockall munlockall
memfd_create shm_open shm_unlink brk sbrk pkey_mprotect process_vm_readv process_vm_writev
fork vfork _Fork clone execve execveat execv execvp execvpe fexecve posix_spawn posix_spawnp system
popen wait wait3 wait4 waitid waitpid _exit _Exit kill killpg raise tgkill pthread_kill ptrace prctl
arch_prctl seccomp getpid getppid gettid getpgid getpgrp setpgid getsid setsid getuid geteuid getgid
getegid getgroups setuid setgid setreuid setregid setresuid setresgid setgroups getresuid getresgid
unshare setns sethostname setdomainname uname sysinfo getrusage getrlimit getrlimit64 setrlimit
setrlimit64 prlimit prlimit64 times acct
sched_yield sched_setaffinity sched_getaffinity sched_setscheduler sched_setparam sched_getcpu
pthread_setaffinity_np pthread_getaffinity_np setpriority getpriority nice
sigaction signal sigprocmask pthread_sigmask sigaltstack sigsuspend sigwaitinfo sigtimedwait sigwait
sigqueue pause alarm setitimer getitimer timer_create timer_settime timer_gettime timer_delete
nanosleep clock_nanosleep usleep sleep clock_gettime clock_settime clock_getres gettimeofday time
poll ppoll __ppoll_chk __poll_chk select pselect epoll_create epoll_create1 epoll_ctl epoll_wait
epoll_pwait epoll_pwait2 eventfd eventfd_read eventfd_write timerfd_create timerfd_settime
timerfd_gettime signalfd socket socketpair bind listen accept accept4 connect shutdown send sendto
sendmsg sendmmsg recv recvfrom recvmsg recvmmsg getsockname getpeername getsockopt setsockopt
fopen fopen64 freopen fdopen opendir fdopendir readdir readdir64 scandir nftw nftw64 ftw glob realpath
canonicalize_file_name mkstemp mkdtemp mkostemp tmpfile getrandom getentropy syscall isatty ttyname
tcgetattr tcsetattr posix_openpt grantpt unlockpt ptsname ptsname_r getpwnam getpwuid getgrnam
umask personality quotactl reboot membarrier __read_chk __pread_chk __open_2 __open64_2 __openat_2
__openat64_2 __readlink_chk __readlinkat_chk __recv_chk __recvfrom_chk
""".split())
# C++ library classes whose whole purpose is host files.
ENTERS_KERNEL_CXX = re.compile(
    r"^_ZN(K?)St(10filesystem|13basic_filebuf|14basic_ifstream|14basic_ofstream|13basic_fstream)")


def objects():
    """Yields (object, source path without suffix) of product objects whose source still exists."""
    sources = {p.rsplit(".", 1)[0] for p in tree.code_files(tree.PRODUCT) if not p.endswith(".h")}
    for obj in glob.glob("bazel-bin/*/**/_objs/**/*.o", recursive=True):
        path = obj[len("bazel-bin/"):]
        package, _, rest = path.partition("/_objs/")
        stem = re.sub(r"(\.pic)?\.o$", "", rest.split("/", 1)[1])
        source = f"{package}/{stem}"
        if source in sources:
            yield obj, source


def may_call_host(source):
    """True for *_host.cc, tests, and freestanding stub code that is not linked into runsc."""
    return source.endswith("_host") or tree.is_test(source)


def host_calls_in_host_files():
    """host system calls are made in *_host.cc only"""
    checked = {obj: source for obj, source in objects() if not may_call_host(source)}
    if not checked:
        return []
    out = subprocess.run(["/usr/bin/nm", "-u", "-A", *checked], check=True,
                         capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        obj, _, symbol = line.rpartition(" ")
        symbol = symbol.split("@")[0]
        if symbol in ENTERS_KERNEL or ENTERS_KERNEL_CXX.match(symbol):
            found.setdefault(checked[obj.split(":")[0]], set()).add(symbol)
    print(f"  note: {len(checked)} objects looked at")
    return [f"{source}: {' '.join(sorted(symbols))}" for source, symbols in sorted(found.items())]


def no_raw_syscall_instruction():
    """the syscall instruction is written in *_host.cc, *_asm.S and stub code only"""
    asm = re.compile(r'"[^"]*\bsyscall\b(?!\()[^"]*(\\n|;|")')
    bad = []
    for path in tree.code_files(tree.PRODUCT):
        if path.startswith("sentry/time/vdso/"):  # Guest code: its calls trap into us.
            continue
        if tree.is_test(path) or re.search(r"(_host\.(cc|h)|_asm\.S|/stub[^/]*(/.*)?)$", path):
            continue
        text = tree.read(path)
        if not re.search(r"\basm\b|__asm__", text) and not path.endswith(".S"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            raw = asm.search(line) if not path.endswith(".S") else re.match(r"\s*syscall\b", line)
            if raw:
                bad.append(f"{path}:{number}: {line.strip()}")
    return bad


CHECKS = [host_calls_in_host_files, no_raw_syscall_instruction]
