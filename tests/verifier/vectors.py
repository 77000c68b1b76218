#!/usr/bin/env python3
"""Makes the test vectors again from docs/FORMAT.md alone (standard library; sealing and wrapping need `cryptography`).

Prints one line per file checked; ends with an AssertionError where the document and a vector differ.
"""
import base64, hashlib, hmac, json, os

from verify import Tree, sha256, verify_inclusion

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors")


def load(name):
    with open(os.path.join(VECTORS, name), encoding="utf-8") as file:
        return json.load(file)


def hkdf(key, info, size=32):
    extracted = hmac.new(bytes(32), key, "sha256").digest()
    return hmac.new(extracted, info + b"\x01", "sha256").digest()[:size]


def unhex(text):
    return bytes.fromhex(text.replace("-", ""))


def url(digest):
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def root_of(leaves):
    tree = Tree()
    for leaf in leaves:
        tree.push(leaf)
    return tree.root()


keys = load("keys.json")
record_key, entry = unhex(keys["record_key"]), unhex(keys["entry"])
for field in keys["fields"]:
    name = field["field"].encode()
    assert hkdf(record_key, b"salt" + entry + name).hex() == field["salt"]
    assert hkdf(record_key, b"key" + entry + name).hex() == field["sealing_key"]
    assert url(sha256(unhex(field["salt"]), b"hello")) == field["commitment to hello"]
master_key, record = unhex(keys["master_key"]), unhex(keys["record"])
assert hkdf(master_key, b"id", 8).hex() == keys["master_key_name"]
wrapped = unhex(keys["wrapped"])
assert len(wrapped) == 69 and wrapped[0] == 1 and wrapped[1:9].hex() == keys["master_key_name"]
print("keys.json: names, salts, sealing keys, commitments")

commitments = load("commitments.json")


def committed(n):
    return sha256(hashlib.sha256(n.to_bytes(2, "big")).digest(), f"value {n}".encode())


names = sorted((f"{n}.text".encode(), n) for n in range(257))
assert url(committed(0)) == commitments["field 0.text"]["commitment"]
assert url(root_of(sha256(b"\0", name, b"\0", committed(n)) for name, n in names)) == commitments["commitments_root"]["root"]
print("commitments.json: a commitment and a root")

tree = load("tree.json")
leaves = [sha256(b"\0", n.to_bytes(4, "big")) for n in range(300)]
for known in tree["roots"]:
    assert root_of(leaves[: known["size"]]).hex() == known["root"]
for known in tree["inclusion"]:
    index, size = known["index"], known["size"]
    verify_inclusion(leaves[index], index, size, root_of(leaves[:size]), [unhex(h) for h in known["proof"]])
print("tree.json: roots and inclusion proofs")

tiles = load("tiles.json")
level_0 = b"".join(leaves)
for known in tiles["tiles of the tree of 300 leaves of tree.json"]:
    content = {"tile/0/000": level_0[:8192], "tile/0/001.p/44": level_0[8192:], "tile/1/000.p/1": root_of(leaves[:256])}
    assert sha256(content[known["path"]]).hex() == known["sha256"]
bundle = b"".join(b"\0\4" + n.to_bytes(4, "big") for n in range(256, 300))
assert sha256(bundle).hex() == tiles["bundle"]["sha256"]
print("tiles.json: tiles and a bundle")

for known in load("entries.json")["entries"]:
    assert sha256(b"\0", known["bytes"].encode()).hex() == known["leaf"]
print("entries.json: leaves")

try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    print("sealing.json: not checked, the package `cryptography` is not installed")
else:
    wrapping_key = hkdf(master_key, b"wrap" + record)
    assert AESGCM(wrapping_key).decrypt(wrapped[9:21], wrapped[21:], record) == record_key
    sealing = load("sealing.json")
    name = sealing["field"].encode()
    cipher, chunk = AESGCM(hkdf(record_key, b"key" + entry + name)), 1 << 20

    def seal(value):
        count = max(1, -(-len(value) // chunk))
        return b"".join(
            cipher.encrypt(bytes(7) + i.to_bytes(4, "big") + bytes([i == count - 1]), value[i * chunk:(i + 1) * chunk],
                           entry + name) for i in range(count))

    assert seal(b"").hex() == sealing["empty"] and seal(b"hello").hex() == sealing["hello"]
    long = bytes(n % 251 for n in range(2097157))
    assert sha256(seal(long)).hex() == sealing["byte n is n mod 251, 2097157 bytes"]["sha256"]
    print("sealing.json: sealed values; keys.json: the wrapped key")
