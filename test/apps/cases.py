"""Programs of Debian 12 and what they are asked to do. Each script runs in an empty directory of its own, as root.

A script's output and exit status must be the same natively and in the sandbox, so it prints nothing
that may differ (times, pids, inode numbers). $PROGRAMS is test/apps/programs.
"""
import collections

# A case with a fixture starts in a directory that test/apps/run has filled (see fixture() there); in the
# sandbox these are files of the host's, which must be as before when the sandbox has gone.
Case = collections.namedtuple("Case", "name script timeout fixture", defaults=(60, False))
LIST = "find . -printf '%M %n %U %G %s %P %l\\n' | awk '$1 ~ /^d/ {$2 = $5 = 0} {print}' | LC_ALL=C sort -k6; find . -type f | LC_ALL=C sort | xargs md5sum"

SHELLS = [
    Case("true", "/bin/true"),
    Case("exit-status", "exit 37"),
    Case("killed-by-signal", "sh -c 'kill -TERM $$; sleep 5'; echo $?; { python3 -c 'import ctypes; ctypes.string_at(0)'; } 2>/dev/null; echo $?; "
         "exec python3 -c 'import ctypes; ctypes.string_at(0)'"),
    Case("bash-pipes", "seq 1 1000 | grep 7 | sort -rn | head -5; echo ${PIPESTATUS[@]}"),
    Case("bash-redirections", "{ echo out; echo err >&2; } 2>e >o; cat o e; exec 5<o; read -u5 x; echo $x; "
         "cat <<X\nhere\nX\ncat <<<string; cat <(echo sub) <(echo sub2)"),
    Case("bash-jobs", "sleep 0.05 & sleep 0.02 & wait; echo $?; (exit 3) & wait $!; echo $?"),
    Case("bash-traps", "trap 'echo usr1' USR1; trap 'echo bye' EXIT; kill -USR1 $$; echo after"),
    Case("bash-arithmetic", "for ((i=0;i<2000;i++)); do ((s+=i*i)); done; echo $s; printf '%05d %x\\n' 42 255"),
    Case("bash-many-forks", "for i in $(seq 100); do /bin/true || echo bad; done; echo done"),
    Case("bash-coproc", "coproc cat; echo hi >&${COPROC[1]}; read x <&${COPROC[0]}; echo $x"),
    Case("dash", "dash -c 'set -- a b c; while [ $# -gt 0 ]; do echo $1; shift; done; ulimit -n >/dev/null'"),
    Case("ulimit", "ulimit -n 50; ulimit -n; bash -c 'ulimit -n'"),
    Case("here-is-root", "id; whoami; umask; pwd; echo $HOME $PATH"),
]

CORE = [
    Case("coreutils-files", "mkdir -p a/b; echo x > a/f; cp -a a c; mv c d; ln -s f a/l; ln a/f a/h; "
         "ls -lR --time-style=+ a d | awk 'NF > 2 {print $1, $2, $3, $4, $6, $7, $8}'; rm -r a; ls; stat -c '%a %s %F %h' d/f; touch -d @0 d/f; "
         "stat -c %Y d/f; chmod 4711 d/f; stat -c %a d/f; readlink d/l; realpath d/l"),
    Case("coreutils-text", "seq 100 | shuf --random-source=/bin/true | sort -n | md5sum; seq 20 | paste - - | column -t | tac;"
         "printf 'b\\na\\nb\\n' | sort | uniq -c; echo hello | tr a-z A-Z | rev; seq 10 | split -l 3; cat xa?; wc x*"),
    Case("coreutils-sums", "head -c 1000000 /dev/zero | tee a | sha256sum; sha512sum a; b2sum a; cksum a; base64 a | md5sum"),
    Case("coreutils-dd", "dd if=/dev/zero of=f bs=4k count=100 2>/dev/null; dd if=f of=g bs=1 skip=5 count=9 2>/dev/null; "
         "ls -s --block-size=1 f | cut -d' ' -f1; wc -c f g; truncate -s 1M s; du --apparent-size -k s | cut -f1"),
    Case("coreutils-env", "env -i A=1 /usr/bin/env; nproc >/dev/null; timeout 0.1 sleep 5; echo $?; "
         "nice -n 5 nice; yes | head -3; factor 1234567890123; expr 6 \\* 7; date -u -d @86400 +%F"),
    Case("coreutils-errors", "cat none; ls none; rmdir /; mkdir /proc/x; rm none; cp a; echo $?"),
    Case("findutils", "mkdir -p t/{a,b,c}/{1,2}; touch t/{a,b,c}/{1,2}/{x,y}; find t -type f | sort; find t -name x -delete; "
         "find t -type f -print0 | sort -z | xargs -0 -n2 -P2 echo | sort; find t -empty -type d | sort; touch -d @5 t/a/1/y; touch -d @4 t/b/1/y; find t -type f -newer t/a/1/y | sort"),
    Case("find-usr", "find /usr/bin /usr/lib/python3 -xdev | sort | md5sum", 120),
    Case("grep", "grep -rn root /etc/passwd; grep -c . /etc/services; grep -E '^(tcp|udp)' /etc/protocols; "
         "grep -P '\\d+/udp' /etc/services | head -3; grep none /etc/passwd; echo $?"),
    Case("sed", "sed -n '2,4p;s/root/ROOT/gp' /etc/passwd; cp /etc/passwd p; sed -i 's/:/;/g' p; head -2 p; seq 5 | sed '1!G;h;$!d'"),
    Case("gawk", "gawk -F: '{n[$7]++} END {for (s in n) print s, n[s]}' /etc/passwd | sort; "
         "gawk 'BEGIN {\"echo cmd\" | getline x; print x; print strftime(\"%Y\", 0, 1); printf \"%.3f\\n\", atan2(1,1)*4}'"),
    Case("tar-gzip", "mkdir d; for i in $(seq 50); do seq $i > d/$i; done; ln -s 1 d/l; chmod 600 d/2; "
         "for z in '' z j J; do tar c${z}f a.tar d; rm -rf e; mkdir e; tar xf a.tar -C e; diff -r d e/d && echo same $z; done; "
         "tar tvf a.tar | awk '{print $1, $6}' | sort | head -5; gzip -k9 a.tar; gzip -t a.tar.gz; zcat a.tar.gz | cmp - a.tar"),
    Case("xz-threads", "seq 200000 > f; xz -kT2 f; xz -t f.xz; xzcat f.xz | md5sum; zstd -q f; zstd -dqc f.zst | md5sum; bzip2 -k f; bunzip2 -c f.bz2 | md5sum"),
    Case("diff-patch", "seq 20 > a; sed s/7/seven/ a > b; diff -u --label a --label b a b | tee p; patch a p; cmp a b && echo same"),
    Case("bc", "echo 'scale=50; 4*a(1); 2^200' | bc -l"),
    Case("perl", "perl -e 'print join(\",\", map {$_*$_} 1..10), \"\\n\"; open F, \">f\"; print F \"x\" x 1000; close F; print -s \"f\", \"\\n\"; "
         "my $p = fork; if (!$p) {exit 5} waitpid $p, 0; print $? >> 8, \"\\n\"; $SIG{ALRM} = sub {print \"alarm\\n\"}; alarm 1; sleep 3; print `echo sub`'"),
    Case("file-strings", "file -b /etc/passwd; file -b /usr/bin/perl | cut -d, -f1; readelf -h /bin/true | grep Type; strings /bin/true | wc -l"),
    Case("procps", "ps -o comm= -p $$; ps ax -o comm= | grep -qx ps && echo self; free -b | awk '/Mem/ {print ($2>0)}'; uptime >/dev/null && echo ok; "
         "pgrep -x bash >/dev/null && echo found; sleep 100 & until pkill -P $$ sleep; do :; done; wait; echo $?; df / >/dev/null && echo df; mount | grep -c 'on /proc type proc'"),
    Case("lslocks", "python3 $PROGRAMS/lslocks.py"),
    Case("lsof-sockets", "python3 -c \"import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('here.sock'); s.listen(); a, b = socket.socketpair(socket.AF_UNIX, "
         "socket.SOCK_SEQPACKET); open('up', 'w'); time.sleep(60)\" & until test -e up; do sleep 0.05; done; lsof -a -U -p $! -Fn | grep ^n; kill $!"),
    Case("lscpu", "lscpu | grep -E '^(Architecture|CPU op-mode|CPU.s.|On-line|Vendor)' | tr -s ' '; lscpu -p=CPU,SOCKET | grep -v '#'"),
    Case("process-io", "python3 -c \"import os; f = lambda: dict(l.split(': ') for l in open('/proc/self/io')); a = f(); os.write(os.open('x', os.O_CREAT | os.O_WRONLY), b'y' * 5000); "
         "b = f(); print(*(int(b[k]) - int(a[k]) for k in ('wchar', 'syscw')))\""),
    Case("lsof", "exec 9>open-file; lsof -p $$ -a -d 9 -Fn | tail -1 | xargs basename; lsof -p $$ >/dev/null && echo ok"),
    Case("strace", "strace -V >/dev/null && echo present"),
    Case("mktemp-flock", "f=$(mktemp); (flock 9; echo locked) 9>$f; flock -n $f echo again; rm $f; mkfifo p; echo through > p & cat p"),
    Case("setpriv", "setpriv --reuid=1000 --regid=1000 --clear-groups id; setpriv --reuid=1000 cat /etc/shadow; echo $?"),
    Case("su-nobody", "su -s /bin/sh nobody -c 'id -un; touch /root/x'; echo $?"),
]

LANGUAGES = [
    Case("python-sum", "python3 -c 'print(sum(range(10**6)))'"),
    Case("python-threads", "python3 $PROGRAMS/threads.py"),
    Case("python-subprocess", "python3 $PROGRAMS/subprocesses.py"),
    Case("python-asyncio", "python3 $PROGRAMS/aio.py"),
    Case("python-multiprocessing", "python3 $PROGRAMS/multi.py", 90),
    Case("python-sqlite", "python3 $PROGRAMS/sql.py"),
    Case("python-mmap", "python3 $PROGRAMS/mm.py"),
    Case("python-files", "python3 $PROGRAMS/files.py"),
    Case("python-signals", "python3 $PROGRAMS/signals.py"),
    Case("gcc-run", "gcc -O2 -o hello $PROGRAMS/hello.c -lm && ./hello a b; echo $?; gcc -static -o s $PROGRAMS/hello.c -lm && ./s; gcc x.c; echo $?", 90),
    Case("g++-run", "g++ -O1 -std=c++20 -o t $PROGRAMS/threads.cc && ./t", 120),
    Case("make-ed", "cp -r $SOURCES/ed src && cd src && ./configure --prefix=/usr >/dev/null && make -j2 >/dev/null 2>&1; echo $?; "
         "printf 'a\\nhello\\n.\\n,s/l/L/g\\n,p\\nQ\\n' | ./ed -s; make check 2>/dev/null | tail -1", 180),
    Case("git", "bash $PROGRAMS/git.sh", 120),
    Case("sqlite3", "sqlite3 db 'create table t(a,b); begin; with recursive c(x) as (values(1) union all select x+1 from c where x<1000) "
         "insert into t select x, x*x from c; commit; select count(*), sum(b) from t; pragma integrity_check; pragma journal_mode=wal; "
         "insert into t values(1,2); select count(*) from t;'; ls | sort"),
    Case("node", "node $PROGRAMS/app.js", 90),
    Case("go", "export GOCACHE=$PWD/cache GOFLAGS=-mod=mod GO111MODULE=off; go build -o app $PROGRAMS/app.go && ./app", 300),
    Case("java", "java -Xshare:auto -XX:+UseSerialGC -cp $PROGRAMS $PROGRAMS/App.java", 180),
    Case("openssl", "openssl genrsa 2048 2>/dev/null > k; openssl rsa -in k -check -noout; echo hi | openssl enc -aes-256-cbc -pbkdf2 -k x | "
         "openssl enc -d -aes-256-cbc -pbkdf2 -k x; openssl speed -seconds 1 -bytes 1024 sha256 2>/dev/null | grep -c '^sha256'; "
         "openssl req -x509 -key k -subj /CN=x -days 1 -out c; openssl verify -CAfile c c", 90),
    Case("busybox", "busybox sh -c 'for i in 1 2 3; do echo $i; done | busybox awk \"{s+=\\$1} END {print s}\"; busybox ls / >/dev/null && busybox sha256sum /bin/busybox | cut -c1-3'"),
]

# Programs that ask the kernel for other things than those above.
MORE = [
    Case("cpython-self-tests", "for t in posix mmap tempfile glob pathlib pty openpty resource fileio; do "
         "/usr/bin/python3 -m test -q test_$t >/dev/null 2>&1; echo $t $?; done", 240),
    # Go's own tests of what talks to the kernel, but for TCP and ptrace(2).
    Case("go-self-tests", "export GOCACHE=$PWD/cache GOPATH=$PWD/go HOME=$PWD PATH=/usr/bin:/bin; for p in os os/exec os/signal os/user syscall io/fs path/filepath time; do "
         "go test -vet=off -tags=timetzdata -c -o t $p || continue; (cd /usr/share/go-1.19/src/$p; t=$OLDPWD/t; "
         "list=$($t -test.list . | grep -vE 'Network|SpliceFile|SendFile|TCP|Ptrace|ExtraFilesRace|TestExtraFiles$' | paste -sd'|'); "
         "timeout 100 $t -test.short -test.v -test.run \"^($list)\\$\" 2>&1 | sed -nE 's/^ *--- ([A-Z]+: [^ ]+).*/\\1/p' | sort); done", 240),
    Case("stress-ng", "stress-ng --timeout 1 --verify --temp-path . --vm-rw 1 --kcmp 1 --pidfd 1 --pty 1 --clone 1 --fault 1 --mremap 1 "
         "--sigq 1 --timer 1 --splice 1 --dentry 1 --fcntl 1 --lockofd 1 --memfd 1 >out 2>&1; echo $?; grep -c fail: out", 120),
    Case("ruby", "ruby -e 'require \"socket\"; a, b = UNIXSocket.pair; t = Thread.new { b.write(\"hi\"); b.close }; puts a.read; t.join; "
         "p fork { exit 3 }.then { |pid| Process.wait2(pid)[1].exitstatus }; trap(\"USR1\") { puts \"usr1\" }; Process.kill(\"USR1\", $$); "
         "sleep 0.05; puts IO.popen(\"seq 3\").read; p (1..500).map { |i| Thread.new { i * 2 } }.sum(&:value)'", 90),
    Case("php", "php -r '$p = pcntl_fork(); if (!$p) exit(4); pcntl_waitpid($p, $s); echo pcntl_wexitstatus($s), PHP_EOL; "
         "$h = proc_open([\"sort\"], [[\"pipe\", \"r\"], [\"pipe\", \"w\"]], $q); fwrite($q[0], \"b\\na\\n\"); fclose($q[0]); "
         "echo stream_get_contents($q[1]), proc_close($h), PHP_EOL; $f = fopen(\"l\", \"c\"); var_dump(flock($f, LOCK_EX));'"),
    Case("sbcl", "sbcl --noinform --non-interactive --eval '(progn (print (loop for i below 100 sum i)) (dotimes (i 20) (make-array 1000000)) (gc :full t) "
         "(print (mapcar (function sb-thread:join-thread) (loop for i below 4 collect (let ((i i)) (sb-thread:make-thread (lambda () (* i i))))))))'", 90),
    Case("redis", "redis-server --port 0 --unixsocket $PWD/s --save '' >log 2>&1 & c='redis-cli -s s'; for i in $(seq 100); do $c ping 2>&1 | grep PONG && break; "
         "sleep 0.05; done; $c set a 1; $c incrby a 41; redis-benchmark -s s -n 1000 -q -t set,get >/dev/null 2>&1; echo $?; $c bgsave; $c shutdown nosave; wait; echo $?", 90),
    Case("zsh", "zsh -fc 'zmodload zsh/zpty; zpty p cat; zpty -w p hi; zpty -r p x; echo $x; zpty -d p; echo =(echo a) | wc -l; coproc cat; print -p y; read -p z; echo $z'"),
    Case("expect", "expect -c 'spawn bash --norc; send \"echo \\$((6*7))\\r\"; expect 42; send \"exit 3\\r\"; expect eof; puts [lindex [wait] 3]' | tail -1"),
    Case("screen", "export SCREENDIR=$PWD/d; mkdir -m 700 d; screen -dmS s bash; for i in $(seq 100); do screen -S s -X stuff 'echo hi > out\n' >/dev/null && break; "
         "sleep 0.05; done; for i in $(seq 100); do [ -s out ] && break; sleep 0.05; done; cat out; screen -S s -X quit"),
    Case("rsync-cpio", "mkdir -p s/a; seq 1000 > s/a/f; ln -s f s/a/l; ln s/a/f s/h; mkfifo s/p; rsync -aHAX s/ d/ && diff -r --no-dereference s/a d/a && stat -c '%F %h' d/h d/p; "
         "echo x >> s/a/f; touch -d @5 s/a/f; rsync -aHi --delete s/ d/ | LC_ALL=C sort; mkdir x; (cd s; find . | LC_ALL=C sort | cpio -o -H newc 2>/dev/null) | (cd x; cpio -id 2>/dev/null); stat -c '%n %F %h' x/*"),
]

OVERLAY = [
    Case("overlay-read", LIST, 60, True),
    Case("overlay-write", f"echo more >> f; echo new > g; : > b/inner; dd if=/dev/zero of=big bs=1 count=1 seek=500000 conv=notrunc 2>/dev/null; {LIST}", 60, True),
    Case("overlay-modes", f"chmod 600 f; chown 5:6 b/inner; chmod 711 b; touch -d @1000 f; chown -h 7 link; stat -c '%Y %a' f; {LIST}", 60, True),
    Case("overlay-remove", f"rm f; rm -r b/c; rmdir empty; ls f b/c empty; mkdir empty; echo x > f; mkdir b/c; ls -A b/c; {LIST}", 60, True),
    Case("overlay-rename", f"mv f f2; mv b/inner b/c/moved; mv big f; mv link link2; mv b bb || echo dir; ls f2 bb/c; mv bb/c c; {LIST}", 60, True),
    Case("overlay-rename-dir-back", f"mv b x; mkdir b; echo y > b/z; mv b/z x/z; rmdir b; mv x b; {LIST}", 60, True),
    Case("overlay-links", f"ln f hard; echo more >> hard; cat f; ln -sf b/inner link; cat link; ln b/linked other; echo z >> other; cat b/linked a/linked; {LIST}", 60, True),
    Case("overlay-open-files", "exec 5<f 6<>big; rm f; cat <&5; echo changed > f; cat f; rm big; echo xx >&6; stat -L -c %h /proc/self/fd/6; "
         f"exec 7>>b/inner; mv b/inner q; echo tail >&7; cat q; {LIST}", 60, True),
    Case("overlay-mmap", "python3 -c 'import mmap\nf = open(\"big\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); m[100:104] = b\"MMAP\"; m.flush()\n"
         f"g = open(\"big\", \"rb\"); g.seek(100); print(g.read(4), m.size())'; {LIST}", 60, True),
    Case("overlay-setuid-kept", "stat -c %a setuid; cp -p setuid s2; stat -c %a s2; echo >> setuid; stat -c %a setuid", 60, True),
    Case("overlay-many", f"for i in $(seq 300); do echo $i > many-$i; done; ls | wc -l; rm many-*; ls | wc -l; mkdir -p n/{{1..30}}/{{a,b}}; find n | wc -l; rm -r n a; {LIST}", 60, True),
    Case("overlay-git-on-lower", "copy=$HOME-copy; cp -r . $copy; diff -r . $copy; echo $?; rm -rf $copy; tar c . | tar t | sort", 60, True),
]

CASES = OVERLAY + SHELLS + CORE + LANGUAGES + MORE
