"""tweepy, unmodified, doing what an advisor does; one JSON line for each thing done.

Proxy and trust come from the environment: HTTPS_PROXY=http://device:secret@127.0.0.1:PORT and
REQUESTS_CA_BUNDLE=ca.pem.
"""

import base64
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

import tweepy  # noqa: E402
from life import Steps, arguments, give_up_after, lead  # noqa: E402

ALL = "tweet,reply,dm,like,retweet,delete,media,status"
# One white pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
# What an application and an account would be issued; the archive must not hold any of them.
SECRETS = {
    "consumer_key": "planted-consumer-key", "consumer_secret": "planted-consumer-secret",
    "access_token": "1-planted-access-token", "access_token_secret": "planted-access-secret",
}

args = arguments(
    __doc__,
    ("--tag", {"default": format(time.time_ns(), "x")}),
    ("--resolve", {"action": "append", "default": [], "metavar": "HOST=ADDRESS:PORT"}),
    ("--keep-going", {"action": "store_true"}),
    ("--steps", {"default": ALL, "help": f"of {ALL}"}),
)
give_up_after(120)
lead(args.resolve)
client = tweepy.Client(**SECRETS)
api = tweepy.API(tweepy.OAuth1UserHandler(*SECRETS.values()))
made = []


def texted(what):
    return f"{what} {args.tag} — žluťoučký kůň, 東京 🚀"


def created(text, **more):
    kept = client.create_tweet(text=text, **more).data["id"]
    made.append(kept)
    return {"id": kept, "text": text}


def target():
    return made[0] if made else 1899


def tweet():
    return created(texted("Rates were held"))


def reply():
    return created(texted("Thanks for asking"), in_reply_to_tweet_id=target())


def dm():
    text = texted("In confidence")
    return {"id": client.create_direct_message(participant_id=2, text=text).data["dm_event_id"], "text": text}


def like():
    client.like(target())
    return {"subject": target()}


def retweet():
    client.retweet(target())
    return {"subject": target()}


def delete():
    client.delete_tweet(target())
    return {"id": target()}


def media():
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch, "chart.png")
        path.write_bytes(PNG)
        uploaded = api.media_upload(str(path))
    return {"media": uploaded.media_id_string, **created(texted("The chart"), media_ids=[uploaded.media_id_string])}


def status():
    text = texted("By the older interface")
    return {"id": api.update_status(text).id_str, "text": text}


steps = Steps(args.keep_going)
for name in filter(None, args.steps.split(",")):
    if name not in ALL.split(","):
        sys.exit(f"no such step: {name}")
    steps.run(name, globals()[name])
steps.end()
