"""schemathesis over the whole API document, as one caller; the token comes from MUNIMENT_TOKEN, none means nobody's.

Every answer has to be one that the document describes: no 5xx, no other status, type, header or shape; what breaks the document's rules
is refused, and what keeps them is not. Two rules of our own are added: no header that is described nowhere, and no request that makes
the service go elsewhere than to this machine. The report goes to standard error; the one JSON line says how often each operation
was answered with which status.
"""

import collections

import ipaddress
import json
import os
import pathlib
import re
import sys
import urllib.parse
import uuid
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

import schemathesis  # noqa: E402
import schemathesis.cli  # noqa: E402
from life import arguments, give_up_after, say  # noqa: E402

# They belong to the connection, or to how the body is framed: no document describes them.
FRAMING = {"connection", "content-length", "content-type", "date", "keep-alive", "transfer-encoding"}

args = arguments(
    __doc__,
    ("--api", {"required": True, "help": "address of the API, such as http://127.0.0.1:8081"}),
    ("--examples", {"default": "20", "help": "requests made up for each operation"}),
    ("--phases", {"default": "examples,coverage,fuzzing,stateful"}),
    ("--known", {"default": "{}", "help": "JSON: path template, for one method with that before it, and what stands in its places where something is there"}),
)
known = json.loads(args.known)
answered = collections.defaultdict(collections.Counter)


@schemathesis.check
def headers_are_described(context, response, case):
    answered[case.operation.definition.raw.get("operationId", case.operation.label)][response.status_code] += 1
    definition = case.operation.responses.find_by_status_code(response.status_code)
    if definition is None:
        return  # another check says so
    known = FRAMING | {name.lower() for name in definition.definition.get("headers", {})}
    strange = {name.lower() for name in response.headers} - known
    # Methods that no operation has are refused with the list of those there are.
    if response.status_code == 405:
        strange.discard("allow")
    assert not strange, f"headers that the document does not describe: {sorted(strange)}"


def at_home(url):
    """The same address, on this machine."""
    parts = urllib.parse.urlsplit(url)
    try:
        if parts.hostname is None or ipaddress.ip_address(parts.hostname).is_loopback:
            return url
    except ValueError:
        pass
    return urllib.parse.urlunsplit(parts._replace(netloc="127.0.0.1:9"))


def fits(there, made_up):
    """Whether what was made up is of the sort of what is there, so that putting that in its place turns no wrong request into a right one."""
    try:
        return uuid.UUID(there) and uuid.UUID(made_up) and True
    except ValueError:
        return (not there.isdigit() or str(made_up).isdigit()) and re.fullmatch("[a-z0-9._-]+", str(made_up)) is not None
    except AttributeError:
        return False


@schemathesis.hook
def map_path_parameters(context, parameters):
    """What is there is asked for three times of four; what is made up is hardly ever there."""
    path = context.operation.path
    there = known.get(f"{context.operation.method.upper()} {path}") or known.get(path)
    made_up = parameters or {}
    if there and all(name in made_up and fits(value, made_up[name]) for name, value in there.items()):
        if zlib.crc32(repr(sorted(made_up.items())).encode()) % 4:
            return {**made_up, **there}
    return parameters


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("url"), str):
        try:
            body["url"] = at_home(body["url"])
        except ValueError:
            pass  # no address at all, so it leads nowhere
    if isinstance(body, dict) and context.operation.path.startswith("/v1/matters/"):
        # Whoever is named there is somebody, unless it is no id at all.
        for name, there in known.get("bodies", {}).items():
            if isinstance(body.get(name), str) and fits(there, body[name]):
                body[name] = there
    return body


give_up_after(280)
token = os.environ.get("MUNIMENT_TOKEN")
config = pathlib.Path(__file__).with_name("specification.toml")
command = ["--config-file", config, "run", f"{args.api}/openapi.json", "--max-examples", args.examples, "--phases", args.phases]
if token:
    command += ["--header", f"Authorization: Bearer {token}"]
# What it prints is for people.
standard_output = os.dup(1)
os.dup2(2, 1)
try:
    schemathesis.cli.schemathesis([str(word) for word in command], prog_name="specification.py")
except SystemExit as end:
    failed = end.code
sys.stdout.flush()
os.dup2(standard_output, 1)
say({"did": "specification", "answered": answered})
sys.exit(failed)
