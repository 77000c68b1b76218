"""The hash, the Merkle tree, its proofs and its tiles (FORMAT.md sections 4, 5, 7 and the fold of section 8)."""

import hashlib
import re

HASH_SIZE = 32
TILE_WIDTH = 256
PROOF_MAX = 64


def sha256(*parts):
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def leaf_hash(data):
    """Section 4: one hash for everything."""
    return sha256(b"\x00", data)


def node_hash(left, right):
    return sha256(b"\x01", left, right)


class Tree:
    """The tree of section 4, grown leaf by leaf.

    It keeps only the roots of the perfect subtrees that the binary digits of its size name, largest first, so that
    a ledger of any length takes 64 hashes.
    """

    def __init__(self, leaves=()):
        self.size = 0
        self._subtrees = []
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf):
        size = self.size
        while size & 1:
            leaf = node_hash(self._subtrees.pop(), leaf)
            size >>= 1
        self._subtrees.append(leaf)
        self.size += 1

    def root(self):
        if not self._subtrees:
            return sha256()
        root = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            root = node_hash(left, root)
        return root


def root_of(leaves):
    return Tree(leaves).root()


def fold_commitments(fields):
    """Section 8, more than 256: the root over `(name, SHA-256(salt ‖ value))` in byte order of the names."""
    ordered = sorted((name.encode(), digest) for name, digest in fields)
    return root_of(sha256(b"\x00", name, b"\x00", digest) for name, digest in ordered)


# --- section 7 -------------------------------------------------------------------------------------------------------


def inclusion_holds(leaf, index, size, root, proof):
    """Whether the proof leads from the leaf at `index` to the root of a tree of `size`."""
    if not 0 <= index < size or len(proof) > PROOF_MAX:
        return False
    n, last, hash_ = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if n & 1 or n == last:
            hash_ = node_hash(sibling, hash_)
            while n & 1 == 0 and n != 0:
                n >>= 1
                last >>= 1
        else:
            hash_ = node_hash(hash_, sibling)
        n >>= 1
        last >>= 1
    return last == 0 and hash_ == root


def consistency_holds(old, old_root, new, new_root, proof):
    """Whether the tree of `new` leaves begins with the tree of `old` (RFC 9162 section 2.1.4.2).

    The empty tree is consistent with every tree, with an empty proof.
    """
    if not 0 <= old <= new or len(proof) > 2 * PROOF_MAX:
        return False
    if old == 0:
        return not proof and old_root == sha256()
    if old == new:
        return not proof and old_root == new_root
    if old & (old - 1) == 0:
        proof = [old_root, *proof]
    if not proof:
        return False
    n, last = old - 1, new - 1
    while n & 1:
        n >>= 1
        last >>= 1
    of_old = of_new = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            return False
        if n & 1 or n == last:
            of_old = node_hash(sibling, of_old)
            of_new = node_hash(sibling, of_new)
            while n & 1 == 0 and n != 0:
                n >>= 1
                last >>= 1
        else:
            of_new = node_hash(of_new, sibling)
        n >>= 1
        last >>= 1
    return last == 0 and of_old == old_root and of_new == new_root


# --- section 5 -------------------------------------------------------------------------------------------------------

_TILE_PATH = re.compile(
    r"tile/(entries|0|[1-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


def tile_path(level, number, width=TILE_WIDTH):
    """`level` is a number, or `entries` for a bundle; a `width` below 256 makes a partial tile."""
    groups = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(groups)}{partial}"


def read_tile_path(path):
    """`(level, number, width)` of a path in its one spelling, or None."""
    match = _TILE_PATH.fullmatch(path) if len(path) <= 64 else None
    if match is None:
        return None
    level = match[1] if match[1] == "entries" else int(match[1])
    number = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3]) if match[3] else TILE_WIDTH
    return (level, number, width) if tile_path(level, number, width) == path else None


def hash_tiles(leaves):
    """Path -> bytes of every hash tile of the tree over these leaves, the partial ones at its right edge too."""
    tiles, level = {}, 0
    hashes = list(leaves)
    while hashes:
        for start in range(0, len(hashes), TILE_WIDTH):
            part = hashes[start : start + TILE_WIDTH]
            tiles[tile_path(level, start // TILE_WIDTH, len(part))] = b"".join(part)
        whole = len(hashes) - len(hashes) % TILE_WIDTH
        hashes = [root_of(hashes[start : start + TILE_WIDTH]) for start in range(0, whole, TILE_WIDTH)]
        level += 1
    return tiles


def entry_bundle(bodies):
    """The bytes of a bundle: each entry after its size in two bytes."""
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)
