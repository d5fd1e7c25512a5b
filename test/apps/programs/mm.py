import mmap, os
with open("f", "w+b") as f:
    f.truncate(1 << 20)
    m = mmap.mmap(f.fileno(), 0); m[:5] = b"hello"; m[-5:] = b"world"; m.flush()
    f.seek(0); print(f.read(5), m.find(b"world"))
    f.seek(100); f.write(b"file"); f.flush(); print(m[100:104])
    m.resize(1 << 21); print(len(m), os.path.getsize("f")); m.close()
a = mmap.mmap(-1, 4096)
if os.fork() == 0: a[0] = 65; os._exit(0)
os.wait(); print(a[0])
p = mmap.mmap(-1, 1 << 24, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(0, 1 << 24, 4096): p[i] = 1
p.madvise(mmap.MADV_DONTNEED); print(p[0], p[1 << 20])
with open("/bin/sh", "rb") as f: print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[1:4])
