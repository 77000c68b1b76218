"""Entries: their one spelling, their keys, and the detail of each type (FORMAT.md sections 2 and 3)."""

import json

import forms

ENTRY_MAX = 65_535
COMMITMENTS_MAX = 256
STREAMS_MAX = 128
LIST_MAX = 512
FIRST_PREVIOUS = "0" * 64

# --- section 3: the tables -------------------------------------------------------------------------------------------

KINDS = (
    "post reply comment message reaction share edit deletion profile_change connection_request upload poll_vote "
    "moderation unclassified"
)


def one_of(words):
    return ("one of", tuple(words.split()))


def list_of(shape):
    return ("list of", shape)


SEEN = {
    "attachments": ("count", True),
    "derived_from": ("uuid", False),
    "direction": (one_of("outbound inbound"), True),
    "exchange": ("uuid", True),
    "flags": (list_of("word"), False),
    "kinds": (list_of(one_of(KINDS)), True),
    "network": ("word", True),
    "rule": ("word", False),
    "rules": ("digest", True),
    "size": ("count", True),
    "transport": (one_of("http websocket sse"), True),
}

# type -> key -> (shape, must it be there); None for the reserved types.
DETAILS = {
    "capture": {
        **SEEN,
        "method": (one_of("get post put patch delete other"), False),
        "retry_of": ("uuid", False),
    },
    "outcome": {
        "capture": ("uuid", True),
        "cause": ("word", False),
        "items": ("count", False),
        "size": ("count", False),
        "state": (one_of("accepted refused unknown"), True),
        "status": ("count", False),
    },
    "observation": {**SEEN, "previous_version": ("uuid", False)},
    "gap": {
        "capture": ("uuid", False),
        "cause": ("word", True),
        "count": ("count", True),
        "device": ("uuid", False),
        "exchange": ("uuid", False),
        "from": ("time", True),
        "network": ("word", False),
        "size": ("count", False),
        "step": (one_of("forward backward"), False),
        "step_us": ("count", False),
        "until": ("time", True),
    },
    "attribution": {
        "account": ("uuid", False),
        "cause": ("word", True),
        "entry": ("uuid", True),
        "index": ("count", True),
    },
    "identity": {
        "advisor": ("uuid", False),
        "change": (one_of("added changed revoked"), True),
        "digest": ("digest", False),
        "id": ("uuid", False),
        "network": ("word", False),
        "role": (one_of("compliance legal auditor admin"), False),
        "subject": (one_of("advisor device account officer source key"), True),
    },
    "hold": {
        "evaluated": ("count", False),
        "from": ("time", False),
        "hold": ("uuid", True),
        "matter": ("uuid", False),
        "scope": (one_of("record stream all"), True),
        "targets": (list_of("uuid"), True),
        "until": ("time", False),
    },
    "release": {"hold": ("uuid", True)},
    "disposal": {
        "backups_expire_at": ("time", True),
        "blobs": ("count", False),
        "contents": ("count", False),
        "disposal": ("uuid", False),
        "phase": (one_of("destroyed swept"), True),
        "records": (list_of("uuid"), True),
        "rule": ("word", True),
    },
    "access": {
        "advisor": ("uuid", False),
        "allowed": ("bool", True),
        "count": ("count", True),
        "operation": ("word", True),
        "records": (list_of("uuid"), False),
    },
    "settings": {
        "change": ("word", True),
        "rules": ("digest", False),
        "software": ("word", False),
    },
    "verification": {
        "contents": ("count", False),
        "entries": ("count", False),
        "failures": ("count", True),
        "first_failure": ("count", False),
        "from": ("count", True),
        "result": (one_of("verified failed"), True),
        "scope": (one_of("all checkpoints content entries projections"), True),
        "until": ("count", True),
    },
    "anchor": {
        "by": (one_of("witness timestamp file"), True),
        "evidence": ("digest", True),
        "root": ("digest", True),
        "size": ("count", True),
    },
    "matter": {
        "advisor": ("uuid", False),
        "change": (
            one_of(
                "opened changed closed reopened custodian_added custodian_removed notice_issued notice_acknowledged"
            ),
            True,
        ),
        "matter": ("uuid", True),
        "notice": ("uuid", False),
    },
    "decision": None,
    "review": None,
    "export": {
        "as_of": ("count", True),
        "bundle": ("uuid", True),
        "format": ("word", False),
        "matter": ("uuid", False),
        "records": ("count", True),
    },
}

IS = {
    "bool": forms.is_bool,
    "count": forms.is_count,
    "digest": forms.is_digest,
    "time": forms.is_time,
    "uuid": forms.is_uuid,
    "word": forms.is_word,
}


def has_shape(shape, value):
    """Whether a value of a detail has the shape its table gives."""
    if type(shape) is str:
        return IS[shape](value)
    form, inner = shape
    if form == "one of":
        return type(value) is str and value in inner
    return type(value) is list and len(value) <= LIST_MAX and all(has_shape(inner, item) for item in value)


def has_reserved_shape(value):
    """A value under the reserved types: a bool, a count, a time, a word, or a list of words."""
    return any(has_shape(shape, value) for shape in ("bool", "count", "time", "word", list_of("word")))


# --- section 2 -------------------------------------------------------------------------------------------------------


class NotAnEntry(Exception):
    """Why bytes are not an entry."""


def require(holds, why):
    if not holds:
        raise NotAnEntry(why)


def _no_key_twice(pairs):
    names = dict(pairs)
    require(len(names) == len(pairs), "a key stands twice")
    return names


def _no_other_number(text):
    raise NotAnEntry(f"not a count: {text[:40]}")


def read_entry(body):
    """The entry that these bytes are, as a dict. Raises NotAnEntry.

    Once every byte is printable and none is a backslash, the canonical form is what a plain JSON writer with sorted
    keys and no white space makes of the value: written again, it must give the same bytes.
    """
    require(len(body) <= ENTRY_MAX, "more than 65,535 bytes")
    require(all(0x20 <= byte <= 0x7E and byte != 0x5C for byte in body), "a byte that no entry holds")
    try:
        entry = json.loads(
            body,
            object_pairs_hook=_no_key_twice,
            parse_float=_no_other_number,
            parse_constant=_no_other_number,
        )
    except (ValueError, RecursionError):
        raise NotAnEntry("not JSON") from None
    require(type(entry) is dict, "not an object")
    check_keys(entry)
    check_detail(entry["type"], entry["detail"])
    again = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()
    require(again == body, "not the canonical spelling")
    return entry


def is_actor(value):
    if type(value) is not str:
        return False
    kind, _, name = value.partition(":")
    if kind == "service":
        return forms.is_word(name)
    return kind in ("device", "advisor", "officer") and forms.is_uuid(name)


def is_streams(value):
    if type(value) is not list or len(value) > STREAMS_MAX:
        return False
    for item in value:
        if type(item) is not dict or item.keys() != {"id", "index"}:
            return False
        if not forms.is_uuid(item["id"]) or not forms.is_count(item["index"]):
            return False
    return all(a["id"] < b["id"] for a, b in zip(value, value[1:]))


def is_commitments(value):
    if type(value) is not dict or len(value) > COMMITMENTS_MAX:
        return False
    return all(forms.is_field_name(name) and forms.is_commitment(held) for name, held in value.items())


def is_commitments_root(value):
    if type(value) is not dict or value.keys() != {"count", "root"}:
        return False
    return forms.is_count(value["count"]) and value["count"] > COMMITMENTS_MAX and forms.is_commitment(value["root"])


KEYS = {
    "actor": is_actor,
    "at": forms.is_time,
    "captured_at": forms.is_time,
    "commitments": is_commitments,
    "commitments_root": is_commitments_root,
    "detail": lambda value: type(value) is dict,
    "id": forms.is_uuid_v7,
    "index": forms.is_count,
    "previous": forms.is_digest,
    "record": forms.is_uuid_v7,
    "source": forms.is_uuid,
    "source_index": forms.is_count,
    "streams": is_streams,
    "type": lambda value: type(value) is str and value in DETAILS,
    "v": lambda value: type(value) is int and value == 1,
}
MAY_BE_ABSENT = {"commitments", "commitments_root", "record"}


def check_keys(entry):
    """The table of section 2. Raises NotAnEntry."""
    for name in entry:
        require(name in KEYS, f"no entry has the key {name[:64]}")
    for name, holds in KEYS.items():
        require(name in entry or name in MAY_BE_ABSENT, f"{name} is not there")
        require(name not in entry or holds(entry[name]), f"{name} has another form")
    require(
        ("commitments" in entry) != ("commitments_root" in entry),
        "there must be commitments or commitments_root, and not both",
    )


def check_detail(type_, detail):
    """The table of the type in section 3. Raises NotAnEntry."""
    table = DETAILS[type_]
    for name, value in detail.items():
        require(forms.is_field_name(name), "a key of detail is not a field name")
        if table is None:
            require(has_reserved_shape(value), f"detail.{name} has another shape")
        else:
            require(name in table, f"no {type_} has detail.{name}")
            require(has_shape(table[name][0], value), f"detail.{name} has another shape")
    for name, (_, must) in (table or {}).items():
        require(not must or name in detail, f"detail.{name} must be there")
