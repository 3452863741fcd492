#!/usr/bin/env python3
"""Kills the primary again and again under load and counts what was lost.

Writers commit one row at a time, each through a client of its own, and note a row once the server has
acknowledged it; a reader reads. The server of the primary is killed with KILL; "writable" is the time
from there to the next acknowledged row. At the end every noted row must be on the primary and all
members must be equal. Returns 0 then, else 1.

Works on what `try.sh` has started. Uses the `mariadb` client and nothing beyond Python's own library.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request

ANSWER_WITHIN = 8  # seconds; a client that waits longer connects anew


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", default="mariadb-try", help="the folder of try.sh")
    parser.add_argument("--catalog", default=os.environ.get("CONSUL_HTTP_ADDR", "127.0.0.1:8500"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--pause", type=float, default=6, help="seconds from writable to the next kill")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--password", default=os.environ.get("MARIADB_APP_PASSWORD", "change-me"))
    return parser.parse_args()


OPTIONS = options()
BEGAN = time.monotonic()


def say(text):
    print(f"{time.monotonic() - BEGAN:8.3f} s  {text}", flush=True)


def primary():
    """The key of the primary, as a dictionary; empty where there is none or nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{OPTIONS.catalog}/v1/kv/mariadb/primary?raw", timeout=3) as answer:
            return dict(word.split("=", 1) for word in answer.read().decode().split())
    except OSError:
        return {}


class Client:
    """A connection of the application: the `mariadb` program, fed line by line."""

    def __init__(self, host, port):
        self.process = subprocess.Popen(
            ["mariadb", "--no-defaults", f"--host={host}", f"--port={port}", "--protocol=tcp", "--user=app",
             f"--password={OPTIONS.password}", "--connect-timeout=1", "-nNB", "app"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, statements):
        """Runs the statements; the last one returns one line, which is the answer."""
        self.process.stdin.write(statements.encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_WITHIN)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise ConnectionError("no answer")
        return line.decode().strip()

    def close(self):
        self.process.kill()
        self.process.communicate()


class Load:
    """Writers and a reader, and what they saw."""

    def __init__(self):
        self.acknowledged = []
        self.last = 0.0
        self.broken = 0
        self.reads = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(OPTIONS.writers)]
        self.threads.append(threading.Thread(target=self.read))
        for thread in self.threads:
            thread.start()

    def write(self, writer):
        client, number = None, 0
        while not self.over.is_set():
            try:
                if client is None:
                    key = primary()
                    if key.get("state") != "leading":
                        time.sleep(0.05)
                        continue
                    client = Client(key["host"], key["port"])
                number += 1
                if client.ask(f"INSERT INTO t VALUES ({writer},{number}); SELECT {number};") == str(number):
                    self.acknowledged.append((writer, number))
                    self.last = time.monotonic()
            except OSError:
                self.broken += 1
                client.close()
                client = None
                time.sleep(0.05)
        if client:
            client.close()

    def read(self):
        while not self.over.is_set():
            for member in members():
                try:
                    sql(member, "SELECT COUNT(*) FROM app.t")
                    self.reads += 1
                except subprocess.SubprocessError:
                    pass
            time.sleep(0.2)

    def writable_after(self, moment):
        until = moment + 120
        while self.last <= moment:
            if time.monotonic() > until:
                raise SystemExit("no row was acknowledged for two minutes")
            time.sleep(0.002)
        return self.last - moment

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def members():
    return sorted(name for name in os.listdir(OPTIONS.folder) if name.startswith("db"))


def sql(member, statement):
    """The answer of one member, asked through its socket."""
    return subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={OPTIONS.folder}/{member}/mariadb.sock", "-NBe", statement],
        capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def kill_primary():
    """Kills the server of the primary; returns its key and the moment."""
    key = primary()
    while key.get("state") != "leading":
        time.sleep(0.1)
        key = primary()
    with open(f"{OPTIONS.folder}/{key['member']}/mariadb.pid", encoding="ascii") as file:
        os.kill(int(file.read()), signal.SIGKILL)
    return key, time.monotonic()


def become_equal():
    """Waits until all members have the same rows at the same position; what they have."""
    until = time.monotonic() + 60
    while True:
        have = {}
        for member in members():
            try:
                have[member] = sql(member, "SELECT COUNT(*), BIT_XOR(CRC32(CONCAT_WS(',', w, i))), @@gtid_current_pos FROM app.t")
            except subprocess.SubprocessError as error:
                have[member] = str(error)
        if len(set(have.values())) == 1 or time.monotonic() > until:
            return have
        time.sleep(0.5)


def main():
    key = primary()
    client = Client(key["host"], key["port"])
    client.ask("DROP TABLE IF EXISTS t; CREATE TABLE t (w INT, i INT, PRIMARY KEY (w, i)); SELECT 1;")
    client.close()
    load, times = Load(), []
    for _ in range(OPTIONS.kills):
        time.sleep(OPTIONS.pause)
        count = len(load.acknowledged)
        before, moment = kill_primary()
        # What was on its way when the server died is not the successor's.
        time.sleep(0.02)
        times.append(0.02 + load.writable_after(moment + 0.02))
        after = primary()
        say(f"killed {before['member']} (fence {before['fence']}) after {count} rows: "
            f"{after['member']} (fence {after['fence']}) is writable after {times[-1]:.2f} s")
    time.sleep(3)
    load.stop()
    have = {tuple(map(int, line.split())) for line in sql(primary()["member"], "SELECT w, i FROM app.t").splitlines()}
    lost = [row for row in load.acknowledged if row not in have]
    equal = become_equal()
    times.sort()
    say(f"acknowledged {len(load.acknowledged)}, lost {len(lost)}, there without an acknowledgement "
        f"{len(have) - len(load.acknowledged) + len(lost)}; connections broken {load.broken}, reads {load.reads}")
    if times:
        say(f"time to writable: median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s")
    same = len(set(equal.values())) == 1
    say("all members are equal" if same else f"members differ: {equal}")
    return 0 if same and not lost else 1


sys.exit(main())
