"""As much of a server of ReportPortal as its client asks for."""

import http.server
import json
import re
import threading
import uuid


class Portal:
    def __init__(self):
        self.launches = 0
        self.items = {}  # by id
        self.logs = []
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def told(self):
        return {
            "launches": self.launches,
            "items": list(self.items.values()),
            "logs": self.logs,
        }

    def answer(self, method, path, body):
        with self._lock:
            if method == "POST" and path.endswith("/launch"):
                self.launches += 1
                return {"id": uuid.uuid4().hex}
            if method == "POST" and "/item" in path:
                number = uuid.uuid4().hex
                item = json.loads(body)
                is_step = item.get("hasStats", True) and item["type"] == "STEP"
                self.items[number] = {"name": item["name"], "step": is_step, "status": None}
                return {"id": number}
            if method == "PUT" and "/item/" in path:
                status = json.loads(body).get("status") or "none"
                self.items[path.rpartition("/")[2]]["status"] = status
            if path.endswith("/log"):
                self.logs += re.findall(r'"message": ?"(from [^"]*)"', body.decode())
                return {"responses": []}
            return {"message": "done"}

    def _handler(portal):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                data = json.dumps(portal.answer(self.command, self.path, body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *args):
                pass

        return Handler
