import asyncio, os, tempfile
async def main():
    p = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    print((await p.communicate(b"x" * 100000))[0].__len__(), p.returncode)
    path = os.path.join(tempfile.mkdtemp(), "s")
    async def serve(r, w):
        while line := await r.readline():
            w.write(line.upper()); await w.drain()
        w.close()
    server = await asyncio.start_unix_server(serve, path)
    async def client(n):
        r, w = await asyncio.open_unix_connection(path)
        out = []
        for i in range(20):
            w.write(b"line %d %d\n" % (n, i)); out.append(await r.readline())
        w.close(); return out[-1]
    print(await asyncio.gather(*(client(n) for n in range(10))))
    server.close()
    r, w = os.pipe()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(r, "rb"))
    os.write(w, b"pipe data\n"); os.close(w)
    print(await reader.read())
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError:
        print("timeout")
    q = asyncio.Queue(3)
    async def produce():
        for i in range(10): await q.put(i)
        await q.put(None)
    t = asyncio.create_task(produce()); got = []
    while (x := await q.get()) is not None: got.append(x)
    print(got); await t
    procs = [await asyncio.create_subprocess_exec("sh", "-c", f"exit {i}") for i in range(8)]
    print([await p.wait() for p in procs])
asyncio.run(main())
