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
import pathlib
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ANSWER_WITHIN = 8  # seconds; a client that waits longer connects anew
AWAKE = 5  # seconds for which a primary that stood still is tried after it goes on
WITHIN = 180  # seconds for whatever must come true


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
    given.folder = os.path.abspath(given.folder)
    return given


OPTIONS = options()
ENVIRONMENT = {**os.environ, "REGROW_TRY": OPTIONS.folder, "CONSUL_HTTP_ADDR": OPTIONS.catalog}
BEGAN = time.monotonic()


def say(text):
    print(f"{time.monotonic() - BEGAN:8.3f} s  {text}", flush=True)


def until(condition, what):
    """Waits for the condition; what it returned, and how long that took."""
    began = time.monotonic()
    while not (result := condition()):
        if time.monotonic() - began > WITHIN:
            raise SystemExit(f"{what}: not within {WITHIN} s")
        time.sleep(0.02)
    return result, time.monotonic() - began


# --- the database --------------------------------------------------------------------------------


def primary():
    """The key of the primary, as a dictionary; empty where there is none or nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{OPTIONS.catalog}/v1/kv/mariadb/primary?raw", timeout=3) as answer:
            return dict(word.split("=", 1) for word in answer.read().decode().split())
    except OSError:
        return {}


def leader():
    """The same, as soon as one leads."""
    return until(lambda: (key := primary()).get("state") == "leading" and key, "nobody leads")[0]


def sql(member, statement, *form):
    """The answer of one member, asked through its socket."""
    return subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={OPTIONS.folder}/{member}/mariadb.sock", *(form or ["-NB"]), "-e", statement],
        capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def kill_server(member):
    with open(f"{OPTIONS.folder}/{member}/mariadb.pid", encoding="ascii") as file:
        os.kill(int(file.read()), signal.SIGKILL)


def answers(member):
    try:
        return sql(member, "SELECT 1") == "1"
    except subprocess.SubprocessError:
        return False


def follows(member):
    """Does it receive and apply what the primary writes?"""
    try:
        key, status = primary(), sql(member, "SHOW SLAVE STATUS", "-E")
    except subprocess.SubprocessError:
        return False
    wanted = [f"Master_Port: {key.get('port')}", "Slave_IO_Running: Yes", "Slave_SQL_Running: Yes"]
    return key.get("state") == "leading" and all(line in status for line in wanted)


class Client:
    """A connection of the application: the `mariadb` program, fed line by line."""

    def __init__(self, key):
        self.process = subprocess.Popen(
            ["mariadb", "--no-defaults", f"--host={key['host']}", f"--port={key['port']}", "--protocol=tcp", "--user=app",
             f"--password={OPTIONS.password}", "--connect-timeout=1", "-nNB", "app"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, statements, within=ANSWER_WITHIN):
        """Runs the statements; the last one returns one line, which is the answer."""
        self.process.stdin.write(statements.encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], within)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise ConnectionError("no answer")
        return line.decode().strip()

    def insert(self, writer, number, within=ANSWER_WITHIN):
        """Is the row acknowledged?"""
        return self.ask(f"INSERT INTO t VALUES ({writer},{number}); SELECT {number};", within) == str(number)

    def close(self):
        self.process.kill()
        self.process.communicate()


class Load:
    """Writers and a reader, and what they saw."""

    def __init__(self):
        self.acknowledged = []  # (moment, writer, number)
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
                    client = Client(key)
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
            for member in members():
                try:
                    sql(member, "SELECT COUNT(*) FROM app.t")
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


# --- the members ---------------------------------------------------------------------------------


def supervisor(member):
    """The process of its supervisor; None where it does not run."""
    try:
        with open(f"{OPTIONS.folder}/{member}/supervise.pid", encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/environ", "rb") as file:
            ours = f"MARIADB_HOME={OPTIONS.folder}/{member}".encode() in file.read().split(b"\0")
        return pid if ours else None
    except (OSError, ValueError):
        return None


def members():
    """The members that run."""
    return [name for name in sorted(os.listdir(OPTIONS.folder)) if name.startswith("db") and supervisor(name)]


def ask_try(*words):
    subprocess.run([HERE / "try.sh", *words], env=ENVIRONMENT, check=True)


def tree(root):
    """A process and all below it."""
    children = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(name))
    found = [root]
    for process in found:
        found.extend(children.get(process, []))
    return found


def command(pid):
    """Its words; none where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().split("\0")
    except OSError:
        return []


def signal_to(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def freeze(root):
    """Stops a process and all below it, also what was started meanwhile; what that was."""
    frozen = []
    while new := [pid for pid in tree(root) if pid not in frozen]:
        signal_to(new, signal.SIGSTOP)
        frozen += new
    return frozen


def freeze_lead(member):
    """Stops `lead` at a moment when it does not wait for an answer of the server."""
    runs = lambda pid: any(word.endswith("/bin/lead") for word in command(pid))
    lead = next(filter(runs, tree(supervisor(member))), None)
    if lead is None:
        return None
    frozen = freeze(lead)
    if any(command(pid)[:1] in (["timeout"], ["mariadb"]) for pid in frozen):
        signal_to(frozen, signal.SIGCONT)
        return None
    return frozen


class Stale:
    """Clients that know only the primary that stands still, and go on telling it rows."""

    def __init__(self, key):
        self.late = []  # rows it acknowledged
        self.key = key
        self.over = time.monotonic() + WITHIN
        self.clients = [Client(key) for _ in range(OPTIONS.writers)]
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
                client = Client(self.key)
        client.close()

    def finish(self):
        self.over = time.monotonic() + AWAKE
        for thread in self.threads:
            thread.join()
        return len(self.late)


# --- what happens --------------------------------------------------------------------------------


class Trial:
    """What is done to the members, and how long nobody could write."""

    def __init__(self, load):
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
        after = leader()
        self.note(what, took)
        say(f"{what}: {before['member']} (fence {before['fence']}), {len(self.load.acknowledged)} rows: "
            f"{after['member']} (fence {after['fence']}) is writable after {took:.2f} s")

    def back(self, member, what):
        took = until(lambda: follows(member), f"{member} does not follow")[1]
        say(f"{member} follows {took:.2f} s after it {what}")

    def kill(self):
        key = leader()
        kill_server(key["member"])
        self.writable("server killed", key, time.monotonic())

    def kill_unseen(self):
        key = leader()
        frozen = until(lambda: freeze_lead(key["member"]), "`lead` always waits for its server")[0]
        moment = time.monotonic()
        try:
            kill_server(key["member"])
            until(lambda: answers(key["member"]), "the server does not come back")
        finally:
            signal_to(frozen, signal.SIGCONT)
        self.writable("server killed unseen", key, moment)

    def lose_machine(self):
        key = leader()
        signal_to(freeze(supervisor(key["member"])), signal.SIGKILL)
        self.writable("machine lost", key, time.monotonic())
        until(lambda: not supervisor(key["member"]), "the supervisor is still there")
        ask_try("start", key["member"])
        self.back(key["member"], "was started")

    def stand_still(self):
        key = leader()
        stale = Stale(key)
        frozen = freeze(supervisor(key["member"]))
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
        roll = subprocess.Popen([HERE / "bin/roll", HERE / "try.sh", "restart"], env=ENVIRONMENT, text=True,
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
            ask_try("start", member)
            self.back(member, "was started")
            self.note("member added", self.load.longest_pause(began, time.monotonic()))
        time.sleep(OPTIONS.pause)
        for member in ("db4", leader()["member"] if leader()["member"] != "db4" else "db5"):
            began = time.monotonic()
            ask_try("stop", member)
            self.load.writable_after(time.monotonic())
            self.note("member taken away", self.load.longest_pause(began, time.monotonic()))
            until(lambda gone=member: gone not in registered(), f"{member} is not struck off")
            say(f"{member} was ended and struck off {time.monotonic() - began:.2f} s later")


def registered():
    """The members that an election asks."""
    with urllib.request.urlopen(f"http://{OPTIONS.catalog}/v1/kv/mariadb/members/?keys", timeout=3) as answer:
        return answer.read().decode()


def become_equal():
    """Waits until all members have the same rows at the same position; what they have."""
    end = time.monotonic() + 60
    while True:
        have = {}
        for member in members():
            try:
                have[member] = sql(member, "SELECT COUNT(*), BIT_XOR(CRC32(CONCAT_WS(',', w, i))), @@gtid_current_pos FROM app.t")
            except subprocess.SubprocessError as error:
                have[member] = str(error)
        if len(set(have.values())) == 1 or time.monotonic() > end:
            return have
        time.sleep(0.5)


def judge(load, trial):
    rows = sql(leader()["member"], "SELECT w, i FROM app.t").splitlines()
    have = {tuple(map(int, line.split())) for line in rows}
    lost = [row for row in load.acknowledged if row[1:] not in have]
    equal = become_equal()
    say(f"acknowledged {len(load.acknowledged)}, lost {len(lost)}, there without an acknowledgement "
        f"{len(have) - len(load.acknowledged) + len(lost)}, acknowledged by a primary of before {trial.late}; "
        f"connections broken {load.broken}, reads {load.reads}")
    for what, times in trial.times.items():
        times.sort()
        say(f"without a write, {what} ({len(times)}): median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s")
    same = len(set(equal.values())) == 1
    say(f"all {len(equal)} members are equal" if same else f"members differ: {equal}")
    return 0 if same and not lost and not trial.late else 1


def make_table():
    client = Client(leader())
    try:
        return client.ask("DROP TABLE IF EXISTS t; CREATE TABLE t (w INT, i BIGINT, PRIMARY KEY (w, i)); SELECT 1;")
    except OSError:
        return None
    finally:
        client.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what stands still goes on before
    until(make_table, "the primary takes no writes")
    load = Load()
    trial = Trial(load)
    plan = [trial.kill] * OPTIONS.kills + [trial.kill_unseen] * OPTIONS.unseen + [trial.lose_machine] * OPTIONS.machines + [trial.stand_still] * OPTIONS.freezes
    plan += [trial.roll] * OPTIONS.rolls + [trial.scale] * OPTIONS.scale
    try:
        for act in plan:
            time.sleep(OPTIONS.pause)
            act()
        time.sleep(3)
    finally:
        load.stop()
    return judge(load, trial)


sys.exit(main())
