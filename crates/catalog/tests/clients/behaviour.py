"""What py-consul and python-consul do with a catalog: keys, sessions, locks, health, blocking.

Run as `PYTHONPATH=PACKAGE python3 behaviour.py HOST PORT` against a catalog that nobody else uses.
Ends with 0 and the line `all well`, or with the first thing that is not as the library expects.
"""

import base64
import sys
import threading
import time

import consul

host, port = sys.argv[1], int(sys.argv[2])
c = consul.Consul(host=host, port=port)


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def until(what, holds, patience=60):
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"not so in {patience} s: {what}"
        time.sleep(0.05)


def keys():
    index, data = c.kv.get("app/missing")
    equal(data, None)
    assert int(index) >= 1, index
    assert c.kv.put("app/one", "hello")
    index, data = c.kv.get("app/one")
    equal((data["Key"], data["Value"], data["Flags"]), ("app/one", b"hello", 0))
    assert "Session" not in data, data
    equal(int(index), data["ModifyIndex"])
    assert c.kv.put("app/two", "bytes", flags=0x2DDCCBC058A50C18)
    equal(c.kv.get("app/two")[1]["Flags"], 0x2DDCCBC058A50C18)
    assert c.kv.put("app/empty", "")
    equal(c.kv.get("app/empty")[1]["Value"] or b"", b"")
    equal([entry["Key"] for entry in c.kv.get("app/", recurse=True)[1]],
          ["app/empty", "app/one", "app/two"])
    equal(c.kv.get("a", keys=True, separator="/")[1], ["app/"])
    equal(c.kv.put("app/one", "x", cas=0), False)
    equal(c.kv.put("app/one", "x", cas=data["ModifyIndex"]), True)
    equal(c.kv.delete("app/one", cas=1), False)
    for consistency in ("default", "consistent", "stale"):
        equal(c.kv.get("app/one", consistency=consistency)[1]["Value"], b"x")
    assert c.kv.delete("app/", recurse=True)
    equal(c.kv.get("app/", recurse=True)[1], None)


def sessions_and_locks():
    first = c.session.create(name="first", ttl=3600, lock_delay=0, behavior="delete")
    second = c.session.create("second", ttl=3600)
    index, info = c.session.info(first)
    equal((info["Name"], info["TTL"], info["Behavior"]), ("first", "3600s", "delete"))
    equal(sorted(s["ID"] for s in c.session.list()[1]), sorted([first, second]))
    equal(len(c.session.node(info["Node"])[1]), 2)
    equal(c.session.renew(first)["ID"], first)
    # The lock of autopilotpattern/mysql.
    equal(c.kv.put("primary", "me", acquire=first), True)
    equal(c.kv.put("primary", "me too", acquire=second), False)
    entry = c.kv.get("primary")[1]
    equal((entry["Session"], entry["LockIndex"], entry["Value"]), (first, 1, b"me"))
    equal(c.kv.put("primary", "advisory"), True)
    equal(c.kv.get("primary")[1]["Session"], first)
    equal(c.kv.put("primary", "", release=second), False)
    equal(c.kv.put("primary", "", release=first), True)
    assert "Session" not in c.kv.get("primary")[1]
    equal(c.kv.put("primary", "me", acquire=first), True)
    assert c.session.destroy(first)
    equal(c.kv.get("primary")[1], None)
    equal(c.session.info(first)[1], None)
    try:
        c.session.renew(first)
        raise AssertionError("a session that is gone was renewed")
    except consul.NotFound:
        pass
    try:
        c.kv.put("primary", "me", acquire=first)
        raise AssertionError("a session that is gone locked a key")
    except consul.ConsulException as error:
        assert "invalid session" in str(error), error
    # Without a renewal a session ends by itself, and not before its TTL.
    began = time.monotonic()
    third = c.session.create("third", ttl=10)
    until("the session ends", lambda: c.session.info(third)[1] is None)
    lived = time.monotonic() - began
    assert lived >= 10, f"ended after {lived} s of 10"


def services():
    equal(c.agent.service.register("web", service_id="web-1", address="10.0.0.1", port=80,
                                   tags=["a", "B"], check=consul.Check.ttl("600s")), True)
    equal(c.agent.services()["web-1"]["Tags"], ["a", "B"])
    equal(c.health.service("web", passing=True)[1], [])
    assert c.agent.check.ttl_pass("service:web-1", "fine")
    index, entries = c.health.service("web", passing=True, tag="b")
    equal([e["Service"]["Address"] for e in entries], ["10.0.0.1"])
    equal({check["CheckID"] for check in entries[0]["Checks"]}, {"serfHealth", "service:web-1"})
    assert c.agent.check.ttl_warn("service:web-1")
    equal(c.health.service("web", passing=True)[1], [])
    equal([check["Status"] for check in c.health.checks("web")[1]], ["warning"])
    assert c.agent.check.ttl_fail("service:web-1")
    equal([check["CheckID"] for check in c.health.state("critical")[1]], ["service:web-1"])
    try:
        c.agent.check.ttl_pass("service:nope")
        raise AssertionError("a check that is not there passed")
    except consul.ConsulException as error:
        assert "does not have associated TTL" in str(error), error
    assert c.agent.maintenance(True, "why")
    equal(c.agent.checks()["_node_maintenance"]["Status"], "critical")
    assert c.agent.maintenance(False)
    assert c.agent.service.maintenance("web-1", "true", "why")
    assert c.agent.service.maintenance("web-1", "false")
    assert "web" in c.catalog.services()[1]
    equal([s["ServicePort"] for s in c.catalog.service("web")[1]], [80])
    equal(c.catalog.datacenters(), ["dc1"])
    name = c.agent.self()["Config"]["NodeName"]
    equal([n["Node"] for n in c.catalog.nodes()[1]], [name])
    assert "web-1" in c.catalog.node(name)[1]["Services"]
    assert c.catalog.register("ext", "10.9.9.9", service={"service": "pg", "port": 5432})
    equal(c.health.service("pg")[1][0]["Node"]["Address"], "10.9.9.9")
    assert c.catalog.deregister("ext")
    assert c.agent.check.register("disk", consul.Check.ttl("600s"))
    assert "disk" in c.agent.checks()
    assert c.agent.check.deregister("disk")
    assert c.agent.service.deregister("web-1")
    equal(c.agent.services(), {})


def blocking():
    c.kv.put("watched", "0")
    index = c.kv.get("watched")[0]
    found = []

    def watch():
        own = consul.Consul(host=host, port=port)
        found.append(own.kv.get("watched", index=index, wait="300s"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    time.sleep(0.2)  # most runs block before the write; a run that does not is right as well
    assert not found, found
    c.kv.put("other", "1")
    c.kv.put("watched", "1")
    watcher.join(60)
    assert found, "the blocked read did not wake"
    equal(found[0][1]["Value"], b"1")
    assert int(found[0][0]) > int(index)
    began = time.monotonic()
    same, data = c.kv.get("watched", index=found[0][0], wait="1s")
    assert time.monotonic() - began >= 1
    equal((int(same), data["Value"]), (int(found[0][0]), b"1"))


def the_rest():
    assert c.status.leader().endswith(":8300")
    equal(len(c.status.peers()), 1)
    event = c.event.fire("deploy", body="v1")
    index, events = c.event.list("deploy")
    equal(events[0]["ID"], event["ID"])
    equal(events[0]["Payload"], b"v1")
    one = base64.b64encode(b"one").decode()
    result = c.txn.put([{"KV": {"Verb": "set", "Key": "t", "Value": one}},
                        {"KV": {"Verb": "get", "Key": "t"}}])
    equal(result["Results"][1]["KV"]["Value"], one)
    acl = getattr(c.acl, "token", c.acl)
    try:
        acl.list()
        raise AssertionError("ACLs are off")
    except consul.ACLDisabled:
        pass


for step in (keys, services, blocking, the_rest, sessions_and_locks):
    print(step.__name__, flush=True)
    step()
print("all well")
