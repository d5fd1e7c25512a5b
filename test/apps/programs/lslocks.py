"""What lslocks(8) says of a lock of each kind and of a process that waits for one."""
import fcntl
import subprocess
import sys
import time


def listed():
    out = subprocess.run(["lslocks", "--noheadings", "--notruncate", "--raw", "--output", "PID,TYPE,MODE,START,END,BLOCKER,PATH"],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    return sorted(line for line in out.splitlines() if line.endswith(("/ranges", "/whole")))


if len(sys.argv) > 1:
    fcntl.lockf(open("ranges", "w"), fcntl.LOCK_EX, 2, 11)
    sys.exit()

ranges = open("ranges", "w+")
whole = open("whole", "w+")
fcntl.lockf(ranges, fcntl.LOCK_EX, 5, 10)
fcntl.lockf(ranges, fcntl.LOCK_SH, 0, 100)
fcntl.flock(whole, fcntl.LOCK_SH)
waiter = subprocess.Popen([sys.executable, __file__, "wait"])
while not any("WRITE*" in line for line in listed()):
    time.sleep(0.05)
me = open("/proc/self/stat").read().split()[0]
for line in listed():
    print(*("me" if word == me else "waiter" if word == str(waiter.pid) else word for word in line.split()[:-1]),
          line.rsplit("/", 1)[1])
fcntl.lockf(ranges, fcntl.LOCK_UN)
print(waiter.wait(), len(listed()))
