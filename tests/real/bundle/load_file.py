"""Reads the table of a load file as the convention has it, follows its paths; prints one JSON line for each row."""

import csv
import hashlib
import json
import pathlib
import sys

volume = pathlib.Path(sys.argv[1], "data/load-file/VOL001")
with open(volume / "DATA/VOL001.dat", newline="", encoding="utf-8-sig") as table:
    for row in csv.DictReader(table, delimiter="\x14", quotechar="\xfe", doublequote=False, strict=True):
        def at(column):
            return volume.joinpath(*row[column].split("\\")[1:])

        native = at("NATIVEPATH").read_bytes()
        right = hashlib.sha256(native).hexdigest() == row["SHA256HASH"] and len(native) == int(row["FILESIZE"])
        print(json.dumps({**row, "text_is_there": at("TEXTPATH").stat().st_size > 0, "native_digest_is_right": right}))
