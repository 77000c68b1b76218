"""Validates an unpacked bundle with BagIt's own library; prints one JSON line."""

import json
import logging
import sys

import bagit

logging.disable(logging.CRITICAL)
try:
    bag = bagit.Bag(sys.argv[1])
    bag.validate()
    print(json.dumps({"valid": True, "version": bag.version, "files": len(bag.entries), "info": bag.info}))
except bagit.BagError as error:
    print(json.dumps({"valid": False, "error": type(error).__name__}))
