import http.server
import shutil
import threading
import urllib.parse

import pytest

PAGE = """<!DOCTYPE html><title>Shop</title><h1>Shop</h1>
<form method=get action=/buy><input name=what><button>Buy</button></form>
<button id=more onclick="count.textContent = Number(count.textContent) + 1">more</button>
<span id=count>0</span>"""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        page = f"<title>Bought</title><h1>{query['what'][0]}</h1>" if "what" in query else PAGE
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def base_url():
    """The web application, in this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    # There is no sandbox for the root user of a container.
    return {
        **browser_type_launch_args,
        "executable_path": shutil.which("chromium"),
        "args": ["--no-sandbox"],
    }
