"""Record keys, sealing and wrapping (FORMAT.md sections 9 to 11), for those who hold a key.

No check of a dump or a disclosure needs this: it is what `vectors.py` holds the written-down samples against. AES and
GCM (FIPS 197, NIST SP 800-38D) are here so that this too takes nothing but Python. They are slow, and they do not hide
keys from anybody who can measure their time: not for production.
"""

import hmac
import uuid

CHUNK = 1_048_576
TAG = 16

# --- AES-256 ---------------------------------------------------------------------------------------------------------


def _times_two(byte):
    return byte << 1 ^ (0x11B if byte & 0x80 else 0)


def _s_box():
    exp, log, value = [], {}, 1
    for power in range(255):
        exp.append(value)
        log[value] = power
        value ^= _times_two(value)  # 3 generates the field
    box = []
    for byte in range(256):
        inverse = exp[-log[byte] % 255] if byte else 0
        spread = inverse * 0x101  # so that the shifts below are rotations
        box.append((inverse ^ spread >> 4 ^ spread >> 5 ^ spread >> 6 ^ spread >> 7 ^ 0x63) & 0xFF)
    return box


S_BOX = _s_box()
# One column of a round for the first byte of a word; the others are rotations of it.
_ROUND = [[], [], [], []]
for _byte in S_BOX:
    _two = _times_two(_byte)
    _column = _two << 24 | _byte << 16 | _byte << 8 | _two ^ _byte
    for _table in _ROUND:
        _table.append(_column)
        _column = _column >> 8 | (_column & 0xFF) << 24


def _substitute(word):
    return S_BOX[word >> 24] << 24 | S_BOX[word >> 16 & 255] << 16 | S_BOX[word >> 8 & 255] << 8 | S_BOX[word & 255]


def _round_keys(key):
    words = [int.from_bytes(key[i : i + 4], "big") for i in range(0, 32, 4)]
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = _substitute((word << 8 | word >> 24) & 0xFFFFFFFF) ^ constant << 24
            constant = _times_two(constant)
        elif i % 8 == 4:
            word = _substitute(word)
        words.append(words[-8] ^ word)
    return [tuple(words[i : i + 4]) for i in range(0, 60, 4)]


def _encrypt_block(keys, block):
    """One block, as a number, under the round keys."""
    t0, t1, t2, t3 = _ROUND
    first = keys[0]
    a, b, c, d = (block >> shift & 0xFFFFFFFF ^ word for shift, word in zip((96, 64, 32, 0), first))
    for w, x, y, z in keys[1:-1]:
        a, b, c, d = (
            t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ w,
            t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ x,
            t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ y,
            t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ z,
        )
    out = 0
    for word, (p, q, r, s) in zip(keys[-1], ((a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c))):
        mixed = S_BOX[p >> 24] << 24 | S_BOX[q >> 16 & 255] << 16 | S_BOX[r >> 8 & 255] << 8 | S_BOX[s & 255]
        out = out << 32 | mixed ^ word
    return out


# --- GCM -------------------------------------------------------------------------------------------------------------


def _ghash_tables(h):
    """For each of the 16 bytes of a block, that byte's product with `h`."""
    powers = []  # h times x^i: in GCM the top bit of a block is x^0
    for _ in range(128):
        powers.append(h)
        h = h >> 1 ^ (0xE1 << 120 if h & 1 else 0)
    tables = []
    for place in range(16):
        table = [0] * 256
        for bit in range(8):
            for low in range(1 << bit):
                table[1 << bit | low] = table[low] ^ powers[8 * place + 7 - bit]
        tables.append(table)
    return tables


def gcm_seal(key, nonce, data, associated):
    """AES-256-GCM with a nonce of 12 bytes: the ciphertext and its tag."""
    keys = _round_keys(key)
    start = int.from_bytes(nonce, "big") << 32
    stream = b"".join(
        _encrypt_block(keys, start | 2 + i).to_bytes(16, "big") for i in range((len(data) + 15) // 16)
    )[: len(data)]
    sealed = (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
    tables = _ghash_tables(_encrypt_block(keys, 0))
    sizes = (8 * len(associated)).to_bytes(8, "big") + (8 * len(sealed)).to_bytes(8, "big")
    hash_ = 0
    for part in (associated, sealed, sizes):
        for at in range(0, len(part), 16):
            hash_ ^= int.from_bytes(part[at : at + 16].ljust(16, b"\0"), "big")
            product = 0
            for table, byte in zip(tables, hash_.to_bytes(16, "big")):
                product ^= table[byte]
            hash_ = product
    return sealed + (hash_ ^ _encrypt_block(keys, start | 1)).to_bytes(16, "big")


# --- sections 9 to 11 ------------------------------------------------------------------------------------------------


def derive(key, info):
    """Section 9: HKDF-SHA-256 with a salt of 32 zero bytes and 32 bytes of output."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def id_bytes(text):
    return uuid.UUID(text).bytes


def field_salt(record_key, entry_id, field):
    return derive(record_key, b"salt" + id_bytes(entry_id) + field.encode())


def sealing_key(record_key, entry_id, field):
    return derive(record_key, b"key" + id_bytes(entry_id) + field.encode())


def master_key_name(master_key):
    return derive(master_key, b"id")[:8]


def seal(record_key, entry_id, field, value):
    """Section 10: all chunks in order, each followed by its tag."""
    key = sealing_key(record_key, entry_id, field)
    associated = id_bytes(entry_id) + field.encode()
    starts = range(0, len(value), CHUNK) or range(1)
    return b"".join(
        gcm_seal(
            key,
            bytes(7) + i.to_bytes(4, "big") + (b"\x01" if i == len(starts) - 1 else b"\x00"),
            value[start : start + CHUNK],
            associated,
        )
        for i, start in enumerate(starts)
    )


def wrap(master_key, record, record_key, nonce):
    """Section 11: the 69 bytes that are kept of a record key."""
    key = derive(master_key, b"wrap" + id_bytes(record))
    return b"\x01" + master_key_name(master_key) + nonce + gcm_seal(key, nonce, record_key, id_bytes(record))
