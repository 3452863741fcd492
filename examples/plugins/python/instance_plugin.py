#!/usr/bin/env python3
"""An instance plugin in Python, standard library only. Instances live in memory.

Usage: instance_plugin.py NAME   (listens in $INFRAKIT_PLUGINS_DIR)
"""
import json, os, signal, socketserver, sys, threading, uuid
from http.server import BaseHTTPRequestHandler

INSTANCES, LOCK = {}, threading.Lock()


def refuse_unknown_type(params):
    if params.get("type"):
        raise LookupError("no-plugin:" + params["type"])


def validate(params):
    return {"OK": True}


def provision(params):
    spec = fields(params.get("spec"))
    tags = spec.get("tags") or {}
    for one in INSTANCES.values():  # the same call again: it was made already
        if tags.get("regrow.key") and one["Tags"].get("regrow.key") == tags["regrow.key"]:
            return {"ID": one["ID"]}
    one = {"ID": uuid.uuid4().hex, "LogicalID": spec.get("logicalid"), "Tags": tags}
    INSTANCES[one["ID"]] = dict(one, Properties=spec.get("properties"))
    return {"ID": one["ID"]}


def label(params):
    find(params)["Tags"].update(params.get("labels") or {})
    return {"OK": True}


def destroy(params):
    del INSTANCES[find(params)["ID"]]
    return {"OK": True}


def describe(params):
    wanted = (params.get("tags") or {}).items()
    hidden = () if params.get("properties") else ("Properties",)
    return {"Descriptions": [{key: value for key, value in one.items() if key not in hidden}
                             for one in INSTANCES.values() if wanted <= one["Tags"].items()]}


def find(params):
    if params.get("instance") not in INSTANCES:
        raise LookupError("no instance %s" % params.get("instance"))
    return INSTANCES[params["instance"]]


def hello(params):
    return {"Objects": {"Instance/0.6.1": [{"Name": ".", "ProxyFor": ""}]}}


METHODS = {"Handshake.Hello": hello, "Instance.Validate": validate, "Instance.Provision": provision,
           "Instance.Label": label, "Instance.Destroy": destroy, "Instance.DescribeInstances": describe}


def fields(value):
    """Field names match in any case; null is an empty object."""
    return {key.lower(): value for key, value in (value or {}).items()}


def call(body):
    """The body of the answer, or nothing when there is nobody to answer."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        request, refusal = {"id": None}, {"code": -32700, "message": "parse the request: %s" % error}
        return {"jsonrpc": "2.0", "error": refusal, "id": None}
    if not isinstance(request, dict) or request.get("id") is None:
        return None
    answer = {"jsonrpc": "2.0"}
    try:
        method = str(request.get("method"))
        service = method.split(".")[0]
        if request.get("jsonrpc") != "2.0":
            answer["error"] = {"code": -32600, "message": "jsonrpc must be 2.0", "data": request}
        elif method not in METHODS:
            part = "method" if any(known.startswith(service + ".") for known in METHODS) else "service"
            raise LookupError("rpc: can't find %s %s" % (part, json.dumps(method)))
        else:
            params = request.get("params")
            params = fields(params[0] if isinstance(params, list) and params else params)
            with LOCK:
                if service == "Instance":
                    refuse_unknown_type(params)
                answer["result"] = dict(METHODS[method](params), Type="")
    except Exception as error:  # whatever it is, the caller hears of it
        answer["error"] = {"code": -32000, "message": str(error.args[0] if error.args else error), "data": None}
    return dict(answer, id=request["id"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections

    def do_POST(self):
        kind = (self.headers.get("Content-Type") or "application/json").split(";")[0]
        if kind != "application/json":
            return self.answer(415, b"rpc: unrecognized Content-Type: " + kind.encode())
        body = self.chunks() if "Transfer-Encoding" in self.headers else \
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = call(body)
        self.answer(200, b"" if answer is None else json.dumps(answer).encode() + b"\n")

    def chunks(self):
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_GET(self):
        known = self.path == "/"
        self.answer(405 if known else 404, b"rpc: POST method required, received GET" if known else b"not found")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):  # a socket has no address
        return "local"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, request_queue_size = True, 4096

    def handle_error(self, *_):  # callers may go away at any time
        pass


def main():
    name, directory = sys.argv[1], os.environ["INFRAKIT_PLUGINS_DIR"]
    os.umask(0o077)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    server = Server(path, Handler)
    with open(path + ".pid", "w") as file:
        file.write(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever()
    finally:
        os.remove(path)
        os.remove(path + ".pid")


if __name__ == "__main__":
    main()
