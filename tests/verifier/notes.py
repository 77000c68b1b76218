"""Signed notes, verifier keys, checkpoints and tlog-proofs (FORMAT.md sections 6 and 7)."""

import functools
import re
import unicodedata
from dataclasses import dataclass

import ed25519
import forms
import tree

NOTE_MAX = 1_000_000
SIGNATURES_MAX = 100
PROOF_MAX = 1_000_000

ED25519, COSIGNATURE, ML_DSA = 1, 4, 6
PUBLIC_KEY_SIZE = {ED25519: 32, COSIGNATURE: 32, ML_DSA: 1312}


class Unreadable(Exception):
    """These bytes are not what they should be."""


class Refused(Exception):
    """A note can be read, but its signatures do not stand."""


def is_key_name(name):
    return name != "" and not any(c == "+" or c.isspace() or unicodedata.category(c) == "Cc" for c in name)


@dataclass(frozen=True)
class VerifierKey:
    """`<key name>+<hex key id>+<base64(type ‖ public key)>`"""

    name: str
    id: bytes
    type: int
    public: bytes

    @staticmethod
    def read(text):
        name, _, rest = text.partition("+")
        id_, _, key = rest.partition("+")
        data = forms.base64_bytes(key)
        if not is_key_name(name) or not re.fullmatch("[0-9a-f]{8}", id_) or not data:
            raise Unreadable("not a verifier key")
        if PUBLIC_KEY_SIZE.get(data[0]) != len(data) - 1:
            raise Unreadable("a verifier key of an unknown type or of another size")
        if tree.sha256(name.encode(), b"\n", data)[:4].hex() != id_:
            raise Unreadable("a verifier key whose id does not follow from the rest")
        if data[0] != ML_DSA and ed25519.public_key(data[1:]) is None:
            raise Unreadable("a verifier key whose public key is no point, or one of small order")
        return VerifierKey(name, bytes.fromhex(id_), data[0], data[1:])


@dataclass(frozen=True)
class Note:
    """A note that could be read; nobody has looked at its signatures yet."""

    text: str
    signatures: tuple  # of (key name, key id, signature)

    @staticmethod
    def read(data):
        if len(data) > NOTE_MAX:
            raise Unreadable("a note of more than 1,000,000 bytes")
        try:
            note = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Unreadable("a note that is not UTF-8") from None
        if re.search("[\x00-\x09\x0b-\x1f]", note):
            raise Unreadable("a note with a control character")
        head, split, tail = note.rpartition("\n\n")
        if not split or not tail.endswith("\n"):
            raise Unreadable("a note without an empty line, or whose last line has no end")
        lines = tail[:-1].split("\n")
        if len(lines) > SIGNATURES_MAX:
            raise Unreadable("a note with more than 100 signatures")
        return Note(head + "\n", tuple(Note._signature(line) for line in lines))

    @staticmethod
    def _signature(line):
        dash, *parts = line.split(" ")
        if dash != "\u2014" or len(parts) != 2 or not is_key_name(parts[0]):
            raise Unreadable("a note with a line that is no signature")
        data = forms.base64_bytes(parts[1])
        if data is None or len(data) < 5:
            raise Unreadable("a note with a line that is no signature")
        return parts[0], data[:4], data[4:]

    def signed_by(self, keys):
        """The given keys whose signatures hold. Raises Refused if one is wrong, or if there is none."""
        good = []
        for name, id_, signature in self.signatures:
            for key in keys:
                if (key.name, key.id) != (name, id_) or key.type == ML_DSA:
                    continue
                if not signature_holds(key, self.text, signature):
                    raise Refused(f"a wrong signature of {name}")
                good.append(key)
        if not good:
            raise Refused("no signature by a given key")
        return good


@functools.lru_cache(maxsize=4096)
def signature_holds(key, text, signature):
    message = text.encode()
    if key.type == COSIGNATURE:
        time = int.from_bytes(signature[:8], "big")
        if len(signature) != 72 or time >= 2**63:
            return False
        message = f"cosignature/v1\ntime {time}\n".encode() + message
        signature = signature[8:]
    return len(signature) == 64 and ed25519.verify(key.public, message, signature)


@dataclass(frozen=True)
class Checkpoint:
    note: Note
    origin: str
    size: int
    root: bytes

    @staticmethod
    def read(data):
        """A note with a checkpoint's text. Raises Unreadable. Its signatures are for `check`."""
        note = Note.read(data)
        lines = note.text[:-1].split("\n")
        if len(lines) < 3 or "" in lines:
            raise Unreadable("a checkpoint has at least three lines, and none of them is empty")
        size, root = forms.decimal(lines[1]), forms.base64_bytes(lines[2])
        if size is None or root is None or len(root) != tree.HASH_SIZE:
            raise Unreadable("a checkpoint without a size or a root")
        return Checkpoint(note, lines[0], size, root)

    def check(self, keys):
        """Section 6: signed, and by the log itself. Raises Refused."""
        if not any(key.type == ED25519 and key.name == self.origin for key in self.note.signed_by(keys)):
            raise Refused("not signed by a given key of its log")


@dataclass(frozen=True)
class Proof:
    """A tlog-proof: an inclusion proof with its checkpoint."""

    index: int
    hashes: tuple
    checkpoint: Checkpoint

    @staticmethod
    def read(text):
        head, split, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if len(text.encode()) > PROOF_MAX or not split or lines.pop(0) != "c2sp.org/tlog-proof@v1":
            raise Unreadable("not a tlog-proof")
        if lines and lines[0].startswith("extra "):
            if forms.base64_bytes(lines.pop(0)[6:]) is None:
                raise Unreadable("a tlog-proof whose extra line is not base64")
        word, _, index = lines.pop(0).partition(" ") if lines else ("", "", "")
        index = forms.decimal(index)
        if word != "index" or index is None or len(lines) > tree.PROOF_MAX:
            raise Unreadable("a tlog-proof without an index, or of more than 64 hashes")
        hashes = tuple(forms.base64_bytes(line) for line in lines)
        if any(hash_ is None or len(hash_) != tree.HASH_SIZE for hash_ in hashes):
            raise Unreadable("a tlog-proof with a line that is no hash")
        return Proof(index, hashes, Checkpoint.read(checkpoint.encode()))
