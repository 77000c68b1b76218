"""An independent Mastodon-API server with its own web client at /_ui/, on loopback with its own TLS.

Its links say https://NAME without a port, so clients dial NAME:443 and the proxy's `upstream.resolve` (printed when
ready) leads that to the port that this really listens on. Accounts have tokens; nothing is kept after it stops.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

from life import arguments, free_port, say_ready_when_listening, stop_on_request  # noqa: E402
from mastodon_mock.cli import main  # noqa: E402

args = arguments(
    __doc__,
    ("--cert", {"required": True}),
    ("--key", {"required": True}),
    ("--host", {"default": "masto.test"}),
    ("--port", {"type": int, "default": 0}),
    ("--account", {"action": "append", "metavar": "NAME:TOKEN", "help": "repeatable; alice and bob by default"}),
    ("--keep", {"action": "store_true", "help": "leave a closed standard input unheeded"}),
)
accounts = [account.split(":", 1) for account in args.account or ["alice:alice_token", "bob:bob_token"]]
port = args.port or free_port()
lines = []
for name, token in accounts:
    lines += ["[[seed.accounts]]", f"username = {json.dumps(name)}", f"display_name = {json.dumps(name.title())}"]
    lines += [f"access_token = {json.dumps(token)}"]
# The server's own words go to standard error: standard output is ours.
ready_line = os.dup(1)
os.dup2(2, 1)
sys.stdout = os.fdopen(ready_line, "w", encoding="utf-8")
scratch = tempfile.mkdtemp(prefix="mastodon-")
tempfile.tempdir = scratch
stop_on_request(lambda: shutil.rmtree(scratch, ignore_errors=True), heed_stdin=not args.keep)
say_ready_when_listening(
    port,
    {
        "url": f"https://{args.host}",
        "resolve": {args.host: f"127.0.0.1:{port}"},
        "accounts": [{"name": name, "token": token} for name, token in accounts],
    },
)
config = pathlib.Path(scratch, "config.toml")
config.write_text("\n".join(lines), encoding="utf-8")
certificate = ["--ssl-certfile", os.path.abspath(args.cert), "--ssl-keyfile", os.path.abspath(args.key)]
os.chdir(scratch)
main(
    ["serve", "--config", str(config), "--in-memory", "--host", "127.0.0.1", "--port", str(port)]
    + ["--domain", args.host, "--log-level", "warning", *certificate]
)
