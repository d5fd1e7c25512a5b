import queue, threading, time
results, lock, q = [], threading.Lock(), queue.Queue()
def work(n):
    total = sum(i * i for i in range(n * 1000))
    with lock:
        results.append((n, total))
    q.put(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 17)]
[t.start() for t in threads]; [t.join(30) for t in threads]
print(sorted(results)[-1], q.qsize())
event = threading.Event()
threading.Timer(0.02, event.set).start()
print(event.wait(10), event.wait(0))
cond, turns = threading.Condition(), []
def ping(me):
    for _ in range(50):
        with cond:
            cond.wait_for(lambda: len(turns) % 2 == me, 10)
            turns.append(me); cond.notify_all()
a, b = threading.Thread(target=ping, args=(0,)), threading.Thread(target=ping, args=(1,))
a.start(); b.start(); a.join(); b.join()
print(len(turns), turns[:4])
print(threading.Event().wait(0.01), time.monotonic() > 0)
