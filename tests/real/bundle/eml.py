"""Opens each mail of an unpacked bundle with Python's mail library; prints one JSON line for each."""

import email
import email.policy
import hashlib
import json
import pathlib
import sys

for path in sorted(pathlib.Path(sys.argv[1], "data/eml").iterdir()):
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    sender = mail["From"].addresses[0]
    parts = list(mail.walk())
    print(json.dumps({
        "record": mail["X-Muniment-Record"],
        "from_name": sender.display_name,
        "from_address": sender.addr_spec,
        "to": [to.addr_spec for to in mail["To"].addresses] if mail["To"] else [],
        "bcc": mail["Bcc"],
        "date": mail["Date"].datetime.isoformat(),
        "text": mail.get_body().get_content(),
        "attachments": [
            {
                "name": part.get_filename(),
                "type": part.get_content_type(),
                "sha256": hashlib.sha256(part.get_content()).hexdigest(),
            }
            for part in mail.iter_attachments()
        ],
        "defects": [type(d).__name__ for part in parts for d in part.defects]
        + [f"{name}: {type(d).__name__}" for name, value in mail.items() for d in getattr(value, "defects", ())],
    }))
