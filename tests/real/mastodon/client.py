"""Mastodon.py, unmodified, doing what an advisor does; one JSON line for each thing done, with what the server said.

Proxy and trust come from the environment: HTTPS_PROXY=http://device:secret@127.0.0.1:PORT and
REQUESTS_CA_BUNDLE=ca.pem (and SSL_CERT_FILE=ca.pem for the WebSocket of `socket:N`).
"""

import base64
import pathlib
import ssl
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

from life import Steps, arguments, give_up_after, lead, say  # noqa: E402
from mastodon import Mastodon, StreamListener  # noqa: E402

ALL = (
    "verify,profile,post,reply,direct,favourite,boost,edit,media,poll,scheduled,context,conversations,notifications,"
    "timeline,stream,delete"
)
MORE = "listen:SECONDS (server-sent events), socket:SECONDS (WebSocket), posts:N"
# One white pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)

args = arguments(
    __doc__,
    ("--service", {"default": "https://masto.test"}),
    ("--token", {"required": True}),
    ("--other", {"help": "whom a direct message goes to, such as @bob"}),
    ("--parent", {"help": "id of the status to answer; else the first of this run"}),
    ("--text", {"help": "the text of what is written; else a made-up one with --tag in it"}),
    ("--tag", {"default": format(time.time_ns(), "x")}),
    ("--until", {"help": "text that ends listening early"}),
    ("--resolve", {"action": "append", "default": [], "metavar": "HOST=ADDRESS:PORT"}),
    ("--keep-going", {"action": "store_true"}),
    ("--steps", {"default": ALL, "help": f"of {ALL}; also {MORE}"}),
)
give_up_after(180)
lead(args.resolve)
mastodon = Mastodon(
    access_token=args.token, api_base_url=args.service, request_timeout=30, ratelimit_method="throw",
    version_check_mode="none",
)
posts = []


def texted(what):
    return args.text or f"{what} {args.tag} — žluťoučký kůň, 東京 🚀"


def status(kept, text, **more):
    return {"id": kept.id, "uri": kept.uri, "url": kept.url, "visibility": kept.visibility, "text": text, **more}


def listed(statuses):
    return {"items": [{"id": item.id, "author": item.account.acct, "content": item.content} for item in statuses]}


def target():
    if args.parent:
        return args.parent
    if not posts:
        posts.append(said_post())
    return posts[0]


def said_post():
    text = texted("Rates were held")
    kept = mastodon.status_post(text)
    say({"did": "post", **status(kept, text)})
    return kept.id


def verify():
    me = mastodon.account_verify_credentials()
    return {"account": me.acct, "id": me.id}


def profile():
    text = texted("Advises on pensions.")
    mastodon.account_update_credentials(display_name=f"Advisor {args.tag}", note=text)
    return {"text": text}


def post():
    text = texted("Markets are calm today #markets")
    kept = mastodon.status_post(text, idempotency_key=f"{args.tag}-{len(posts)}")
    posts.append(kept.id)
    return status(kept, text)


def reply():
    text = texted("Thanks for asking")
    parent = target()
    return status(mastodon.status_post(text, in_reply_to_id=parent), text, parent=parent)


def direct():
    if not args.other:
        return {"skipped": "no --other given"}
    text = f"{args.other} {texted('In confidence')}"
    return status(mastodon.status_post(text, visibility="direct"), text)


def favourite():
    return {"id": mastodon.status_favourite(target()).id}


def boost():
    kept = mastodon.status_reblog(target())
    return {"id": kept.id, "subject": target()}


def edit():
    text = texted("A corrected post")
    return status(mastodon.status_update(said_post(), text), text)


def media():
    attachment = mastodon.media_post(PNG, mime_type="image/png", description=f"a chart {args.tag}")
    text = texted("The chart")
    return status(mastodon.status_post(text, media_ids=[attachment.id]), text, media=attachment.id)


def poll():
    text = texted("Which one?")
    options = [f"bonds {args.tag}", f"shares {args.tag}"]
    kept = mastodon.status_post(text, poll=mastodon.make_poll(options, expires_in=3600))
    return status(kept, text, options=options)


def scheduled():
    import datetime

    text = texted("Later")
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return {"id": mastodon.status_post(text, scheduled_at=at).id, "text": text}


def context():
    around = mastodon.status_context(target())
    return {"id": target(), "ancestors": listed(around.ancestors)["items"], "descendants": listed(around.descendants)["items"]}


def conversations():
    return listed(item.last_status for item in mastodon.conversations() if item.last_status)


def notifications():
    items = mastodon.notifications()
    return {"items": [{"type": item.type, "author": item.account.acct, "content": getattr(item.status, "content", None)} for item in items]}


def timeline():
    return listed(mastodon.timeline_home())


def delete():
    target_id = said_post()
    mastodon.status_delete(target_id)
    return {"id": target_id}


class Ear(StreamListener):
    """Says every event, and notes when the one waited for has come."""

    def __init__(self, until):
        self.until = until
        self.open = threading.Event()
        self.heard = threading.Event()

    def handle_heartbeat(self):
        self.open.set()

    def on_any_event(self, name, data):
        content = getattr(data, "content", None) or getattr(getattr(data, "status", None), "content", None)
        say({"did": "heard", "event": name, "content": content})
        if self.until and content and self.until in content:
            self.heard.set()

    def on_abort(self, err):
        pass


def listening(seconds, until, then=lambda: None):
    ear = Ear(until)
    stream = mastodon.stream_user(ear, run_async=True, timeout=30, reconnect_async=False)
    try:
        if not ear.open.wait(15):
            raise TimeoutError("the stream did not open")
        say({"did": "listening"})
        then()
        return {"heard": ear.heard.wait(seconds)}
    finally:
        # Closing waits for the server's next byte, which nobody needs.
        threading.Thread(target=stream.close, daemon=True).start()


def stream():
    result = listening(15, args.tag, said_post)
    if not result["heard"]:
        raise TimeoutError("the stream did not carry the post")
    return result


def socket(seconds):
    from websockets.sync.client import connect

    url = f"{args.service.replace('https:', 'wss:')}/api/v1/streaming?stream=user&access_token={args.token}"
    end = time.monotonic() + seconds
    with connect(url, ssl=ssl.create_default_context(), open_timeout=15, close_timeout=5) as connection:
        say({"did": "listening"})
        while (left := end - time.monotonic()) > 0:
            try:
                frame = connection.recv(timeout=left)
            except TimeoutError:
                break
            say({"did": "heard", "frame": frame})
            if args.until and args.until in frame:
                return {"heard": True}
    return {"heard": False}


steps = Steps(args.keep_going)
for step in filter(None, args.steps.split(",")):
    name, _, count = step.partition(":")
    if name == "posts":
        for i in range(int(count)):
            text = f"{args.tag} {i}"
            steps.run("post", lambda: status(mastodon.status_post(text), text))
    elif name == "listen":
        steps.run(name, lambda: listening(float(count), args.until))
    elif name == "socket":
        steps.run(name, lambda: socket(float(count)))
    elif name in ALL.split(","):
        steps.run(name, globals()[name])
    else:
        sys.exit(f"no such step: {step}")
steps.end()
