"""A program with a heap of many sorts: interpreter, sqlite in memory, json, regular expressions, threads."""
import collections
import ctypes
import json
import re
import sqlite3
import sys
import threading
import xml.dom.minidom

base = sqlite3.connect(":memory:")
base.execute("create table t (id integer primary key, name text, data blob)")
base.executemany("insert into t (name, data) values (?, ?)", ((f"name {i}", bytes(i % 500)) for i in range(5000)))
base.execute("create index by_name on t (name)")
rows = base.execute("select * from t").fetchall()
tree = json.loads(json.dumps({str(i): [i, {"x": [i] * 5}] for i in range(3000)}))
patterns = [re.compile(f"(a|b{i})+[{i % 10}-9]*") for i in range(100)]
document = xml.dom.minidom.parseString("<r>" + "<e a='1'>t</e>" * 500 + "</r>")
queue = collections.deque((object(), [i]) for i in range(5000))
stop = threading.Event()


def hold():
    mine = [bytearray(100) for _ in range(500)]
    stop.wait()
    return mine


threads = [threading.Thread(target=hold) for _ in range(4)]
for thread in threads:
    thread.start()
wrong = ctypes.CDLL(sys.argv[1]).follow_random_objects(int(sys.argv[2]), ctypes.c_uint64(int(sys.argv[3])))
stop.set()
for thread in threads:
    thread.join()
sys.exit(1 if wrong else 0)
