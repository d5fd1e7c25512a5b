"""Makes threads or processes until that is refused; then uses what needs the kernel's own threads."""
import ctypes
import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
release = threading.Event()


def one_thread():
    # The errno of clone(2), which Python does not tell.
    thread = threading.Thread(target=release.wait, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        ident = ctypes.c_ulong()
        entry = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(libc.abs)
        raise OSError(libc.pthread_create(ctypes.byref(ident), None, entry, None) or errno.EAGAIN, "clone") from None
    return thread


def one_process():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid


def until_refused(make):
    made = []
    try:
        while len(made) < 5000:
            made.append(make())
    except OSError as refused:
        print(f"refused after {len(made)} with {errno.errorcode[refused.errno]}", flush=True)
    return made


def use_timers():
    signal.signal(signal.SIGALRM, lambda *_: None)
    for which, name in ((signal.ITIMER_REAL, signal.SIGALRM), (signal.ITIMER_VIRTUAL, signal.SIGVTALRM)):
        signal.signal(name, lambda *_: fired.append(name))
        fired = []
        signal.setitimer(which, 0.01)
        deadline = time.monotonic() + 10
        while not fired and time.monotonic() < deadline:
            pass
        assert fired, name


def use_stdin():
    poller = select.poll()
    poller.register(0, select.POLLIN)
    assert poller.poll(100) in ([], [(0, select.POLLIN)], [(0, select.POLLHUP)], [(0, select.POLLIN | select.POLLHUP)])
    time.sleep(0.01)
    with open("/etc/passwd", encoding="utf-8") as file:
        assert file.read()


def run_another():
    """What ended goes from the host's count a little later."""
    deadline = time.monotonic() + 10
    while True:
        try:
            assert subprocess.run(["/bin/true"], check=False).returncode == 0
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main():
    what = sys.argv[1]
    made = until_refused(one_thread if what == "threads" else one_process)
    for _ in range(20):  # refusals leave nothing that adds up
        try:
            made.append(one_thread() if what == "threads" else one_process())
        except OSError:
            pass
    use_timers()
    use_stdin()
    if what == "threads":
        release.set()
        for thread in made:
            thread.join(30)
            assert not thread.is_alive()
    else:
        for pid in made:
            os.kill(pid, signal.SIGKILL)
        # No child but those: a refused fork is none.
        assert sorted(os.wait()[0] for _ in made) == sorted(made)
    try:
        os.wait()
        assert False, "a child that nobody made"
    except ChildProcessError:
        pass
    run_another()
    print("fine")


main()
