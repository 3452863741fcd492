#!/usr/bin/env python3
"""Does to the members, under load, what happens to machines, and counts what was lost.

    --kills N      the server of the primary is killed, N times
    --unseen N     the same, and it is back before `lead` of its member looks
    --machines N   everything of the primary's member is killed at once, its supervisor too; started anew later
    --freezes N    everything of the primary's member stands still until another leads, and then goes on
    --rolls N      all supervisors are restarted one after the other, by `bin/roll`
    --scale        two members more, and two less, one of them the primary

In this order; without any of them, ten kills. Writers commit one row at a time, each through a client
of its own, and note a row once the server has acknowledged it; a reader reads. "Writable" is the
time to the next acknowledged row. At the end every noted row must be on the primary and all members must be
equal, and a primary that stood still must not have acknowledged anything it was told after another
led. Returns 0 then, else 1.

Works on what `try.sh` has started. Uses the `mariadb` client and nothing beyond Python's own library.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True  # nothing of ours stays beside the sources

from cluster import HERE, WITHIN, Cluster, freeze, signal_to, until  # noqa: E402

AWAKE = 5  # seconds for which a primary that stood still is tried after it goes on


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", default="mariadb-try", help="the folder of try.sh")
    parser.add_argument("--catalog", default=os.environ.get("CONSUL_HTTP_ADDR", "127.0.0.1:8500"))
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--unseen", type=int, default=0)
    parser.add_argument("--machines", type=int, default=0)
    parser.add_argument("--freezes", type=int, default=0)
    parser.add_argument("--rolls", type=int, default=0)
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--pause", type=float, default=6, help="seconds of load between two of them")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--password", default=os.environ.get("MARIADB_APP_PASSWORD", "change-me"))
    given = parser.parse_args()
    if not (given.kills or given.unseen or given.machines or given.freezes or given.rolls or given.scale):
        given.kills = 10
    return given


OPTIONS = options()
BEGAN = time.monotonic()


def say(text):
    print(f"{time.monotonic() - BEGAN:8.3f} s  {text}", flush=True)


class Load:
    """Writers and a reader, and what they saw."""

    def __init__(self, cluster, writers):
        self.cluster = cluster
        self.acknowledged = []  # (moment, writer, number)
        self.broken = 0
        self.reads = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(writers)]
        self.threads.append(threading.Thread(target=self.read))
        for thread in self.threads:
            thread.start()

    def write(self, writer):
        client, number = None, 0
        while not self.over.is_set():
            try:
                if client is None:
                    key = self.cluster.primary()
                    if key.get("state") != "leading":
                        time.sleep(0.05)
                        continue
                    client = self.cluster.connect(key)
                number += 1
                if client.insert(writer, number):
                    self.acknowledged.append((time.monotonic(), writer, number))
            except OSError:
                self.broken += 1
                client.close()
                client = None
                time.sleep(0.05)
        if client:
            client.close()

    def read(self):
        while not self.over.is_set():
            for member in self.cluster.members():
                try:
                    self.cluster.sql(member, "SELECT COUNT(*) FROM app.t")
                    self.reads += 1
                except subprocess.SubprocessError:
                    pass
            time.sleep(0.2)

    def writable_after(self, moment):
        """Seconds from then to the next acknowledged row."""
        last = lambda: self.acknowledged and self.acknowledged[-1][0] > moment
        until(last, "no row was acknowledged")
        return next(at for at, _, _ in self.acknowledged if at > moment) - moment

    def longest_pause(self, since, to):
        """The longest time without an acknowledged row between two moments."""
        moments = [since, *sorted(at for at, _, _ in self.acknowledged if since < at < to), to]
        return max(after - before for before, after in zip(moments, moments[1:]))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


class Stale:
    """Clients that know only the primary that stands still, and go on telling it rows."""

    def __init__(self, cluster, key, count):
        self.cluster = cluster
        self.late = []  # rows it acknowledged
        self.key = key
        self.over = time.monotonic() + WITHIN
        self.clients = [cluster.connect(key) for _ in range(count)]
        for client in self.clients:
            client.ask("SELECT 1;")
        self.threads = [threading.Thread(target=self.tell, args=(n, client)) for n, client in enumerate(self.clients)]

    def begin(self):
        for thread in self.threads:
            thread.start()

    def tell(self, writer, client):
        number = int(time.monotonic() * 1000)
        while (left := self.over - time.monotonic()) > 0:
            try:
                number += 1
                if client.insert(1000 + writer, number, left):
                    self.late.append((writer, number))
            except OSError:
                client.close()
                time.sleep(0.05)
                client = self.cluster.connect(self.key)
        client.close()

    def finish(self):
        self.over = time.monotonic() + AWAKE
        for thread in self.threads:
            thread.join()
        return len(self.late)


class Trial:
    """What is done to the members, and how long nobody could write."""

    def __init__(self, cluster, load):
        self.cluster = cluster
        self.load = load
        self.times = {}  # what was done: seconds
        self.late = 0

    def note(self, what, seconds):
        self.times.setdefault(what, []).append(seconds)

    def writable(self, what, before, moment):
        """Says and notes when somebody could write again after that moment."""
        # What was on its way then is not the successor's.
        time.sleep(0.02)
        took = 0.02 + self.load.writable_after(moment + 0.02)
        after = self.cluster.leader()
        self.note(what, took)
        say(f"{what}: {before['member']} (fence {before['fence']}), {len(self.load.acknowledged)} rows: "
            f"{after['member']} (fence {after['fence']}) is writable after {took:.2f} s")

    def back(self, member, what):
        took = until(lambda: self.cluster.follows(member), f"{member} does not follow")[1]
        say(f"{member} follows {took:.2f} s after it {what}")

    def kill(self):
        key = self.cluster.leader()
        self.cluster.kill_server(key["member"])
        self.writable("server killed", key, time.monotonic())

    def kill_unseen(self):
        key = self.cluster.leader()
        frozen = until(lambda: self.cluster.freeze_lead(key["member"]), "`lead` always waits for its server")[0]
        moment = time.monotonic()
        try:
            self.cluster.kill_server(key["member"])
            until(lambda: self.cluster.answers(key["member"]), "the server does not come back")
        finally:
            signal_to(frozen, signal.SIGCONT)
        self.writable("server killed unseen", key, moment)

    def lose_machine(self):
        key = self.cluster.leader()
        signal_to(freeze(self.cluster.supervisor(key["member"])), signal.SIGKILL)
        self.writable("machine lost", key, time.monotonic())
        until(lambda: not self.cluster.supervisor(key["member"]), "the supervisor is still there")
        self.cluster.ask_try("start", key["member"])
        self.back(key["member"], "was started")

    def stand_still(self):
        key = self.cluster.leader()
        stale = Stale(self.cluster, key, OPTIONS.writers)
        frozen = freeze(self.cluster.supervisor(key["member"]))
        moment = time.monotonic()
        try:
            stale.begin()
            self.writable("stood still", key, moment)
        finally:
            signal_to(frozen, signal.SIGCONT)
        late = stale.finish()
        self.late += late
        say(f"{key['member']} went on {time.monotonic() - AWAKE - moment:.2f} s later and acknowledged {late} rows as a primary of before")
        self.back(key["member"], "went on, and some seconds")

    def roll(self):
        roll = subprocess.Popen([HERE / "bin/roll", HERE / "try.sh", "restart"], env=self.cluster.environment, text=True,
                                stderr=subprocess.PIPE)
        steps = []
        for line in roll.stderr:
            said = line.strip().split(": ", 1)[-1]
            steps.append((time.monotonic(), said))
            say(f"roll: {said}")
        if roll.wait():
            raise SystemExit("the rolling restart was given up")
        steps = [(at, what) for at, what in steps if what.startswith(("restarts", "switches", "all"))]
        for (since, what), (to, _) in zip(steps, steps[1:]):
            pause = self.load.longest_pause(since, to)
            self.note(f"rolling, {what.split()[0]}", pause)
            say(f"{what}: done in {to - since:.2f} s, without a write {pause:.2f} s at most")

    def scale(self):
        for member in ("db4", "db5"):
            began = time.monotonic()
            self.cluster.ask_try("start", member)
            self.back(member, "was started")
            self.note("member added", self.load.longest_pause(began, time.monotonic()))
        time.sleep(OPTIONS.pause)
        leading = self.cluster.leader()["member"]
        for member in ("db4", leading if leading != "db4" else "db5"):
            began = time.monotonic()
            self.cluster.ask_try("stop", member)
            self.load.writable_after(time.monotonic())
            self.note("member taken away", self.load.longest_pause(began, time.monotonic()))
            until(lambda gone=member: gone not in self.cluster.registered(), f"{member} is not struck off")
            say(f"{member} was ended and struck off {time.monotonic() - began:.2f} s later")


def judge(cluster, load, trial):
    rows = cluster.sql(cluster.leader()["member"], "SELECT w, i FROM app.t").splitlines()
    have = {tuple(map(int, line.split())) for line in rows}
    lost = [row for row in load.acknowledged if row[1:] not in have]
    equal = cluster.become_equal()
    say(f"acknowledged {len(load.acknowledged)}, lost {len(lost)}, there without an acknowledgement "
        f"{len(have) - len(load.acknowledged) + len(lost)}, acknowledged by a primary of before {trial.late}; "
        f"connections broken {load.broken}, reads {load.reads}")
    for what, times in trial.times.items():
        times.sort()
        say(f"without a write, {what} ({len(times)}): median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s")
    same = len(set(equal.values())) == 1
    say(f"all {len(equal)} members are equal" if same else f"members differ: {equal}")
    return 0 if same and not lost and not trial.late else 1


def make_table(cluster):
    client = cluster.connect(cluster.leader())
    try:
        return client.ask("DROP TABLE IF EXISTS t; CREATE TABLE t (w INT, i BIGINT, PRIMARY KEY (w, i)); SELECT 1;")
    except OSError:
        return None
    finally:
        client.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what stands still goes on before
    cluster = Cluster(OPTIONS.folder, OPTIONS.catalog, OPTIONS.password)
    until(lambda: make_table(cluster), "the primary takes no writes")
    load = Load(cluster, OPTIONS.writers)
    trial = Trial(cluster, load)
    plan = [trial.kill] * OPTIONS.kills + [trial.kill_unseen] * OPTIONS.unseen
    plan += [trial.lose_machine] * OPTIONS.machines + [trial.stand_still] * OPTIONS.freezes
    plan += [trial.roll] * OPTIONS.rolls + [trial.scale] * OPTIONS.scale
    try:
        for act in plan:
            time.sleep(OPTIONS.pause)
            act()
        time.sleep(3)
    finally:
        load.stop()
    return judge(cluster, load, trial)


sys.exit(main())
