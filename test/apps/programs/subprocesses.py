import os, signal, subprocess, sys
print(subprocess.check_output(["echo", "hi"]))
p = subprocess.run("cat; echo err >&2; exit 3", shell=True, input=b"data\n", capture_output=True)
print(p.returncode, p.stdout, p.stderr)
print(subprocess.run(["sh", "-c", "kill -9 $$"]).returncode)
try:
    subprocess.run(["sleep", "10"], timeout=0.1)
except subprocess.TimeoutExpired as e:
    print("timeout")
try:
    subprocess.run(["/no/such/program"])
except FileNotFoundError as e:
    print(e.errno)
big = os.urandom(300000)
print(subprocess.run(["cat"], input=big, capture_output=True).stdout == big)
a = subprocess.Popen(["seq", "100"], stdout=subprocess.PIPE)
b = subprocess.Popen(["tail", "-1"], stdin=a.stdout, stdout=subprocess.PIPE)
a.stdout.close(); print(b.communicate()[0], a.wait())
p = subprocess.Popen([sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(30)"], stdout=subprocess.PIPE, start_new_session=True)
print(p.stdout.readline()); os.killpg(p.pid, signal.SIGTERM); print(p.wait())
print(subprocess.check_output("pwd", cwd="/usr/lib"), subprocess.check_output("echo $X", shell=True, env={"X": "y"}))
pid = os.fork()
if pid == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
r, w = os.pipe(); os.set_inheritable(w, True)
subprocess.run(["sh", "-c", f"echo through >&{w}"], pass_fds=[w]); os.close(w); print(os.read(r, 100))
print(os.posix_spawn("/bin/true", ["true"], {}) > 0, os.wait()[1])
