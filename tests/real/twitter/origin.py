"""A stand-in for api.twitter.com and upload.twitter.com: it takes what tweepy sends and answers in the API's shapes.

No server of that network can be had, so this is the network's side of the wire only. Each write that it accepts is
also said on standard output, as the other account of what left the firm: {"accepted": {"method", "path", "body"}}.
"""

import http.server
import itertools
import json
import pathlib
import re
import ssl
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

from life import arguments, say, say_ready_when_listening, stop_on_request  # noqa: E402

BODY_LIMIT = 8 << 20
args = arguments(
    __doc__,
    ("--cert", {"required": True}),
    ("--key", {"required": True}),
    ("--port", {"type": int, "default": 0}),
    ("--keep", {"action": "store_true", "help": "leave a closed standard input unheeded"}),
)
ids = itertools.count(1_899_000_000_000_000_001)
HOSTS = ("api.twitter.com", "upload.twitter.com")


def tweet(body, query):
    kept = str(next(ids))
    return 201, {"data": {"id": kept, "text": body.get("text", ""), "edit_history_tweet_ids": [kept]}}


def message(body, query, other):
    return 201, {"data": {"dm_conversation_id": f"1-{other}", "dm_event_id": str(next(ids))}}


def status(body, query):
    kept = next(ids)
    user = {"id": 1, "id_str": "1", "screen_name": "advisor", "name": "Advisor"}
    return 200, {
        "id": kept, "id_str": str(kept), "text": query.get("status", ""), "user": user,
        "created_at": "Sat Nov 21 12:00:00 +0000 2026", "entities": {},
    }


def media(body, query):
    kept = next(ids)
    return 200, {"media_id": kept, "media_id_string": str(kept), "size": 1, "expires_after_secs": 86400}


ROUTES = [
    ("POST", r"/2/tweets", tweet),
    ("DELETE", r"/2/tweets/(\d+)", lambda body, query, _: (200, {"data": {"deleted": True}})),
    ("POST", r"/2/dm_conversations/with/(\d+)/messages", message),
    ("POST", r"/2/users/\d+/likes", lambda body, query: (200, {"data": {"liked": True}})),
    ("POST", r"/2/users/\d+/retweets", lambda body, query: (200, {"data": {"retweeted": True}})),
    ("GET", r"/2/users/me", lambda body, query: (200, {"data": {"id": "1", "name": "Advisor", "username": "advisor"}})),
    ("POST", r"/1\.1/media/upload\.json", media),
    ("POST", r"/1\.1/statuses/update\.json", status),
]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *_):
        pass

    def answer(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            return self.answer(413, {"title": "Payload Too Large"})
        raw = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)
        for method, pattern, route in ROUTES:
            match = re.fullmatch(pattern, url.path)
            if not match or method != self.command:
                continue
            is_json = "json" in self.headers.get("Content-Type", "") and raw
            code, value = route(
                json.loads(raw) if is_json else {}, dict(urllib.parse.parse_qsl(url.query)), *match.groups()
            )
            if method != "GET":
                text = raw.decode("utf-8", "replace")
                say({"accepted": {"host": self.headers.get("Host"), "method": method, "path": self.path, "body": text, "status": code}})
            return self.answer(code, value)
        self.answer(404, {"title": "Not Found Error", "status": 404})

    do_GET = do_POST = do_DELETE = do_PUT = handle_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a peer that goes away in the middle is not news


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(args.cert, args.key)
server = Server(("127.0.0.1", args.port), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
stop_on_request(heed_stdin=not args.keep)
port = server.server_address[1]
say_ready_when_listening(port, {"url": "https://api.twitter.com", "resolve": {host: f"127.0.0.1:{port}" for host in HOSTS}})
server.serve_forever()
