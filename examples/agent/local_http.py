"""JSON over HTTP on the loopback interface: both ends, as little as the demo needs."""

import http.client
import http.server
import json
import os
import sys
import threading
import urllib.parse


def post(url, document):
    """Sends a JSON document; returns the JSON answer. No proxies, whatever the environment says."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", parts.path, json.dumps(document), headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{url} answered {answer.status}: {body}")
        return json.loads(body)
    finally:
        connection.close()


def serve(answer):
    """Answers every POST with `answer(path, document)` until standard input ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                length = int(self.headers.get("Content-Length", 0))
                status, document = 200, answer(self.path, json.loads(self.rfile.read(length)))
            except (ValueError, LookupError, TypeError) as error:
                status, document = 400, {"error": str(error)}
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass  # the demo's output is the agent's

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # 0: any free port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    try:
        while os.read(0, 4096):
            pass
    except KeyboardInterrupt:
        pass
    sys.exit(0)
