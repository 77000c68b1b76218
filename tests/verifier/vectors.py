#!/usr/bin/env python3
"""Hold the verifier against the test vectors (FORMAT.md section 17).

    vectors.py [DIRECTORY]

Prints a line for each file. Exit code: 0 all agree, 1 one does not.
"""

import hashlib
import json
import sys
from pathlib import Path

import entry as entries
import files
import forms
import sealing
import tree
from disclosure import check_disclosure
from dump import check_dump
from notes import Checkpoint, Proof, Refused, VerifierKey

HERE = Path(__file__).resolve().parent


def expect(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r} is not {wanted!r}")


def load(directory, name):
    return json.loads((directory / name).read_text("utf-8"))


def vkey(directory):
    return VerifierKey.read((directory / "vkey").read_text("utf-8").rstrip("\n"))


def check_entries(directory):
    vectors = load(directory, "entries.json")
    seen = set()
    for vector in vectors["entries"]:
        body = vector["bytes"].encode()
        seen.add(entries.read_entry(body)["type"])
        expect(tree.leaf_hash(body).hex(), vector["leaf"], "leaf")
    expect(seen, set(entries.DETAILS), "the types")
    for vector in vectors["refused"]:
        try:
            entries.read_entry(vector["bytes"].encode())
        except entries.NotAnEntry:
            continue
        raise AssertionError(f"taken for an entry: {vector['why']}")


def check_details(directory):
    def written(shape):
        if type(shape) is str:
            return shape
        form, inner = shape
        if form == "one of":
            return {"one_of": list(inner)}
        return {"list_of": inner if type(inner) is str else list(inner[1])}

    for type_, table in entries.DETAILS.items():
        ours = table and {key: {"must": must, "shape": written(shape)} for key, (shape, must) in table.items()}
        expect(ours, load(directory, "details.json")[type_], type_)
    expect(set(entries.DETAILS), set(load(directory, "details.json")), "the types")


def tree_leaves(count):
    return [tree.leaf_hash(n.to_bytes(4, "big")) for n in range(count)]


def check_tree(directory):
    vectors = load(directory, "tree.json")
    leaves = tree_leaves(max(vector["size"] for vector in vectors["roots"] + vectors["inclusion"]))
    for vector in vectors["roots"]:
        expect(tree.root_of(leaves[: vector["size"]]).hex(), vector["root"], f"root of {vector['size']}")
    for vector in vectors["inclusion"]:
        index, size = vector["index"], vector["size"]
        proof = [bytes.fromhex(hash_) for hash_ in vector["proof"]]
        root = tree.root_of(leaves[:size])
        expect(tree.inclusion_holds(leaves[index], index, size, root, proof), True, f"{index} in {size}")
        for wrong in (proof[:-1] if proof else [root], [*proof, root]):
            expect(tree.inclusion_holds(leaves[index], index, size, root, wrong), False, f"wrong, {index} in {size}")
    for vector in vectors["consistency"]:
        old, new = vector["old"], vector["new"]
        proof = [bytes.fromhex(hash_) for hash_ in vector["proof"]]
        roots = tree.root_of(leaves[:old]), tree.root_of(leaves[:new])
        expect(tree.consistency_holds(old, roots[0], new, roots[1], proof), True, f"{old} to {new}")
        for wrong in (proof[:-1] if proof else [roots[1]], [*proof, roots[1]]):
            expect(tree.consistency_holds(old, roots[0], new, roots[1], wrong), False, f"wrong, {old} to {new}")


def check_tiles(directory):
    vectors = load(directory, "tiles.json")
    for path in vectors["paths"]:
        expect(tree.tile_path(*tree.read_tile_path(path)), path, "path")
    tiles = tree.hash_tiles(tree_leaves(300))
    wanted = {vector["path"]: vector["sha256"] for vector in vectors["tiles of the tree of 300 leaves of tree.json"]}
    expect({path: hashlib.sha256(tile).hexdigest() for path, tile in tiles.items()}, wanted, "tiles")
    bundle = tree.entry_bundle(n.to_bytes(4, "big") for n in range(256, 300))
    expect(tree.tile_path("entries", 1, 44), vectors["bundle"]["path"], "path of the bundle")
    expect(hashlib.sha256(bundle).hexdigest(), vectors["bundle"]["sha256"], "bundle")


def check_keys(directory):
    vectors = load(directory, "keys.json")
    record_key, master_key = bytes.fromhex(vectors["record_key"]), bytes.fromhex(vectors["master_key"])
    for vector in vectors["fields"]:
        salt = sealing.field_salt(record_key, vectors["entry"], vector["field"])
        expect(salt.hex(), vector["salt"], "salt")
        expect(forms.commitment(salt, b"hello"), vector["commitment to hello"], "commitment")
        key = sealing.sealing_key(record_key, vectors["entry"], vector["field"])
        expect(key.hex(), vector["sealing_key"], "sealing key")
    expect(sealing.master_key_name(master_key).hex(), vectors["master_key_name"], "name")
    wrapped = sealing.wrap(master_key, vectors["record"], record_key, bytes.fromhex(vectors["nonce"]))
    expect(wrapped.hex(), vectors["wrapped"], "wrapped")


def check_sealing(directory):
    vectors = load(directory, "sealing.json")
    place = bytes.fromhex(vectors["record_key"]), vectors["entry"], vectors["field"]
    expect(sealing.seal(*place, b"").hex(), vectors["empty"], "empty")
    expect(sealing.seal(*place, b"hello").hex(), vectors["hello"], "hello")
    big = (bytes(range(251)) * 8356)[:2_097_157]
    sealed = sealing.seal(*place, big)
    wanted = vectors["byte n is n mod 251, 2097157 bytes"]["sha256"]
    expect(hashlib.sha256(sealed).hexdigest(), wanted, "three chunks")


def check_commitments(directory):
    vectors = load(directory, "commitments.json")
    fields = []
    for n in range(257):
        salt, value = tree.sha256(n.to_bytes(2, "big")), f"value {n}".encode()
        fields.append((f"{n}.text", tree.sha256(salt, value)))
        if n == 0:
            expect(forms.base64url(salt), vectors["field 0.text"]["salt"], "salt")
            expect(forms.commitment(salt, value), vectors["field 0.text"]["commitment"], "commitment")
    folded = {"count": 257, "root": forms.base64url(tree.fold_commitments(fields))}
    expect(folded, vectors["commitments_root"], "root")


def check_checkpoint(directory):
    key, data = vkey(directory), (directory / "checkpoint").read_bytes()
    Checkpoint.read(data).check([key])
    at = data.rindex(b"=")
    for wrong in (data.replace(b"\n20\n", b"\n21\n"), data[: at - 3] + b"AAA" + data[at:]):
        try:
            Checkpoint.read(wrong).check([key])
        except Refused:
            continue
        raise AssertionError("a wrong signature was taken")


def check_proof(directory):
    proof = Proof.read((directory / "proof.tlog-proof").read_text("utf-8"))
    proof.checkpoint.check([vkey(directory)])
    rows = [files.Row.read(line) for line in files.lines_of(directory / "dump" / "entries.tsv")]
    checkpoint = proof.checkpoint
    for row in rows:
        leads = tree.inclusion_holds(row.stored, proof.index, checkpoint.size, checkpoint.root, proof.hashes)
        expect(leads, row.index == proof.index, f"the proof for row {row.index}")


def check_the_dump(directory):
    outside = [(directory / "checkpoint").read_bytes()]
    found = check_dump(directory / "dump", [vkey(directory)], outside)
    expect(found["failures"], [], "failures")
    expect(found["report"]["verdict"], "verified", "verdict")


def check_disclosures(directory):
    for name in ("disclosure.json", "disclosure-root.json"):
        found = check_disclosure((directory / name).read_bytes(), [vkey(directory)])
        expect((found["verdict"], found["failures"]), ("verified", []), name)


ALL = {
    "entries.json": check_entries,
    "details.json": check_details,
    "tree.json": check_tree,
    "tiles.json": check_tiles,
    "keys.json": check_keys,
    "sealing.json": check_sealing,
    "commitments.json": check_commitments,
    "checkpoint": check_checkpoint,
    "proof.tlog-proof": check_proof,
    "dump": check_the_dump,
    "disclosures": check_disclosures,
}


def main():
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "vectors"
    wrong = 0
    for name, check in ALL.items():
        try:
            check(directory)
            print(f"{name}: agrees")
        except (AssertionError, LookupError, OSError, ValueError) as why:
            wrong += 1
            print(f"{name}: DISAGREES: {why}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
