"""A small web shop. Its answers take a third of a second, as if a database were behind it."""

import http.server
import time
import urllib.parse

PAGE = """<!doctype html><title>Shop of {name}</title>
<h1>Shop of {name}</h1>
<p id="count">{count}</p>
<form method="post"><input name="what"><button id="buy">Buy</button></form>
<ul>{items}</ul>
<button id="check" onclick="setTimeout(() => document.title = 'checked', 300)">Check</button>
"""


class Shop(http.server.ThreadingHTTPServer):
    def __init__(self, name, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.name = name
        self.items = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.3)
        items = "".join(f"<li>{item}</li>" for item in self.server.items)
        text = PAGE.format(name=self.server.name, count=len(self.server.items), items=items)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.items += urllib.parse.parse_qs(body)["what"]
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()

    def log_message(self, *args):
        pass
