#!/usr/bin/env python3
"""Verify an archive dump or the disclosure of a record, with nothing but Python (FORMAT.md section 15).

Written from docs/FORMAT.md alone, before its author had seen the verifier in Rust, and changed since only where the
document was. Made to be read; not fast.

    verify.py dump DIRECTORY [--vkey KEY]... [--checkpoint FILE]... [--json]
    verify.py disclosure FILE [--vkey KEY]... [--json]

Exit code: 0 verified, 1 failed, 2 wrong usage, 3 a file cannot be read, 4 nothing failed, but something that matters
was not checked.
"""

import argparse
import errno
import json
import sys

sys.dont_write_bytecode = True  # this may be run where nothing should be left behind

from disclosure import DISCLOSURE_MAX, check_disclosure
from dump import check_dump
from notes import NOTE_MAX, Unreadable, VerifierKey

VERIFIED, FAILED, USAGE, UNREADABLE, NOT_CHECKED = range(5)


def verifier_key(text):
    try:
        return VerifierKey.read(text)
    except Unreadable as why:
        raise argparse.ArgumentTypeError(str(why)) from None


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("dump", "DIRECTORY"), ("disclosure", "FILE")):
        command = commands.add_parser(name)
        command.add_argument("path", metavar=what)
        command.add_argument("--vkey", action="append", default=[], type=verifier_key, metavar="KEY")
        command.add_argument("--json", action="store_true")
        if name == "dump":
            command.add_argument("--checkpoint", action="append", default=[], metavar="FILE")
    return parser.parse_args(argv)


def read_file(path, most):
    """The file, or its first `most + 1` bytes: enough to see that it is too long."""
    with open(path, "rb") as file:
        return file.read(most + 1)


def read_disclosure(path):
    data = read_file(path, DISCLOSURE_MAX)
    if len(data) > DISCLOSURE_MAX:
        raise OSError(errno.EFBIG, "more than 1 GiB")
    return data


def exit_code(verdict):
    if verdict == "verified":
        return VERIFIED
    return FAILED if "failed" in verdict else NOT_CHECKED


def words(verdict):
    if verdict == "verified":
        return "verified"
    if "failed" in verdict:
        return "FAILED"
    return f"not checked: {verdict['not_checked']['why']}"


def print_dump(found):
    report = found["report"]
    for check, verdict in report["checks"]:
        failed = report["failed"].get(check)
        print(f"{check:12} {words(verdict)}" + (f" ({failed} entries)" if failed else ""))
    for failure in found["failures"]:
        print(f"  {failure['check']}: {failure['from']} to {failure['to']}: {failure['problem']}")
    print(f"{report['entries']} rows, {report['covered']} covered by a signed checkpoint, root {report['root']}")
    for kind, where in (("changed", "its own"), ("changed_outside", "outside")):
        if report[kind]:
            after, before = report[kind]["after"], report[kind]["before"]
            print(f"by {where} checkpoints the first change is at or after entry {after}, and before entry {before}")
    print(words(report["verdict"]))


def print_disclosure(report):
    for check, verdict in report["checks"]:
        print(f"{check:12} {words(verdict)}")
    for failure in report["failures"]:
        print(f"  {failure}")
    for entry in report["entries"]:
        print(f"entry {entry['index']} {entry['type']} at {entry['at']}, in the tree of {entry['proved_in']}")
        print(f"  shown: {' '.join(entry['shown'])}; withheld: {' '.join(entry['withheld'])}")
    print(words(report["verdict"]))


def main(argv=None):
    asked = arguments(argv)
    try:
        if asked.command == "dump":
            outside = [read_file(path, NOTE_MAX) for path in asked.checkpoint]
            found = check_dump(asked.path, asked.vkey, outside)
            verdict = found["report"]["verdict"]
        else:
            found = check_disclosure(read_disclosure(asked.path), asked.vkey)
            verdict = found["verdict"]
    except OSError as why:
        print(f"{asked.path}: cannot be read: {why.strerror}", file=sys.stderr)
        return UNREADABLE
    if asked.json:
        print(json.dumps(found))
    else:
        (print_dump if asked.command == "dump" else print_disclosure)(found)
    return exit_code(verdict)


if __name__ == "__main__":
    sys.exit(main())
