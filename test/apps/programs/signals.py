import os, signal, time
seen = []
signal.signal(signal.SIGUSR1, lambda *a: seen.append("usr1"))
os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.01); print(seen)
signal.signal(signal.SIGALRM, lambda *a: seen.append("alrm"))
signal.setitimer(signal.ITIMER_REAL, 0.02); time.sleep(0.1); print(seen)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.kill(os.getpid(), signal.SIGUSR2)
print(signal.sigpending(), signal.sigwait([signal.SIGUSR2]))
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGTERM, lambda *a: os._exit(42))
    os.kill(os.getppid(), signal.SIGUSR1)
    while True: time.sleep(1)
time.sleep(0.1); os.kill(pid, signal.SIGSTOP); print(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]))
os.kill(pid, signal.SIGCONT); os.kill(pid, signal.SIGTERM); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
try:
    signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.SIGINT); time.sleep(1)
except KeyboardInterrupt:
    print("interrupted")
