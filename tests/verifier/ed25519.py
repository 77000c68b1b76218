"""Ed25519 verification (RFC 8032 section 5.1.7) without the cofactor, as FORMAT.md section 6 asks.

Only public values pass through here, so nothing needs to take constant time.
"""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

# Points are (X, Y, Z, T): x = X/Z, y = Y/Z, x*y = T/Z.
NEUTRAL = (0, 1, 1, 0)


def add(one, other):
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * D * one[3] * other[3] % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def double(point):
    x, y, z, _ = point
    a, b = x * x % P, y * y % P
    h = a + b
    e = h - (x + y) * (x + y) % P
    g = a - b
    f = 2 * z * z % P + g
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def negate(point):
    x, y, z, t = point
    return (-x % P, y, z, -t % P)


def equal(one, other):
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


def decode(data):
    """RFC 8032 section 5.1.3: the point these 32 bytes encode, or None. `y` not below P and `-0` are no encodings."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if len(data) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P != 0:
        if (v * x * x + u) % P != 0:
            return None
        x = x * ROOT_OF_MINUS_ONE % P
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def has_small_order(point):
    return equal(double(double(double(point))), NEUTRAL)


def public_key(data):
    """The point of a public key, or None where it is no point or of small order."""
    point = decode(data)
    return None if point is None or has_small_order(point) else point


def verify(public, message, signature):
    """Whether `[S]B = R + [k]A`, with `S` below the order and neither `A` nor `R` of small order."""
    key, r = public_key(public), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or key is None or r is None or has_small_order(r) or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    minus_key = negate(key)
    table = (None, BASE, minus_key, add(BASE, minus_key))
    sum_ = NEUTRAL
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        sum_ = double(sum_)
        term = table[(s >> bit & 1) | (k >> bit & 1) << 1]
        if term is not None:
            sum_ = add(sum_, term)
    return equal(sum_, r)
