"""The members that `try.sh` has started, as `measure.py` sees them: what the catalog and each server
say, their processes, and clients."""

import os
import pathlib
import select
import signal
import subprocess
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ANSWER_WITHIN = 8  # seconds; a client that waits longer connects anew
WITHIN = 180  # seconds for whatever must come true


def until(condition, what):
    """Waits for the condition; what it returned, and how long that took."""
    began = time.monotonic()
    while not (result := condition()):
        if time.monotonic() - began > WITHIN:
            raise SystemExit(f"{what}: not within {WITHIN} s")
        time.sleep(0.02)
    return result, time.monotonic() - began


class Cluster:
    """All members in the folder of one `try.sh`."""

    def __init__(self, folder, catalog, password):
        self.folder, self.catalog, self.password = os.path.abspath(folder), catalog, password
        self.environment = {**os.environ, "REGROW_TRY": self.folder, "CONSUL_HTTP_ADDR": catalog}

    def primary(self):
        """The key of the primary, as a dictionary; empty where there is none or nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.catalog}/v1/kv/mariadb/primary?raw", timeout=3) as answer:
                return dict(word.split("=", 1) for word in answer.read().decode().split())
        except OSError:
            return {}

    def leader(self):
        """The same, as soon as one leads."""
        return until(lambda: (key := self.primary()).get("state") == "leading" and key, "nobody leads")[0]

    def registered(self):
        """The members that an election asks."""
        with urllib.request.urlopen(f"http://{self.catalog}/v1/kv/mariadb/members/?keys", timeout=3) as answer:
            return answer.read().decode()

    def sql(self, member, statement, *form):
        """The answer of one member, asked through its socket."""
        return subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.folder}/{member}/mariadb.sock", *(form or ["-NB"]), "-e", statement],
            capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    def kill_server(self, member):
        with open(f"{self.folder}/{member}/mariadb.pid", encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)

    def answers(self, member):
        try:
            return self.sql(member, "SELECT 1") == "1"
        except subprocess.SubprocessError:
            return False

    def follows(self, member):
        """Does it receive and apply what the primary writes?"""
        try:
            key, status = self.primary(), self.sql(member, "SHOW SLAVE STATUS", "-E")
        except subprocess.SubprocessError:
            return False
        wanted = [f"Master_Port: {key.get('port')}", "Slave_IO_Running: Yes", "Slave_SQL_Running: Yes"]
        return key.get("state") == "leading" and all(line in status for line in wanted)

    def supervisor(self, member):
        """The process of its supervisor; None where it does not run."""
        try:
            with open(f"{self.folder}/{member}/supervise.pid", encoding="ascii") as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/environ", "rb") as file:
                ours = f"MARIADB_HOME={self.folder}/{member}".encode() in file.read().split(b"\0")
            return pid if ours else None
        except (OSError, ValueError):
            return None

    def members(self):
        """The members that run."""
        return [name for name in sorted(os.listdir(self.folder)) if name.startswith("db") and self.supervisor(name)]

    def ask_try(self, *words):
        subprocess.run([HERE / "try.sh", *words], env=self.environment, check=True)

    def freeze_lead(self, member):
        """Stops `lead` at a moment when it does not wait for an answer of the server."""
        runs = lambda pid: any(word.endswith("/bin/lead") for word in command(pid))
        lead = next(filter(runs, tree(self.supervisor(member))), None)
        if lead is None:
            return None
        frozen = freeze(lead)
        if any(command(pid)[:1] in (["timeout"], ["mariadb"]) for pid in frozen):
            signal_to(frozen, signal.SIGCONT)
            return None
        return frozen

    def become_equal(self):
        """Waits until all members have the same rows at the same position, or none came nearer for 30 s;
        what they have. One that was cloned under load may be minutes behind."""
        before, since = None, time.monotonic()
        while True:
            have = {}
            for member in self.members():
                try:
                    have[member] = self.sql(member, "SELECT COUNT(*), BIT_XOR(CRC32(CONCAT_WS(',', w, i))), @@gtid_current_pos FROM app.t")
                except subprocess.SubprocessError as error:
                    have[member] = str(error)
            if have != before:
                before, since = have, time.monotonic()
            if len(set(have.values())) == 1 or time.monotonic() > since + 30:
                return have
            time.sleep(0.5)

    def connect(self, key):
        """A client of the server that a key of the primary names."""
        return Client(key, self.password)


class Client:
    """A connection of the application: the `mariadb` program, fed line by line."""

    def __init__(self, key, password):
        self.process = subprocess.Popen(
            ["mariadb", "--no-defaults", f"--host={key['host']}", f"--port={key['port']}", "--protocol=tcp", "--user=app",
             f"--password={password}", "--connect-timeout=1", "-nNB", "app"],
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
