"""A client of the audit API that was generated from its document, doing what an officer does; one JSON line for each thing done.

Nothing here knows an address, a parameter or a field that the generator did not read in the document; the token comes from
MUNIMENT_TOKEN. The generator has to be content with the document: a warning is a failure.
"""

import base64
import hashlib
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))

from life import Steps, arguments, give_up_after  # noqa: E402

ALL = "pages,search,record,fields,thread,versions,proofs,people,looks,checkpoints,events,export,system,refusals"
CONFIG = {
    "project_name_override": "audit",
    "package_name_override": "audit",
    # It knows few types by name; to it, this one is text.
    "content_type_overrides": {"application/openmetrics-text": "text/plain"},
    # Nobody reads what was made.
    "post_hooks": [],
}
WHY = "a generated client looks"

args = arguments(
    __doc__,
    ("--api", {"required": True, "help": "address of the API, such as http://127.0.0.1:8081"}),
    ("--text", {"required": True, "help": "what the record to look at says"}),
    ("--keep-going", {"action": "store_true"}),
    ("--steps", {"default": ALL, "help": f"of {ALL}"}),
)
give_up_after(180)
scratch = tempfile.TemporaryDirectory()
config = pathlib.Path(scratch.name, "config.json")
config.write_text(json.dumps(CONFIG))


def generate():
    made = subprocess.run(
        [
            sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{args.api}/openapi.json", "--config", config,
            "--meta", "none", "--output-path", pathlib.Path(scratch.name, "audit"), "--fail-on-warning",
        ],
        capture_output=True, text=True, timeout=120,
    )
    if made.returncode != 0:
        raise RuntimeError(made.stdout + made.stderr)
    sys.path.insert(0, scratch.name)
    operations = [path.stem for path in pathlib.Path(scratch.name, "audit/api").glob("*/*.py") if path.stem != "__init__"]
    return {"operations": sorted(operations)}


steps = Steps(args.keep_going)
steps.run("generate", generate)

from audit import AuthenticatedClient, Client  # noqa: E402
from audit import models  # noqa: E402
from audit.types import UNSET  # noqa: E402

officer = AuthenticatedClient(base_url=args.api, token=os.environ["MUNIMENT_TOKEN"], raise_on_unexpected_status=True)


def call(tag, operation, *path, client=officer, wanted=200, **parameters):
    """Calls one generated operation; what it gives back is of the generated type."""
    module = importlib.import_module(f"audit.api.{tag}.{operation}")
    answer = module.sync_detailed(*path, client=client, **parameters)
    if answer.status_code != wanted:
        raise RuntimeError(f"{operation}: {answer.status_code} {answer.content[:1000]!r}")
    return answer


def paged(tag, operation, many, **parameters):
    """Every item of a list, page by page."""
    after, found = UNSET, []
    while after is not None:
        page = call(tag, operation, after=after, **parameters).parsed
        found += getattr(page, many)
        after = page.next_ or None
    return found


def pages():
    found = paged("records", "v1_records", "records", limit=7, order=models.Order.OLDEST)
    assert all(isinstance(record, models.FoundRecord) and isinstance(record.id, uuid.UUID) for record in found)
    assert [record.index for record in found] == sorted(record.index for record in found)
    return {"records": [record.to_dict() for record in found]}


def found():
    return call("records", "v1_records", text=args.text, muniment_purpose=WHY).parsed.records


def search():
    kinds = call("records", "v1_records_facets", text=args.text, muniment_purpose=WHY).parsed
    return {"records": [str(record.id) for record in found()], "total": kinds.total}


def whole():
    return call("records", "v1_records_by_id", found()[0].id, proof=1, muniment_purpose=WHY).parsed


def record():
    kept = whole()
    assert isinstance(kept, models.Record) and isinstance(kept.outcome, models.OutcomeSummary)
    assert abs((kept.at - kept.captured_at).total_seconds()) < 60, "times are times"
    return {"record": kept.to_dict()}


def fields():
    """Every field's bytes, checked against what the entry commits to."""
    kept, checked = whole(), {}
    for entry in kept.entries:
        for field in entry.fields:
            answer = call(
                "records", "v1_records_by_id_fields_by_index_by_name", kept.id, entry.index, field.name, muniment_purpose=WHY,
            )
            value = answer.parsed.payload.read()
            salted = hashlib.sha256(bytes.fromhex(answer.headers["muniment-salt"]) + value).digest()
            assert base64.urlsafe_b64encode(salted).rstrip(b"=").decode() == field.commitment, field
            checked[field.name] = value.decode(errors="replace")
    return {"fields": checked}


def thread():
    said = call("records", "v1_records_by_id_thread", found()[0].id, muniment_purpose=WHY).parsed
    return {"texts": [part.text for there in said.thread for part in there.communications]}


def versions():
    told = call("records", "v1_records_by_id_versions", found()[0].id, muniment_purpose=WHY).parsed
    return {"versions": [[version.how.value, version.communication.text] for version in told.versions]}


def proofs():
    kept = whole()
    call("ledger", "v1_checkpoints_wait", index=kept.index)
    inclusion = call("ledger", "v1_proofs_inclusion", index=kept.index)
    entry = call("ledger", "v1_entries_by_index", kept.index)
    leaf = hashlib.sha256(b"\0" + entry.content).hexdigest()
    assert leaf == inclusion.headers["muniment-leaf"] == entry.headers["muniment-leaf"]
    size = call("ledger", "v1_checkpoints", limit=1).parsed.checkpoints[0].size
    assert call("ledger", "v1_checkpoints_latest").parsed.splitlines()[1].isdigit(), "a note, as text"
    consistency = call("ledger", "v1_proofs_consistency", old=kept.index + 1, new=size).parsed
    return {"index": kept.index, "leaf": leaf, "inclusion": inclusion.parsed, "consistency": consistency.to_dict()}


def people():
    advisors = paged("people", "v1_advisors", "advisors", limit=1)
    detail = call("people", "v1_advisors_by_id", advisors[0].id).parsed
    assert isinstance(detail, models.AdvisorDetail)
    return {
        "advisors": [advisor.to_dict() for advisor in advisors],
        "devices": [device.to_dict() for device in paged("people", "v1_devices", "devices")],
        "accounts": [account.to_dict() for account in paged("people", "v1_accounts", "accounts")],
        "officers": [officer.to_dict() for officer in paged("people", "v1_officers", "officers")],
    }


def looks():
    at_it = paged("access", "v1_access", "looks", record=found()[0].id, limit=3)
    return {"looks": [[look.operation, look.allowed, look.purpose] for look in at_it]}


def checkpoints():
    kept = paged("ledger", "v1_checkpoints", "checkpoints", limit=2)
    return {"sizes": [checkpoint.size for checkpoint in kept], "notes": [checkpoint.note for checkpoint in kept]}


def events():
    """The stream is text to the generator; what each event holds is one of its types."""
    kinds = {
        "record": models.EventRecord, "outcome": models.EventOutcome, "attribution": models.EventAttribution,
        "gap": models.EventGap, "alarm": models.EventAlarm,
    }
    text, told = call("live", "v1_events", after=0, wait=False).parsed, []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "data" in lines:
            event = kinds[lines["event"]].from_dict(json.loads(lines["data"]))
            assert event.event.value == lines["event"] and not event.additional_properties, lines
            told.append([lines["event"], event.index])
    return {"events": told}


def export():
    lines = call("records", "v1_records_export", muniment_purpose=WHY).parsed.splitlines()
    return {"lines": len(lines), "end": json.loads(lines[-1])}


def system():
    """What describes the system, in the generated types; and everything that lists what is missing."""
    inventory = call("system", "v1_system").parsed
    assert isinstance(inventory, models.System) and isinstance(inventory.sources[0], models.SourceSeen)
    integrity = call("integrity", "v1_integrity").parsed
    paged("system", "v1_settings", "settings")
    paged("integrity", "v1_verifications", "verifications")
    paged("integrity", "v1_gaps", "gaps")
    paged("integrity", "v1_coverage", "coverage")
    assert call("service", "ready").parsed.status == "ready"
    assert call("service", "metrics").parsed.endswith("# EOF\n")
    return {"version": inventory.components.muniment, "integrity": integrity.to_dict()}


def refusals():
    """Refusals are problems, typed."""
    stranger = Client(base_url=args.api)
    refused = [
        call("records", "v1_records", wanted=400, text="without a purpose"),
        call("records", "v1_records_by_id", uuid.UUID(int=7), wanted=404, muniment_purpose=WHY),
        call("records", "v1_records", client=stranger, wanted=401),
    ]
    assert all(isinstance(answer.parsed, models.Problem) for answer in refused)
    return {"types": [answer.parsed.type_ for answer in refused]}


for name in filter(None, args.steps.split(",")):
    if name not in ALL.split(","):
        sys.exit(f"no such step: {name}")
    steps.run(name, globals()[name])
steps.end()
