"""Python's atproto library, unmodified, doing what an advisor does; one JSON line for each thing done.

Proxy and trust come from the environment: HTTPS_PROXY=http://device:secret@127.0.0.1:PORT and SSL_CERT_FILE=ca.pem.
"""

import base64
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

from atproto import Client, client_utils, models  # noqa: E402
from life import Steps, arguments, give_up_after, lead, say  # noqa: E402

ALL = "profile,post,reply,like,repost,image,dm,feed,delete"
# One white pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)

args = arguments(
    __doc__,
    ("--service", {"default": "https://pds.test"}),
    ("--handle", {"required": True}),
    ("--password", {"required": True}),
    ("--other", {}),
    ("--tag", {"default": format(time.time_ns(), "x")}),
    ("--resolve", {"action": "append", "default": []}),
    ("--keep-going", {"action": "store_true"}),
    ("--steps", {"default": ALL}),
)
give_up_after(120)
lead(args.resolve)
client = Client(f"{args.service}/xrpc")
posts = []


def texted(what):
    return f"{what} {args.tag} — žluťoučký kůň, 東京 🚀"


def ref(created, **more):
    return {"uri": created.uri, "cid": created.cid, **more}


def target():
    if not posts:
        posts.append(post_now())
    return posts[0]


def post_now():
    created = client.send_post(client_utils.TextBuilder().text(texted("Rates were held ")).tag("#rates", "rates"))
    say({"did": "post", **ref(created, text=texted("Rates were held ") + "#rates")})
    return created


def login():
    profile = client.login(args.handle, args.password)
    return {"account": profile.did, "handle": profile.handle}


def profile():
    text = texted("Advises on pensions.")
    record = models.AppBskyActorProfile.Record(display_name=f"Advisor {args.tag}", description=text)
    client.com.atproto.repo.put_record(
        models.ComAtprotoRepoPutRecord.Data(
            repo=client.me.did, collection=models.ids.AppBskyActorProfile, rkey="self", record=record
        )
    )
    return {"text": text}


def post():
    text = texted("Rates were held")
    created = client.send_post(text)
    posts.append(created)
    return ref(created, text=text)


def reply():
    parent = models.create_strong_ref(target())
    text = texted("Thanks for asking")
    created = client.send_post(text, reply_to=models.AppBskyFeedPost.ReplyRef(parent=parent, root=parent))
    return ref(created, text=text, parent=parent.uri)


def like():
    return ref(client.like(target().uri, target().cid), subject=target().uri)


def repost():
    return ref(client.repost(target().uri, target().cid), subject=target().uri)


def image():
    text = texted("The chart")
    return ref(client.send_image(text, PNG, "a chart"), text=text)


def dm():
    if not args.other:
        return {"skipped": "no --other given"}
    them = client.resolve_handle(args.other).did
    convos = client.with_bsky_chat_proxy().chat.bsky.convo
    convo = convos.get_convo_for_members(models.ChatBskyConvoGetConvoForMembers.Params(members=[them])).convo
    text = texted("In confidence")
    message = models.ChatBskyConvoDefs.MessageInput(text=text)
    sent = convos.send_message(models.ChatBskyConvoSendMessage.Data(convo_id=convo.id, message=message))
    return {"convo": convo.id, "id": sent.id, "text": text}


def feed():
    items = client.get_author_feed(client.me.did).feed
    return {"items": [{"uri": item.post.uri, "text": item.post.record.text} for item in items]}


def delete():
    created = post_now()
    client.delete_post(created.uri)
    return {"uri": created.uri}


steps = Steps(args.keep_going)
steps.run("login", login)
for name in filter(None, args.steps.split(",")):
    if name not in ALL.split(","):
        sys.exit(f"no such step: {name}")
    steps.run(name, globals()[name])
steps.end()
