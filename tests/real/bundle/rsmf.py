"""Checks the RSMF files of an unpacked bundle; prints one JSON line for each.

The schema says in JSON Schema what the published description of RSMF 2.0.0 asks of a manifest, and is stricter: it knows no other
keys. What a schema cannot say (that ids lead to what they name) is checked beside it.
"""

import email
import email.policy
import io
import json
import pathlib
import sys
import zipfile

import jsonschema_rs

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT}


def thing(required, **properties):
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def things(required, **properties):
    return {"type": "array", "items": thing(required, **properties)}


CUSTOM = things(["name", "value"], name=TEXT, value=TEXT)
SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    **thing(
        ["version", "participants", "conversations", "events"],
        version={"const": "2.0.0"},
        eventcollectionid=TEXT,
        participants=things(
            ["id"], id=TEXT, display={"type": "string"}, email={"type": "string", "format": "idn-email"},
            avatar={"type": "string"}, account_id={"type": "string"}, custom=CUSTOM,
        ),
        conversations=things(
            ["id", "platform", "participants"], id=TEXT, display={"type": "string"}, platform=TEXT,
            type={"enum": ["direct", "channel"]}, participants=TEXTS, custodian={"type": "string"}, custom=CUSTOM,
            icon={"type": "string"},
        ),
        events=things(
            ["type"], id={"type": "string"}, parent={"type": "string"}, body={"type": "string"},
            type={"enum": ["message", "disclaimer", "join", "leave", "history", "unknown"]},
            participant={"type": "string"}, conversation={"type": "string"},
            timestamp={"type": "string", "format": "date-time"}, deleted={"type": "boolean"},
            importance={"enum": ["normal", "high"]}, direction={"enum": ["incoming", "outgoing"]},
            attachments=things(["id"], id=TEXT, display={"type": "string"}, size={"type": "integer", "minimum": 0}),
            custom=CUSTOM,
        ),
    ),
}
# Another file may be named, such as the published one.
if len(sys.argv) > 2:
    SCHEMA = json.loads(pathlib.Path(sys.argv[2]).read_text(encoding="utf-8-sig"))
validator = jsonschema_rs.Draft7Validator(SCHEMA, validate_formats=True)


def problems(manifest, names, mail):
    yield from (f"{error.instance_path}: {error.message}" for error in validator.iter_errors(manifest))
    people = [one["id"] for one in manifest["participants"]]
    conversations = {one["id"]: one for one in manifest["conversations"]}
    events = {event["id"]: event for event in manifest["events"]}
    if len(set(people)) != len(people) or len(conversations) != len(manifest["conversations"]):
        yield "an id stands for two"
    if len(events) != len(manifest["events"]) or len(events) != int(mail["X-RSMF-EventCount"]):
        yield "an event is there twice, or not counted"
    for one in conversations.values():
        if not set(one["participants"]) <= set(people) or one.get("custodian", one["participants"][0]) not in one["participants"]:
            yield f"{one['id']}: a participant who is none"
    attached = set()
    for event in events.values():
        if event["conversation"] not in conversations or event["participant"] not in conversations[event["conversation"]]["participants"]:
            yield f"{event['id']}: in no conversation of its participant"
        if "parent" in event and events.get(event["parent"], {}).get("conversation") != event["conversation"]:
            yield f"{event['id']}: answers nothing here"
        attached |= {one["id"] for one in event.get("attachments", [])}
    if attached | {"rsmf_manifest.json"} != names or len(attached) != int(mail["X-RSMF-AttachmentCount"]):
        yield "attached files and those in the zip differ"


for path in sorted(pathlib.Path(sys.argv[1], "data/rsmf").iterdir()):
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    (attachment,) = mail.iter_attachments()
    assert attachment.get_filename() == "rsmf.zip" and mail["X-RSMF-Version"] == "2.0.0"
    files = zipfile.ZipFile(io.BytesIO(attachment.get_content()))
    assert files.testzip() is None
    manifest = json.loads(files.read("rsmf_manifest.json"))
    print(json.dumps({
        "version": manifest["version"],
        "events": len(manifest["events"]),
        "threaded": sum("parent" in event for event in manifest["events"]),
        "attachments": sum(len(event.get("attachments", [])) for event in manifest["events"]),
        "problems": list(problems(manifest, set(files.namelist()), mail)),
    }))
