#!/usr/bin/env python3
"""A second verifier, written from docs/FORMAT.md alone. Standard library only; nothing of muniment is used.

    verify.py dump DIRECTORY [--vkey KEY]... [--checkpoint FILE]...
    verify.py disclosure FILE [--vkey KEY]...

Prints the JSON report of section 15 and ends with its exit codes. Made to be read, not to be fast: ids are kept in memory.
"""
import argparse, base64, datetime, hashlib, json, os, re, sys

FIELD = re.compile(r"[a-z0-9_.-]{1,64}\Z")
WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
DIGEST = re.compile(r"[0-9a-f]{64}\Z")
DECIMAL = re.compile(r"(0|[1-9][0-9]{0,19})\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z", re.ASCII)
KINDS = ("post reply comment message reaction share edit deletion profile_change connection_request upload poll_vote "
         "moderation unclassified").split()
WAYS, CARRIERS = ["outbound", "inbound"], ["http", "websocket", "sse"]
SEEN = {"attachments": "count!", "derived_from": "uuid", "direction": (WAYS, 1), "exchange": "uuid!", "flags": ["word"],
        "kinds": (KINDS, 1, "list"), "network": "word!", "rule": "word", "rules": "digest!", "size": "count!",
        "transport": (CARRIERS, 1)}
# Section 3. "x!": must; ["x"]: list of x; ["x!"]: list that must be; (words, must): one of; (words, must, "list"): list of.
DETAILS = {
    "capture": {**SEEN, "method": ("get post put patch delete other".split(), 0), "retry_of": "uuid"},
    "outcome": {"capture": "uuid!", "cause": "word", "items": "count", "size": "count",
                "state": (["accepted", "refused", "unknown"], 1), "status": "count"},
    "observation": {**SEEN, "previous_version": "uuid"},
    "gap": {"capture": "uuid", "cause": "word!", "count": "count!", "device": "uuid", "exchange": "uuid", "from": "time!",
            "network": "word", "size": "count", "step": (["forward", "backward"], 0), "step_us": "count", "until": "time!"},
    "attribution": {"account": "uuid", "cause": "word!", "entry": "uuid!", "index": "count!"},
    "identity": {"advisor": "uuid", "change": (["added", "changed", "revoked"], 1), "digest": "digest", "id": "uuid",
                 "network": "word", "role": (["compliance", "legal", "auditor", "admin"], 0),
                 "subject": (["advisor", "device", "account", "officer", "source", "key"], 1)},
    "hold": {"hold": "uuid!", "matter": "uuid", "scope": (["record", "stream"], 1), "targets": ["uuid!"]},
    "release": {"hold": "uuid!"},
    "disposal": {"backups_expire_at": "time!", "blobs": "count", "contents": "count", "disposal": "uuid",
                 "phase": (["destroyed", "swept"], 1), "records": ["uuid!"], "rule": "word!"},
    "access": {"advisor": "uuid", "allowed": "bool!", "count": "count!", "operation": "word!", "records": ["uuid"]},
    "settings": {"change": "word!", "rules": "digest", "software": "word"},
    "verification": {"contents": "count", "entries": "count", "failures": "count!", "first_failure": "count",
                     "from": "count!", "result": (["verified", "failed"], 1),
                     "scope": ("all checkpoints content entries projections".split(), 1), "until": "count!"},
    "anchor": {"by": (["witness", "timestamp", "file"], 1), "evidence": "digest!", "root": "digest!", "size": "count!"},
    "decision": None, "review": None, "export": None,
}


class Refused(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Refused(why)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def unbase64(text, url=False):
    """Canonical spelling only: what comes out must go in again as the same text."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4) if url else text, b"-_" if url else None, validate=True)
    except ValueError as error:
        raise Refused("not base64") from error
    again = base64.b64encode(raw, b"-_" if url else None).decode()
    need((again.rstrip("=") if url else again) == text, "not canonical base64")
    return raw


# --- Ed25519, RFC 8032 section 5.1: verification without the cofactor ---------------------------------------------------
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def point(encoded):
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    need(y < P, "not a point")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    need((x * x - square) % P == 0 and not (x == 0 and sign), "not a point")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


B = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(public, message, signature):
    try:
        a, r = point(public), point(signature[:32])
    except Refused:
        return False
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= Q or same(times(8, r), (0, 1, 1, 0)):
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    return same(times(s, B), add(r, times(h, a)))


# --- Sections 6 and 7: keys, notes, checkpoints, proofs ----------------------------------------------------------------------
def is_key_name(name):
    return bool(name) and not any(c.isspace() or c == "+" or ord(c) < 32 or 127 <= ord(c) < 160 for c in name)


def read_vkey(text):
    name, key_id, key = (text.split("+", 2) + ["", ""])[:3]
    typed = unbase64(key)
    need(is_key_name(name) and len(typed) > 1, "not a verifier key")
    need(sha256(name.encode(), b"\n", typed)[:4].hex() == key_id, "the key id does not follow from the key")
    need((typed[0], len(typed)) in ((1, 33), (4, 33), (6, 1313)), "the type of key is not known")
    if typed[0] != 6:
        need(not same(times(8, point(typed[1:])), (0, 1, 1, 0)), "a key of small order")
    return {"name": name, "id": bytes.fromhex(key_id), "type": typed[0], "public": typed[1:]}


def read_checkpoint(note, keys):
    """Gives (origin, size, root, signed); `Refused.unsigned` tells a bad signature from a bad form."""
    try:
        text = note.decode()
    except ValueError as error:
        raise Refused("not utf-8") from error
    need(len(note) <= 1_000_000 and not any(c < " " and c != "\n" for c in text), "not a note")
    head, split, tail = text.rpartition("\n\n")
    need(split and tail.endswith("\n"), "not a note")
    head, lines, signatures = head + "\n", tail[:-1].split("\n"), []
    need(len(lines) <= 100, "too many signatures")
    for line in lines:
        match = re.match("— ([^ ]+) ([^ ]+)\\Z", line)
        need(match and is_key_name(match[1]), "not a signature line")
        raw = unbase64(match[2])
        need(len(raw) > 4, "not a signature line")
        signatures.append((match[1], raw[:4], raw[4:]))
    body = head[:-1].split("\n")
    log_keys = set()
    try:
        for name, key_id, raw in signatures if keys else []:
            for key in keys:
                if (key["name"], key["id"]) != (name, key_id) or key["type"] == 6:
                    continue
                message = head.encode()
                if key["type"] == 4:
                    seconds, raw = int.from_bytes(raw[:8], "big"), raw[8:]
                    need(seconds < 2**63, "time out of range")
                    message = f"cosignature/v1\ntime {seconds}\n".encode() + message
                need(ed25519(key["public"], message, raw), f"signature by {name} is wrong")
                log_keys.add((key["type"], name))
        need(log_keys or not keys, "no signature by a known key")
    except Refused as refused:
        refused.unsigned = True
        raise
    need(len(body) >= 3 and all(body), "not a checkpoint")
    need(DECIMAL.match(body[1]) and int(body[1]) < 2**64, "size is not a decimal")
    root = unbase64(body[2])
    need(len(root) == 32, "root is not 32 bytes")
    if keys and (1, body[0]) not in log_keys:
        refused = Refused("not signed by a key of the log")
        refused.unsigned = True
        raise refused
    return body[0], int(body[1]), root, bool(keys)


def verify_inclusion(leaf, index, size, root, proof):
    need(index < size, "no such entry in the tree")
    n, last, h = index, size - 1, leaf
    for p in proof:
        need(last, "the proof is too long")
        if n & 1 or n == last:
            h = sha256(b"\x01", p, h)
            while n and not n & 1:
                n, last = n >> 1, last >> 1
        else:
            h = sha256(b"\x01", h, p)
        n, last = n >> 1, last >> 1
    need(last == 0 and h == root, "the proof does not lead to the root")


def read_proof(text):
    lines = text.split("\n")
    need(lines[0] == "c2sp.org/tlog-proof@v1" and "" in lines and len(text.encode()) <= 1_000_000, "not a tlog-proof")
    end = lines.index("")
    head = lines[1:end]
    if head and head[0].startswith("extra "):
        unbase64(head.pop(0)[6:])
    need(head and head[0].startswith("index "), "no index line")
    index, hashes = head[0][6:], [unbase64(line) for line in head[1:]]
    need(DECIMAL.match(index) and int(index) < 2**64, "index is not a decimal")
    need(len(hashes) <= 64 and all(len(h) == 32 for h in hashes), "not a hash")
    return int(index), hashes, "\n".join(lines[end + 1:]).encode()


class Tree:
    """The peaks of a growing RFC 6962 tree."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, leaf):
        n = self.size
        while n & 1:
            leaf, n = sha256(b"\x01", self.peaks.pop(), leaf), n >> 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha256()
        h = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            h = sha256(b"\x01", peak, h)
        return h


# --- Sections 2, 3 and 8: entries -----------------------------------------------------------------------------------------
def is_time(text):
    if not TIME.match(text):
        return False
    year, *rest = (int(number) for number in re.findall("[0-9]+", text)[:6])
    try:
        return bool(datetime.datetime(year or 2000, *rest))  # the year 0 is a leap year, like 2000
    except ValueError:
        return False


def is_count(value):
    return type(value) is int and 0 <= value < 2**53


def is_commitment(value):
    try:
        return isinstance(value, str) and len(unbase64(value, url=True)) == 32
    except Refused:
        return False


def has_shape(shape, value):
    if isinstance(value, str):
        tests = {"uuid": UUID.match, "digest": DIGEST.match, "time": is_time, "word": WORD.match}
        return shape in tests and bool(tests[shape](value))
    return shape == "count" and is_count(value) or shape == "bool" and isinstance(value, bool)


def check_detail(kind, detail):
    need(isinstance(detail, dict) and all(FIELD.match(key) for key in detail), "detail is not an object of field names")
    for value in detail.values():
        need(not isinstance(value, list) or len(value) <= 512 and all(isinstance(v, str) for v in value), "not a list")
    table = DETAILS[kind]
    if table is None:
        for value in detail.values():
            shapes = ("word",) if isinstance(value, list) else ("bool", "count", "time", "word")
            for element in value if isinstance(value, list) else [value]:
                need(any(has_shape(shape, element) for shape in shapes), "a value of no known shape")
        return
    need(set(detail) <= set(table), "a key that the type does not have")
    for key, rule in table.items():
        must = rule[1] if isinstance(rule, tuple) else (rule[0] if isinstance(rule, list) else rule).endswith("!")
        if key not in detail:
            need(not must, f"{key} is missing")
            continue
        value, listed = detail[key], isinstance(rule, list) or isinstance(rule, tuple) and len(rule) == 3
        need(isinstance(value, list) == listed, f"{key} has another shape")
        for element in value if listed else [value]:
            fits = element in rule[0] if isinstance(rule, tuple) else \
                has_shape((rule[0] if isinstance(rule, list) else rule).rstrip("!"), element)
            need(fits, f"{key} has another shape")


def no_key_twice(pairs):
    need(len(dict(pairs)) == len(pairs), "a key twice")
    return dict(pairs)


def read_entry(body):
    need(len(body) <= 65_535, "longer than 65535 bytes")
    need(all(0x20 <= byte <= 0x7e and byte != 0x5c for byte in body), "a byte that no entry holds")
    try:
        entry = json.loads(body, object_pairs_hook=no_key_twice)
        canonical = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise Refused("not json") from error
    need(isinstance(entry, dict) and canonical == body, "not in canonical form")
    rooted = "commitments_root" in entry
    keys = {"actor", "at", "captured_at", "detail", "id", "index", "previous", "source", "source_index", "streams", "type",
            "v", "commitments_root" if rooted else "commitments"}
    need(set(entry) - {"record"} == keys, "other keys than an entry has")
    need(all(isinstance(entry[key], str) for key in ("actor", "at", "captured_at", "id", "previous", "source", "type")), "type")
    who, _, name = entry["actor"].partition(":")
    need(WORD.match(name) if who == "service" else who in ("device", "advisor", "officer") and UUID.match(name), "actor")
    need(is_time(entry["at"]) and is_time(entry["captured_at"]), "time")
    need(UUID7.match(entry["id"]) and UUID.match(entry["source"]) and DIGEST.match(entry["previous"]), "id")
    need("record" not in entry or isinstance(entry["record"], str) and UUID7.match(entry["record"]), "record")
    need(is_count(entry["index"]) and is_count(entry["source_index"]) and entry["v"] == 1 and type(entry["v"]) is int, "count")
    need(entry["type"] in DETAILS, "type")
    check_detail(entry["type"], entry["detail"])
    if rooted:
        root = entry["commitments_root"]
        need(isinstance(root, dict) and set(root) == {"count", "root"} and is_count(root["count"]) and root["count"] > 256
             and is_commitment(root["root"]), "commitments_root")
    else:
        listed = entry["commitments"]
        need(isinstance(listed, dict) and len(listed) <= 256 and all(FIELD.match(n) for n in listed)
             and all(is_commitment(c) for c in listed.values()), "commitments")
    streams, before = entry["streams"], ""
    need(isinstance(streams, list) and len(streams) <= 128, "streams")
    for stream in streams:
        need(isinstance(stream, dict) and set(stream) == {"id", "index"} and isinstance(stream["id"], str)
             and UUID.match(stream["id"]) and is_count(stream["index"]) and before < stream["id"], "streams")
        before = stream["id"]
    return entry


# --- Sections 12 and 13: dumps ----------------------------------------------------------------------------------------------
COPY = {"b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v", "\\": b"\\"}


def unescape(text, pattern, replace):
    need(b"\\" not in re.sub(pattern, b"", text), "an unknown escape")
    return re.sub(pattern, replace, text)


def copy_text(column):
    return unescape(column, rb"\\([bfnrtv\\])", lambda m: COPY[m[1].decode()])


def bytea(text):
    return unescape(text, rb"\\(\\|[0-3][0-7][0-7])", lambda m: m[1] if m[1] == b"\\" else bytes([int(m[1], 8)]))


def lines(path, columns):
    with open(path, "rb") as file:
        for line in file:
            row = line[:-1].split(b"\t") if line.endswith(b"\n") else line.split(b"\t")
            yield row if len(row) == columns and len(line) <= 524_288 + 1 else None


class Dump:
    def __init__(self, directory, keys, outside):
        self.failures, self.keys, self.next, self.rows = [], keys, 0, 0
        self.tree, self.stored_tree, self.before, self.at = Tree(), Tree(), (bytes(32),) * 2, ""
        self.ids, self.streams, self.sources = {}, {}, {}
        self.held = {check: {"count": 0, "after": 0, "before": None, "covered": 0, "unknown": False}
                     for check in ("checkpoints", "outside")}
        self.directory, self.has_outside = directory, bool(outside)
        inside = os.path.join(directory, "checkpoints.tsv")
        self.queues = {"checkpoints": map(self.checkpoint_row, lines(inside, 2) if os.path.exists(inside) else []),
                       "outside": iter(sorted((self.open(note, None) for note in outside), key=lambda c: c[0]))}
        self.due = {check: next(queue, None) for check, queue in self.queues.items()}

    def fail(self, check, start, end, problem):
        self.failures.append({"check": check, "from": start, "to": end, "problem": problem})

    def open(self, note, size):
        try:
            checkpoint = read_checkpoint(note, self.keys)
            need(size in (None, checkpoint[1]), "size is not the column's")
            return checkpoint[1], checkpoint, None
        except Refused as refused:
            return size or 0, None, str(refused)

    def checkpoint_row(self, row):
        try:
            need(row and re.fullmatch(rb"0|[1-9][0-9]{0,19}", row[0]) and int(row[0]) < 2**64, "cannot be read")
            note = copy_text(row[1])
        except Refused as refused:
            return 0, None, str(refused)
        return self.open(note, int(row[0]))

    def take_checkpoints(self, at_end):
        for check, held in self.held.items():
            while self.due[check] and (at_end or self.due[check][0] <= self.next):
                self.take_checkpoint(check, held, *self.due[check])
                self.due[check] = next(self.queues[check], None)

    def take_checkpoint(self, check, held, size, checkpoint, problem):
        held["count"] += 1
        last = max(size - 1, 0)
        if problem:
            self.fail(check, min(size, last), last, problem)
        elif size > self.next or self.tree and size == self.next and \
                checkpoint[2] not in (self.tree.root(), self.stored_tree.root()):
            if held["before"] is None:
                held["before"] = size
                self.fail(check, min(self.next if size > self.next else held["after"], last), last, "does not agree")
        elif not self.tree:
            held["unknown"] = True
        elif size < self.next:
            self.fail(check, min(size, last), last, "comes out of order")
        else:
            held["covered"] = size if checkpoint[3] else held["covered"]
            held["after"] = size if held["before"] is None else held["after"]

    def lose(self):
        self.tree = self.stored_tree = self.before = None

    def row(self, row):
        self.rows += 1
        try:
            need(row, "not four columns")
            need(re.fullmatch(rb"0|[1-9][0-9]{0,15}", row[0]) and int(row[0]) < 2**53, "index")
            index, uuid, leaf = int(row[0]), row[1].decode("latin-1"), row[2].decode("latin-1")
            need(UUID.match(uuid) and DIGEST.match(leaf), "id or leaf")
            body = bytea(copy_text(row[3]))
        except Refused as refused:
            self.fail("rows", self.next, self.next, f"cannot be read: {refused}")
            self.next += 1
            return self.lose()
        if index < self.next:
            return self.fail("rows", index, index, "comes again, or not in its order")
        if index > self.next:
            self.fail("rows", self.next, index - 1, "is missing")
            self.lose()
        self.next = index + 1
        if uuid in self.ids:
            self.fail("ids", index, index, f"has the id of entry {self.ids[uuid]}")
        self.ids[uuid] = index
        computed, stored = sha256(b"\x00", body), bytes.fromhex(leaf)
        if self.tree:
            self.tree.push(computed)
            self.stored_tree.push(stored)
        if computed != stored:
            self.fail("leaves", index, index, "leaf is not the hash of the body")
        try:
            self.follow(index, uuid, read_entry(body))
        except Refused as refused:
            self.fail("entries", index, index, f"not an entry: {refused}")
        self.before = (stored, computed)

    def follow(self, index, uuid, entry):
        if entry["index"] != index or entry["id"] != uuid:
            self.fail("entries", index, index, "body says another index or id than the row")
        if self.before and bytes.fromhex(entry["previous"]) not in self.before:
            self.fail("chain", max(index - 1, 0), index, "the link is broken")
        if entry["at"] < self.at:
            self.fail("times", index, index, "is earlier than the entry before")
        self.at = entry["at"]
        for stream in entry["streams"]:
            if stream["index"] != self.streams.get(stream["id"], 0):
                self.fail("streams", index, index, f"stream {stream['id']} does not go on where it stopped")
            self.streams[stream["id"]] = stream["index"] + 1
        if entry["source_index"] != self.sources.get(entry["source"], 0):
            self.fail("sources", index, index, f"source {entry['source']} does not go on where it stopped")
        self.sources[entry["source"]] = entry["source_index"] + 1

    def run(self):
        for row in lines(os.path.join(self.directory, "entries.tsv"), 4):
            self.take_checkpoints(False)
            self.row(row)
        self.take_checkpoints(True)
        failed = {failure["check"] for failure in self.failures}
        checks = []
        for check in "rows entries leaves chain times ids streams sources checkpoints outside content".split():
            held, why = self.held.get(check), None
            if held and not held["count"]:
                why = "there is none"
            elif held and not self.keys:
                why = "no verifier key was given"
            elif held and held["unknown"]:
                why = "the tree is not known"
            elif check == "content":
                why = "content is not part of a dump"
            checks.append([check, verdict(check, check in failed, why)])
        covered = max(held["covered"] for held in self.held.values())
        changed = {check: held["before"] and {"after": held["after"], "before": held["before"]}
                   for check, held in self.held.items()}
        every = next((v for _, v in checks if "failed" in v),
                     "verified" if covered else {"not_checked": {"why": "no signed checkpoint covers an entry"}})
        return {"failures": self.failures, "report": {
            "verdict": every, "entries": self.rows, "root": self.tree.root().hex() if self.tree else None, "covered": covered,
            "checkpoints": self.held["checkpoints"]["count"], "checks": checks, "changed": changed["checkpoints"],
            "changed_outside": changed["outside"]}}, every


def verdict(check, failed, why):
    return {"failed": {"check": check}} if failed else {"not_checked": {"why": why}} if why else "verified"


# --- Section 14: disclosures ------------------------------------------------------------------------------------------------
def objects(value, required, optional=()):
    need(isinstance(value, dict) and set(required) <= set(value) <= set(required) | set(optional), "not the keys it must have")
    return value


def rises(names):
    return all(a < b for a, b in zip(names, names[1:]))


def read_disclosure(raw):
    try:
        disclosure = objects(json.loads(raw.decode(), object_pairs_hook=no_key_twice), ("format", "record", "entries"))
    except (ValueError, RecursionError) as error:
        raise Refused("not json") from error
    need(disclosure["format"] == "muniment-disclosure/1" and isinstance(disclosure["entries"], list)
         and disclosure["entries"], "not a disclosure")
    need(isinstance(disclosure["record"], str) and UUID.match(disclosure["record"]), "record is not a uuid")
    for entry in disclosure["entries"]:
        objects(entry, ("entry", "proof", "shown", "withheld"), ("commitments",))
        need(isinstance(entry["entry"], str) and isinstance(entry["proof"], str), "not a string")
        need(isinstance(entry["shown"], list) and isinstance(entry["withheld"], list), "not a list")
        need(all(isinstance(name, str) and FIELD.match(name) for name in entry["withheld"]), "not a field name")
        for field in entry["shown"]:
            objects(field, ("name", "salt"), ("text", "base64"))
            need(all(isinstance(value, str) for value in field.values()) and FIELD.match(field["name"]), "not a field")
        need(isinstance(entry.get("commitments", []), list), "not a list")
        for field in entry.get("commitments", []):
            objects(field, ("name", "commitment"))
            need(isinstance(field["name"], str) and FIELD.match(field["name"]) and is_commitment(field["commitment"]), "field")
    return disclosure


def committed(entry, given):
    """What the entry commits to, by name; none when what was given does not fold to its root."""
    if "commitments" in entry:
        return entry["commitments"] if given is None else None
    if given is None or not rises([field["name"] for field in given]) or len(given) != entry["commitments_root"]["count"]:
        return None
    tree = Tree()
    for field in given:
        tree.push(sha256(b"\x00", field["name"].encode(), b"\x00", unbase64(field["commitment"], url=True)))
    root = unbase64(entry["commitments_root"]["root"], url=True)
    return {field["name"]: field["commitment"] for field in given} if tree.root() == root else None


def holds(field, commitments):
    try:
        salt = unbase64(field["salt"], url=True)
        need(len(salt) == 32 and ("text" in field) != ("base64" in field), "not one value")
        value = field["text"].encode() if "text" in field else unbase64(field["base64"])
    except (Refused, UnicodeEncodeError):
        return False
    return commitments.get(field["name"]) == base64.urlsafe_b64encode(sha256(salt, value)).decode().rstrip("=")


def check_disclosure(raw, keys):
    failures, entries, record, before = {}, [], None, -1

    def fail(check, problem):
        failures.setdefault(check, []).append(problem)
    try:
        disclosure = read_disclosure(raw)
        record = disclosure["record"]
    except Refused as refused:
        disclosure = {"entries": []}
        fail("form", str(refused))
    for number, disclosed in enumerate(disclosure["entries"]):
        try:
            body = unbase64(disclosed["entry"])
            entry = read_entry(body)
        except Refused as refused:
            fail("entries", f"entry number {number}: {refused}")
            continue
        index, leaf, proved, shown = entry["index"], sha256(b"\x00", body), None, []
        if index <= before:
            fail("form", f"entry {index} is out of order")
        before = index
        if entry.get("record") != record:
            fail("record", f"entry {index} is of another record")
        commitments = committed(entry, disclosed.get("commitments"))
        if commitments is None:
            fail("shown", f"entry {index}: the commitments do not fold to the root")
        else:
            names = [field["name"] for field in disclosed["shown"]]
            if not rises(names) or not rises(disclosed["withheld"]):
                fail("form", f"entry {index}: fields are out of order")
            shown = [field["name"] for field in disclosed["shown"] if holds(field, commitments)]
            if len(shown) != len(names):
                fail("shown", f"entry {index}: a value is not what the entry commits to")
            if sorted(names + disclosed["withheld"]) != sorted(commitments):
                fail("withheld", f"entry {index}: not the fields the entry commits to")
        try:
            place, hashes, note = read_proof(disclosed["proof"])
            need(place == index, "the proof is for another index")
            _, size, root, _ = read_checkpoint(note, keys)
            verify_inclusion(leaf, index, size, root, hashes)
            proved = size
        except Refused as refused:
            fail("checkpoints" if getattr(refused, "unsigned", False) else "inclusion", f"entry {index}: {refused}")
        entries.append({"index": index, "id": entry["id"], "type": entry["type"], "at": entry["at"], "leaf": leaf.hex(),
                        "proved_in": proved, "shown": shown, "withheld": disclosed["withheld"]})
    checks = []
    for check in "form entries record shown withheld checkpoints inclusion completeness".split():
        why = "a disclosure does not prove that there are no other entries" if check == "completeness" else \
            "the disclosure cannot be read" if record is None and check != "form" else \
            "no verifier key was given" if check == "checkpoints" and not keys else None
        checks.append([check, verdict(check, check in failures, why)])
    every = next((v for _, v in checks if "failed" in v), None) or \
        next((v for check, v in checks if "not_checked" in v and check != "completeness"), "verified")
    return {"verdict": every, "record": record, "checks": checks, "failures": sum(failures.values(), []),
            "entries": entries}, every


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("subject", choices=["dump", "disclosure"])
    parser.add_argument("path")
    parser.add_argument("--vkey", action="append", default=[])
    parser.add_argument("--checkpoint", action="append", default=[])
    arguments = parser.parse_args()
    try:
        keys = [read_vkey(text) for text in arguments.vkey]
    except Refused as refused:
        parser.error(str(refused))
    try:
        if arguments.subject == "dump":
            outside = [open(path, "rb").read() for path in arguments.checkpoint]
            report, every = Dump(arguments.path, keys, outside).run()
        else:
            report, every = check_disclosure(open(arguments.path, "rb").read(), keys)
    except OSError as error:
        print(error, file=sys.stderr)
        return 3
    print(json.dumps(report))
    return 0 if every == "verified" else 1 if "failed" in every else 4


if __name__ == "__main__":
    sys.exit(main())
