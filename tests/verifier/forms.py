"""The small forms that everything else is written in (FORMAT.md sections 1 and 8).

A form either matches in its one canonical spelling or it does not: nothing here repairs anything.
"""

import base64
import binascii
import hashlib
import re

COUNT_MAX = 2**53 - 1
SIZE_MAX = 2**64 - 1

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID_V7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_FIELD_NAME = re.compile(r"[a-z0-9_.-]{1,64}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_TIME = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _is(pattern, value):
    return type(value) is str and pattern.fullmatch(value) is not None


def is_uuid(value):
    return _is(_UUID, value)


def is_uuid_v7(value):
    return _is(_UUID_V7, value)


def is_digest(value):
    return _is(_DIGEST, value)


def is_word(value):
    return _is(_WORD, value)


def is_field_name(value):
    return _is(_FIELD_NAME, value)


def is_bool(value):
    return type(value) is bool


def is_count(value):
    return type(value) is int and 0 <= value <= COUNT_MAX


def is_time(value):
    """27 characters and a day of the (proleptic) Gregorian calendar; there is no leap second."""
    match = _TIME.fullmatch(value) if type(value) is str else None
    if match is None:
        return False
    year, month, day = (int(part) for part in match.groups()[:3])
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return day <= _DAYS[month - 1] + leap


def decimal(text, most=SIZE_MAX):
    """The number a decimal spells, or None: ASCII digits, no sign, no leading zeros."""
    if not _is(_DECIMAL, text):
        return None
    number = int(text)
    return number if number <= most else None


def base64_bytes(text):
    """RFC 4648 section 4, padded, in its one canonical spelling; otherwise None."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def base64url_bytes(text):
    """RFC 4648 section 5, without padding, in its one canonical spelling; otherwise None."""
    if type(text) is not str or not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return data if base64url(data) == text else None


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def is_commitment(value):
    """Section 8: 43 characters of base64url, which are 32 bytes."""
    data = base64url_bytes(value) if type(value) is str and len(value) == 43 else None
    return data is not None and len(data) == 32


def commitment(salt, value):
    """Section 8: what an entry holds instead of a field's value."""
    return base64url(hashlib.sha256(salt + value).digest())
