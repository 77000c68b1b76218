"""One record taken out of the archive, and what can be checked of it (FORMAT.md sections 8 and 14)."""

import json

import entry as entries
import forms
import tree
from notes import Proof, Refused, Unreadable

DISCLOSURE_MAX = 2**30
CHECKS = ("form", "entries", "record", "shown", "withheld", "checkpoints", "inclusion", "completeness")


class NotADisclosure(Exception):
    """Why bytes are not a disclosure."""


def require(holds, why):
    if not holds:
        raise NotADisclosure(why)


def _no_key_twice(pairs):
    value = dict(pairs)
    require(len(value) == len(pairs), "a key stands twice")
    return value


def read_disclosure(data):
    """The JSON object of section 14 with its shapes checked, but not its orders. Raises NotADisclosure."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError):
        raise NotADisclosure("not JSON in UTF-8") from None
    keys_are(value, {"format", "record", "entries"}, "the disclosure")
    require(value["format"] == "muniment-disclosure/1", "another format")
    require(forms.is_uuid(value["record"]), "record is no uuid")
    require(type(value["entries"]) is list and value["entries"], "no entries")
    for item in value["entries"]:
        keys_are(item, {"entry", "proof", "shown", "withheld"}, "an entry", {"commitments"})
        are_text(item["entry"], item["proof"])
        for name in ("shown", "withheld", "commitments"):
            require(type(item.get(name, [])) is list, f"{name} is no array")
        require(all(forms.is_field_name(name) for name in item["withheld"]), "withheld holds what is no field name")
        for shown in item["shown"]:
            keys_are(shown, {"name", "salt"}, "a shown field", {"text", "base64"})
            require(forms.is_field_name(shown["name"]), "the name of a shown field is no field name")
            are_text(*shown.values())
        for held in item.get("commitments", ()):
            keys_are(held, {"name", "commitment"}, "a commitment")
            require(forms.is_field_name(held["name"]), "the name of a commitment is no field name")
            require(forms.is_commitment(held["commitment"]), "a commitment has another form")
    return value


def keys_are(value, must, what, may=frozenset()):
    require(type(value) is dict and must <= value.keys() <= must | may, f"{what} has other keys, or is no object")


def are_text(*values):
    """JSON can write half a character; that is no text."""
    for value in values:
        require(type(value) is str, "what should be text is not")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotADisclosure("a text holds half a character") from None


def value_of(shown):
    """The bytes of a shown value, or None where it is not given in one of the two ways."""
    if ("text" in shown) == ("base64" in shown):
        return None
    return shown["text"].encode() if "text" in shown else forms.base64_bytes(shown["base64"])


def has_commitment(shown, commitment):
    salt, value = forms.base64url_bytes(shown["salt"]), value_of(shown)
    if salt is None or len(salt) != 32 or value is None:
        return False
    return forms.commitment(salt, value) == commitment


def is_utf8(data):
    try:
        return data is not None and data.decode("utf-8") is not None
    except UnicodeDecodeError:
        return False


def rising(items):
    return all(a < b for a, b in zip(items, items[1:]))


class Disclosure:
    """The checks of section 14, each with what failed it."""

    def __init__(self, keys):
        self.keys = keys
        self.failed = {}  # check -> words
        self.told = []
        self._index = -1

    def fail(self, check, problem):
        self.failed.setdefault(check, problem)
        self.told.append(f"{check}: {problem}")

    def entry(self, number, item, record):
        """One entry; what section 15 reports of it, or None if it is no entry."""
        body = forms.base64_bytes(item["entry"])
        try:
            entries.require(body is not None, "not base64")
            entry = entries.read_entry(body)
        except entries.NotAnEntry as why:
            self.fail("entries", f"number {number} is not an entry: {why}")
            return None
        where = f"the entry of index {entry['index']}"
        if entry["index"] <= self._index:
            self.fail("form", f"{where} is not in rising order")
        self._index = entry["index"]
        if entry.get("record") != record:
            self.fail("record", f"{where} belongs to another record, or to none")
        committed = self._committed(where, entry, item)
        shown = self._fields(where, committed, item) if committed is not None else []
        leaf = tree.leaf_hash(body)
        return {
            "index": entry["index"],
            "id": entry["id"],
            "type": entry["type"],
            "at": entry["at"],
            "leaf": leaf.hex(),
            "proved_in": self._proof(where, entry, leaf, item["proof"]),
            "shown": shown,
            "withheld": item["withheld"],
        }

    def _committed(self, where, entry, item):
        """Field name -> commitment of all the entry commits to, or None if that cannot be known."""
        held = item.get("commitments")
        if "commitments" in entry and held is None:
            return entry["commitments"]
        if "commitments" in entry or held is None:
            self.fail("shown", f"{where}: commitments stand beside its own, or not beside its root")
            return None
        root = tree.fold_commitments((field["name"], forms.base64url_bytes(field["commitment"])) for field in held)
        folded = {"count": len(held), "root": forms.base64url(root)}
        if not rising([field["name"] for field in held]) or folded != entry["commitments_root"]:
            self.fail("shown", f"the commitments of {where} do not rise, or do not fold to its root")
            return None
        return {field["name"]: field["commitment"] for field in held}

    def _fields(self, where, committed, item):
        """The names of the shown fields whose values hold."""
        names = [shown["name"] for shown in item["shown"]]
        if not rising(names) or not rising(item["withheld"]):
            self.fail("form", f"the fields of {where} are not in rising order")
        good = []
        for shown in item["shown"]:
            name = shown["name"]
            if "base64" in shown and is_utf8(forms.base64_bytes(shown["base64"])):
                self.fail("form", f"{name} of {where} is UTF-8, but not given as text")
            if name in committed and has_commitment(shown, committed[name]):
                good.append(name)
            else:
                self.fail("shown", f"{name} of {where} is not what was committed to")
        if sorted(names + item["withheld"]) != sorted(committed):
            self.fail("withheld", f"the fields shown and withheld are not those {where} commits to")
        return good

    def _proof(self, where, entry, leaf, text):
        """The size of the checkpoint that the entry is proved in, or None."""
        try:
            proof = Proof.read(text)
        except Unreadable as why:
            self.fail("inclusion", f"the proof of {where} cannot be read: {why}")
            return None
        checkpoint = proof.checkpoint
        signed = True
        if self.keys:
            try:
                checkpoint.check(self.keys)
            except Refused as why:
                self.fail("checkpoints", f"the checkpoint of {where}: {why}")
                signed = False
        if proof.index != entry["index"] or not tree.inclusion_holds(
            leaf, proof.index, checkpoint.size, checkpoint.root, proof.hashes
        ):
            self.fail("inclusion", f"the proof of {where} does not lead to its checkpoint")
            return None
        return checkpoint.size if signed else None


def check_disclosure(data, keys):
    """The report of section 15 as a dict."""
    found = Disclosure(keys)
    record, listed = None, []
    not_made = {"completeness": "a disclosure does not prove that the record has no other entries"}
    if not keys:
        not_made["checkpoints"] = "no verifier key was given"
    try:
        value = read_disclosure(data)
    except NotADisclosure as why:
        found.fail("form", str(why))
        not_made.update((check, "it is not a disclosure") for check in CHECKS[1:])
    else:
        record = value["record"]
        listed = [found.entry(number, item, record) for number, item in enumerate(value["entries"])]
    checks = []
    for check in CHECKS:
        verdict = {"not_checked": {"why": not_made[check]}} if check in not_made else "verified"
        checks.append([check, {"failed": {"check": check}} if check in found.failed else verdict])
    verdict = next((verdict for _, verdict in checks if "failed" in verdict), None)
    if verdict is None:
        unmade = (verdict for check, verdict in checks if verdict != "verified" and check != "completeness")
        verdict = next(unmade, "verified")
    return {
        "verdict": verdict,
        "record": record,
        "checks": checks,
        "failures": found.told,
        "entries": [entry for entry in listed if entry is not None],
    }
