import sqlite3, threading
db = sqlite3.connect("t.db")
for mode in ("delete", "wal"):
    print(db.execute(f"pragma journal_mode={mode}").fetchone())
    db.execute("drop table if exists t"); db.execute("create table t(a integer primary key, b text)")
    with db: db.executemany("insert into t(b) values(?)", ((str(i) * 10,) for i in range(5000)))
    print(db.execute("select count(*), sum(length(b)) from t").fetchone())
    def writer(n):
        c = sqlite3.connect("t.db", timeout=20)
        for i in range(20):
            with c: c.execute("insert into t(b) values(?)", (f"{n}-{i}",))
        c.close()
    ts = [threading.Thread(target=writer, args=(n,)) for n in range(3)]
    [t.start() for t in ts]; [t.join() for t in ts]
    print(db.execute("select count(*) from t").fetchone(), db.execute("pragma integrity_check").fetchone())
