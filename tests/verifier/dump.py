"""Everything that can be checked of an archive dump (FORMAT.md section 13)."""

from pathlib import Path

import entry as entries
import tree
from files import Row, checkpoint_rows, lines_of, outside_checkpoints
from notes import Refused, Unreadable

LISTED_MAX = 100
CHECKS = ("rows", "entries", "leaves", "chain", "times", "ids", "streams", "sources", "checkpoints", "outside")

# --- what was found --------------------------------------------------------------------------------------


class Failures:
    """Runs of entry indices that fail a check, with words."""

    def __init__(self):
        self.runs = []  # dicts, as section 15 writes them
        self.counts = {}  # check -> how many entries its failures name
        self._last = {}

    def add(self, check, first, last, problem):
        self.counts[check] = self.counts.get(check, 0) + last - first + 1
        before = self._last.get((check, problem))
        if before is not None and before["from"] <= first <= before["to"] + 1:
            before["to"] = max(before["to"], last)
            return
        run = {"check": check, "from": first, "to": last, "problem": problem}
        self._last[check, problem] = run
        self.runs.append(run)


class Disagrees(Exception):
    """A checkpoint that is sound for itself and speaks of another tree; the first entry that it concerns, and why."""


class Checkpoints:
    """The checkpoints of one kind, held against the tree one after the other as it grows."""

    def __init__(self, kind, given, keys, failures):
        """`given`: `(size to wait for, Checkpoint or why there is none)`; the size is 0 where none can be read."""
        self.kind, self.keys, self.failures = kind, keys, failures
        self._waiting, self._head = given, None
        self._told = 0
        self.count = 0
        self.agreed = 0  # size of the last that agreed before the first that disagreed
        self.covered = 0  # size of the last that agreed and that a given key signed
        self.disagreed = None  # size of the first that disagreed
        self.not_compared = False

    def _peek(self):
        if self._head is None:
            self._head = next(self._waiting, None)
            self.count += self._head is not None
        return self._head

    def meet(self, trees, next_, last=False):
        """Take those whose turn it is: whose size is `next_` or below, and all that are left after the last row."""
        while (head := self._peek()) and (last or head[0] <= next_):
            self._head = None
            self._take(head[0], head[1], trees, next_)

    def _take(self, size, checkpoint, trees, next_):
        try:
            agrees = self._compare(size, checkpoint, trees, next_)
        except Disagrees as why:
            first, problem = why.args
            self._fail(size, first, problem)
            if self.disagreed is None:
                self.disagreed = size
        except (Unreadable, Refused) as why:
            self._fail(size, size, str(why))
        else:
            self.not_compared |= not agrees
            if agrees and self.keys:
                self.covered = size
            if agrees and self.disagreed is None:
                self.agreed = size

    def _compare(self, size, checkpoint, trees, next_):
        """Whether it agrees; False where the tree is not known. What it raises says why it fails."""
        if isinstance(checkpoint, Exception):
            raise checkpoint
        if checkpoint.size != size:
            raise Unreadable("its size is not the column's")
        if self.keys:
            checkpoint.check(self.keys)
        if size > next_:
            raise Disagrees(next_, f"it vouches for more entries than the {next_} there are: entries were cut off")
        if trees is None:
            return False
        if size < next_:
            raise Refused("the checkpoints are not in order of their size")
        if checkpoint.root not in [tree_.root() for tree_ in trees]:
            raise Disagrees(self.agreed, "its root is not that of the tree")
        return True

    def _fail(self, size, first, why):
        self._told += 1
        if self._told <= LISTED_MAX:
            last = max(size - 1, 0)
            self.failures.add(self.kind, min(first, last), last, f"the checkpoint of size {size}: {why}")

    def changed(self):
        return None if self.disagreed is None else {"after": self.agreed, "before": self.disagreed}

    def verdict(self):
        if self._told:
            return {"failed": {"check": self.kind}}
        why = None
        if self.count == 0:
            why = "there is no checkpoint"
        elif not self.keys:
            why = "no verifier key was given"
        elif self.not_compared:
            why = "a checkpoint could not be compared, since the tree is not known"
        return {"not_checked": {"why": why}} if why else "verified"


# --- the rows --------------------------------------------------------------------------------------------


class Rows:
    """The state that runs along the rows."""

    def __init__(self, failures):
        self.failures = failures
        self.next = 0
        self.taken = 0
        self.computed, self.stored = tree.Tree(), tree.Tree()
        self.tree_known = True
        self._before = None  # hashes of the row before, where its link can be checked
        self._at = ""
        self._ids, self._streams, self._sources = set(), {}, {}

    def trees(self):
        return (self.computed, self.stored) if self.tree_known else None

    def take(self, line):
        self.taken += 1
        try:
            row = Row.read(line)
        except Unreadable:
            self.failures.add("rows", self.next, self.next, "the row cannot be read")
            self.next += 1
            self.tree_known, self._before = False, None
            return
        if row.index < self.next:
            self.failures.add("rows", row.index, row.index, "there is a row of this index already")
            return
        missing = row.index > self.next
        if missing:
            self.failures.add("rows", self.next, row.index - 1, "the rows are missing")
            self.tree_known, self._before = False, None
        self.next = row.index + 1
        self._body(row, linked=not missing)

    def _fail(self, row, check, problem):
        self.failures.add(check, row.index, row.index, problem)

    def _body(self, row, linked):
        computed = tree.leaf_hash(row.body)
        if self.tree_known:
            self.computed.append(computed)
            self.stored.append(row.stored)
        if computed != row.stored:
            self._fail(row, "leaves", "the body does not hash to its leaf")
        if row.id.encode() in self._ids:
            self._fail(row, "ids", "an earlier row has this id")
        self._ids.add(row.id.encode())
        before, self._before = self._before, (computed.hex(), row.stored.hex())
        try:
            entry = entries.read_entry(row.body)
        except entries.NotAnEntry as why:
            self._fail(row, "entries", f"the body is not an entry: {why}")
            return
        if entry["index"] != row.index or entry["id"] != row.id:
            self._fail(row, "entries", "the index or id in the body is not that of the row")
        self._link(row, entry, before, linked)
        self._sequences(row, entry)

    def _link(self, row, entry, before, linked):
        if row.index == 0:
            before = (entries.FIRST_PREVIOUS,)
        if linked and before is not None and entry["previous"] not in before:
            self.failures.add("chain", max(row.index - 1, 0), row.index, "the link between these rows is broken")

    def _sequences(self, row, entry):
        if entry["at"] < self._at:
            self._fail(row, "times", "earlier than the entry before")
        self._at = entry["at"]
        for stream in entry["streams"]:
            if stream["index"] != self._streams.get(stream["id"], 0):
                self._fail(row, "streams", "not the index expected in a stream")
            self._streams[stream["id"]] = stream["index"] + 1
        if entry["source_index"] != self._sources.get(entry["source"], 0):
            self._fail(row, "sources", "not the index expected of its source")
        self._sources[entry["source"]] = entry["source_index"] + 1


def check_dump(directory, keys, outside_notes):
    """The report of section 15 as a dict. Raises OSError where a file cannot be read."""
    directory = Path(directory)
    failures = Failures()
    rows = Rows(failures)
    inside = Checkpoints("checkpoints", checkpoint_rows(directory / "checkpoints.tsv"), keys, failures)
    outside = Checkpoints("outside", outside_checkpoints(outside_notes, keys), keys, failures)
    for line in lines_of(directory / "entries.tsv"):
        for kind in (inside, outside):
            kind.meet(rows.trees(), rows.next)
        rows.take(line)
    for kind in (inside, outside):
        kind.meet(rows.trees(), rows.next, last=True)
    return report(rows, inside, outside, failures)


def report(rows, inside, outside, failures):
    failed = failures.counts
    checks = [[check, {"failed": {"check": check}} if check in failed else "verified"] for check in CHECKS[:8]]
    checks += [["checkpoints", inside.verdict()], ["outside", outside.verdict()]]
    checks += [["content", {"not_checked": {"why": "a dump holds no content"}}]]
    covered = max(inside.covered, outside.covered)
    verdict = next((verdict for _, verdict in checks if "failed" in verdict), None)
    if verdict is None:
        why = "no checkpoint signed by a given key agreed with a tree of at least one entry"
        verdict = "verified" if covered else {"not_checked": {"why": why}}
    return {
        "failures": failures.runs,
        "report": {
            "verdict": verdict,
            "entries": rows.taken,
            "root": rows.computed.root().hex() if rows.tree_known else None,
            "covered": covered,
            "checkpoints": inside.count,
            "checks": checks,
            "failed": failed,
            "changed": inside.changed(),
            "changed_outside": outside.changed(),
        },
    }
