import concurrent.futures, multiprocessing as mp, os
def square(x): return x * x
def add(v, n):
    for _ in range(n):
        with v.get_lock(): v.value += 1
def child(conn):
    conn.send([conn.recv(), os.getppid() > 0]); conn.close()
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        ctx = mp.get_context(method)
        with ctx.Pool(4) as pool: print(method, sum(pool.map(square, range(200))))
    v = mp.Value("i", 0)
    ps = [mp.Process(target=add, args=(v, 200)) for _ in range(4)]
    [p.start() for p in ps]; [p.join() for p in ps]; print(v.value, [p.exitcode for p in ps])
    a, b = mp.Pipe(); p = mp.Process(target=child, args=(b,)); p.start(); a.send("msg"); print(a.recv()); p.join()
    with concurrent.futures.ProcessPoolExecutor(2) as ex: print(list(ex.map(square, range(5))))
    q = mp.Queue(); p = mp.Process(target=q.put, args=({"k": 1},)); p.start(); print(q.get(timeout=20)); p.join()
    from multiprocessing import shared_memory
    m = shared_memory.SharedMemory(create=True, size=100); m.buf[0] = 9
    n = shared_memory.SharedMemory(m.name); print(n.buf[0]); n.close(); m.close(); m.unlink()
    s = mp.Semaphore(2); print(s.acquire(), s.acquire(), s.acquire(block=False)); s.release()
