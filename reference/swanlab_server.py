"""A stand-in for SwanLab's server on this machine: the calls of its API that a run and `swanlab sync` make, kept in memory.

Faults can be played: `failures` answers that many metric uploads with 503 first; 401 on a wrong key always."""
import json, re, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

KEY = "test-key"
USER = "tester"


class Server(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.projects, self.experiments, self.files = {}, {}, {}
        self.unknown, self.requests, self.failures = [], [], 0
        self.lock = threading.Lock()
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_call(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        with self.server.lock:
            self.server.requests.append((self.command, path))
            self.answer(*self.route(self.command, path, body))

    do_GET = do_POST = do_PUT = do_PATCH = handle_call

    def route(self, method, path, body):
        s = self.server
        if method == "PUT" and path.startswith("/upload/"):
            s.files[path[len("/upload/"):]] = body
            return 200, {}
        data = json.loads(body) if body else None
        if path == "/api/login/api_key":
            if self.headers.get("authorization") != KEY:
                return 401, {"code": "unauthorized", "message": "wrong key"}
            return 200, {"sid": "sid-1", "expiredAt": "2099-01-01T00:00:00.000Z", "userInfo": {"username": USER}}
        if "sid=sid-1" not in (self.headers.get("cookie") or ""):
            return 401, {"code": "unauthorized", "message": "no session"}
        if m := re.fullmatch(r"/api/projects?(?:/([^/]+))?", path):  # without a name: the SDK up to 0.8
            name, owner = data["name"], m[1] or data.get("username") or USER
            project = s.projects[(owner, name)] = {
                "cuid": f"project-{name}", "name": name, "path": f"/@{owner}/{name}", "version": 1,
                "group": {"username": owner}, "username": owner, "_count": {"experiments": 0},
            }
            return 201, project
        if m := re.fullmatch(r"/api/project/([^/]+)/([^/]+)", path):
            found = s.projects.get((m[1], m[2]))
            return (200, found) if found else (404, {"code": "not_found", "message": "no such project"})
        if re.fullmatch(r"/api/project/[^/]+/[^/]+/experiment", path):
            known = s.experiments.get(data["cuid"])
            if known is None:
                known = s.experiments[data["cuid"]] = {
                    "start": data, "scalar": [], "log": [], "media": [], "columns": {}, "profile": {}, "states": [],
                    "heartbeats": 0,
                }
                return 201, {"cuid": data["cuid"], "slug": "", "name": data["name"], "createdAt": data["createdAt"]}
            return 200, {"cuid": data["cuid"], "slug": "", "name": data["name"], "createdAt": known["start"]["createdAt"]}
        if m := re.fullmatch(r"/api/house/metrics/summaries/[^/]+/([^/]+)", path):
            run = s.experiments[m[1]]
            last = lambda kind: [
                {"key": key, "step": max(p["index"] for p in run[kind] if p["key"] == key)}
                for key in {p["key"] for p in run[kind]}
            ]
            lines = [line["epoch"] for line in run["log"]]
            return 200, {
                "scalar": last("scalar"), "media": last("media"),
                "log": [{"key": "LOG", "step": max(lines)}] if lines else [],
            }
        if m := re.fullmatch(r"/api/project/[^/]+/[^/]+/runs/([^/]+)/(profile|state)", path):
            run = s.experiments[m[1]]
            if m[2] == "profile":
                run["profile"].update(data)
            else:
                run["states"].append(data)
            return 200, {}
        if re.fullmatch(r"/api/projects/[^/]+/[^/]+/series", path):
            # The only run under way, as the call does not name it.
            for run in s.experiments.values():
                run["columns"].update({column["key"]: column for column in data["series"]})
            return 200, {}
        if m := re.fullmatch(r"/api/experiment/([^/]+)/columns", path):  # the SDK up to 0.8
            s.experiments[m[1]]["columns"].update({column["key"]: column for column in data})
            return 201, {}
        if path == "/api/house/metrics":
            if s.failures > 0:
                s.failures -= 1
                return 503, {"code": "busy", "message": "come again"}
            s.experiments[data["experimentId"]][data["type"]].extend(data["metrics"])
            return 201, {}
        if path == "/api/resources/presigned/put":
            return 200, {"urls": [f"{s.address}/upload/{data['experimentId']}/{p}" for p in data["paths"]]}
        if m := re.fullmatch(r"/api/house/experiments/([^/]+)/heartbeat", path):
            s.experiments[m[1]]["heartbeats"] += 1
            return 200, {}
        s.unknown.append((method, path))
        return 404, {"code": "not_found", "message": path}
