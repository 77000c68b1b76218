"""The two files of an archive dump, and checkpoints held outside it (FORMAT.md section 12).

Line by line: whatever cannot be read is said to be so, and the next line is read.
"""

import re
from dataclasses import dataclass

import forms
from notes import Checkpoint, Refused, Unreadable

LINE_MAX = 524_288
_COPY = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\"}


def lines_of(path):
    """The lines of a file without their newlines; None for a line that is too long to read."""
    with path.open("rb") as file:
        while line := file.readline(LINE_MAX + 1):
            if line.endswith(b"\n"):
                yield line[:-1]
            elif len(line) <= LINE_MAX:
                yield line
            else:
                while (rest := file.readline(LINE_MAX)) and not rest.endswith(b"\n"):
                    pass
                yield None


def _unescape(column, pattern, meaning):
    """Replace every escape the pattern knows; a backslash that begins none of them makes the column unreadable."""
    if b"\\" not in column:
        return column
    out, at = [], 0
    while (found := column.find(b"\\", at)) >= 0:
        match = pattern.match(column, found + 1)
        if match is None:
            raise Unreadable("an unknown escape")
        out += (column[at:found], meaning(match[0]))
        at = match.end()
    return b"".join(out) + column[at:]


def copy_columns(line, count):
    """The columns of a line of `copy` text, or Unreadable."""
    columns = line.split(b"\t") if line is not None else ()
    if len(columns) != count:
        raise Unreadable("a line too long, or of another number of columns")
    return [_unescape(column, re.compile(rb"[bfnrtv\\]"), _COPY.get) for column in columns]


def unescape_body(column):
    """What `encode(…, 'escape')` made of the body, undone."""
    return _unescape(
        column,
        re.compile(rb"\\|[0-3][0-7]{2}"),
        lambda escape: escape if escape == b"\\" else bytes([int(escape, 8)]),
    )


def _number(column, most):
    number = forms.decimal(column.decode("latin-1"), most)
    if number is None:
        raise Unreadable("a number that is not decimal")
    return number


@dataclass(frozen=True)
class Row:
    index: int
    id: str
    stored: bytes
    body: bytes

    @staticmethod
    def read(line):
        index, id_, leaf, body = copy_columns(line, 4)
        id_, leaf = id_.decode("latin-1"), leaf.decode("latin-1")
        if not forms.is_uuid(id_) or not forms.is_digest(leaf):
            raise Unreadable("an id that is no uuid, or a leaf that is no digest")
        return Row(_number(index, forms.COUNT_MAX), id_, bytes.fromhex(leaf), unescape_body(body))


def checkpoint_rows(path):
    """`(size, Checkpoint or Unreadable)` of each line of `checkpoints.tsv`; no lines where there is no file."""
    if not path.exists():
        return
    for line in lines_of(path):
        size = 0
        try:
            size_column, note = copy_columns(line, 2)
            size = _number(size_column, forms.SIZE_MAX)
            yield size, Checkpoint.read(note)
        except Unreadable as why:
            yield size, why


def outside_checkpoints(notes, keys):
    """Those held outside, in order of their size; one that cannot be read or is refused counts as of size 0."""
    given = []
    for note in notes:
        try:
            checkpoint = Checkpoint.read(note)
            if keys:
                checkpoint.check(keys)
            given.append((checkpoint.size, checkpoint))
        except (Unreadable, Refused) as why:
            given.append((0, why))
    return iter(sorted(given, key=lambda pair: pair[0]))
