"""What somebody else's implementation (PyPI `aics-tlog`, `aics-witness`) says of our notes, checkpoints, cosignatures, tiles and proofs.

    exec witness/opinion.py verdicts     one JSON object on standard input: what is to be checked
    exec witness/opinion.py feed --url URL --vkey KEY --size N...
                                         as a log of its own, asks our witness to cosign each size, and then a fork

Each verdict is a JSON line; an exception is one, too.
"""

import argparse
import base64
import json
import sys

import aics_tlog
from aics_tlog.note import parse_vkey
from aics_witness.feeder import WitnessClient, merge_cosignatures
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "log.test/of-somebody-else"


def say(**what):
    print(json.dumps(what), flush=True)


def attempt(check, function):
    try:
        answer = function()
        say(check=check, holds=answer is not False, said=str(answer))
    except Exception as error:  # whatever it objects to is its verdict
        say(check=check, holds=False, said=f"{type(error).__name__}: {error}")


def verdicts():
    given = json.load(sys.stdin)
    b64 = base64.b64decode
    log = parse_vkey(given["log"])
    witnesses = [parse_vkey(key) for key in given["witnesses"]]

    def checkpoint():
        note = aics_tlog.parse_note(given["checkpoint"].encode())
        result = aics_tlog.verify_checkpoint(
            note, log, witnesses, given["quorum"], expected_origin=log.name, max_age_seconds=3600, max_future_seconds=60
        )
        return result.ok

    attempt("checkpoint", checkpoint)
    for proof in given["inclusion"]:
        hashes = [b64(h) for h in proof["hashes"]]
        attempt(
            "inclusion",
            lambda: aics_tlog.verify_inclusion(
                b64(proof["leaf"]), proof["index"], given["size"], hashes, b64(given["root"])
            ),
        )
    for proof in given["consistency"]:
        hashes = [b64(h) for h in proof["hashes"]]
        attempt(
            "consistency",
            lambda: aics_tlog.verify_consistency(
                proof["old"], given["size"], b64(proof["root"]), b64(given["root"]), hashes
            ),
        )
    reader = aics_tlog.MemoryTileReader({path: b64(tile) for path, tile in given["tiles"].items()})
    attempt("tiles", lambda: aics_tlog.audit_tiles(reader, given["size"], b64(given["root"])))


def feed(asked):
    key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
    vkey = parse_vkey(asked.vkey)

    def signed(tree, size):
        checkpoint = aics_tlog.Checkpoint(ORIGIN, size, tree.root(size))
        return aics_tlog.sign_checkpoint(checkpoint, key, ORIGIN).to_bytes()

    honest = aics_tlog.MerkleTree([b"entry %d" % n for n in range(max(asked.size))])
    fork = aics_tlog.MerkleTree([b"other %d" % n for n in range(max(asked.size) + 1)])
    log = aics_tlog.vkey_from_ed25519(ORIGIN, key.public_key())
    with WitnessClient(asked.url, vkey) as client:
        for size in asked.size:

            def cosigned():
                note = merge_cosignatures(signed(honest, size), client.submit(signed(honest, size), honest.consistency_proof))
                result = aics_tlog.verify_checkpoint(aics_tlog.parse_note(note), log, [vkey], 1, max_age_seconds=600)
                return result.ok

            attempt("cosigned", cosigned)
        attempt("fork", lambda: client.submit(signed(fork, len(fork)), fork.consistency_proof))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(dest="command", required=True)
commands.add_parser("verdicts")
feeding = commands.add_parser("feed")
feeding.add_argument("--url", required=True)
feeding.add_argument("--vkey", required=True)
feeding.add_argument("--size", type=int, nargs="+", required=True)
commands.add_parser("key")
asked = parser.parse_args()
if asked.command == "verdicts":
    verdicts()
elif asked.command == "feed":
    feed(asked)
else:
    key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
    say(vkey=aics_tlog.format_vkey(aics_tlog.vkey_from_ed25519(ORIGIN, key.public_key())))
