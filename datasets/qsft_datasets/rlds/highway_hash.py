"""HighwayHash (64 bit) with the key of Riegeli files, in plain Python.

No package of the index has it. 32 bytes are mixed at a time, each depending on the last, so NumPy cannot help; the byte
shuffle of the "zipper merge" runs in C through `bytes.translate`. About 6 MB/s: slower than reading, so it bounds the
speed of array_record files, and finds every flipped bit in them.
"""

from __future__ import annotations

import struct

PACKET_BYTES = 32
_LOW, _ALL = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
_LANES = struct.Struct("<4Q")
_KEY = _LANES.unpack(b"Riegeli/records\nRiegeli/records\n")
_MULTIPLIERS = (
    (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3),
    (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377),
)
# Which of 16 bytes of a pair of lanes stands where after a zipper merge; the second pair likewise.
_PAIR = (3, 12, 2, 5, 14, 1, 15, 0, 11, 4, 10, 13, 9, 6, 8, 7)
_ZIPPER = bytes((*_PAIR, *(place + 16 for place in _PAIR)))
_PADDING = bytes(256 - PACKET_BYTES)

Lanes = tuple[int, int, int, int]
State = tuple[Lanes, Lanes, Lanes, Lanes]


def highway_hash(content: bytes) -> int:
    """Return the hash that Riegeli stores of its headers and chunks."""
    whole = len(content) - len(content) % PACKET_BYTES
    state = _update(_initial_state(), content[:whole])
    if len(content) > whole:
        state = _update_remainder(state, content[whole:])
    for _ in range(4):
        v0 = state[0]
        turned = (_turned(v0[2]), _turned(v0[3]), _turned(v0[0]), _turned(v0[1]))
        state = _update(state, _LANES.pack(*turned))
    return sum(lanes[0] for lanes in state) & _ALL


def _initial_state() -> State:
    mul0, mul1 = _MULTIPLIERS
    v0 = tuple(m ^ k for m, k in zip(mul0, _KEY, strict=True))
    v1 = tuple(m ^ _turned(k) for m, k in zip(mul1, _KEY, strict=True))
    return v0, v1, mul0, mul1  # pyright: ignore[reportReturnType]  the lengths of the tuples are known to be 4


def _turned(lane: int) -> int:
    return (lane >> 32) | (lane << 32 & _ALL)


def _update(state: State, packets: bytes) -> State:
    """Mix whole packets in. Written out per lane: this loop is the whole cost."""
    (a0, a1, a2, a3), (b0, b1, b2, b3), (m0, m1, m2, m3), (n0, n1, n2, n3) = state
    pack, unpack, zipper, padding, low, full = _LANES.pack, _LANES.unpack, _ZIPPER, _PADDING, _LOW, _ALL
    for p0, p1, p2, p3 in _LANES.iter_unpack(packets):
        b0 = b0 + m0 + p0 & full
        b1 = b1 + m1 + p1 & full
        b2 = b2 + m2 + p2 & full
        b3 = b3 + m3 + p3 & full
        m0 ^= (b0 & low) * (a0 >> 32)
        m1 ^= (b1 & low) * (a1 >> 32)
        m2 ^= (b2 & low) * (a2 >> 32)
        m3 ^= (b3 & low) * (a3 >> 32)
        a0 = a0 + n0 & full
        a1 = a1 + n1 & full
        a2 = a2 + n2 & full
        a3 = a3 + n3 & full
        n0 ^= (a0 & low) * (b0 >> 32)
        n1 ^= (a1 & low) * (b1 >> 32)
        n2 ^= (a2 & low) * (b2 >> 32)
        n3 ^= (a3 & low) * (b3 >> 32)
        z0, z1, z2, z3 = unpack(zipper.translate(pack(b0, b1, b2, b3) + padding))
        a0 = a0 + z0 & full
        a1 = a1 + z1 & full
        a2 = a2 + z2 & full
        a3 = a3 + z3 & full
        z0, z1, z2, z3 = unpack(zipper.translate(pack(a0, a1, a2, a3) + padding))
        b0 = b0 + z0 & full
        b1 = b1 + z1 & full
        b2 = b2 + z2 & full
        b3 = b3 + z3 & full
    return (a0, a1, a2, a3), (b0, b1, b2, b3), (m0, m1, m2, m3), (n0, n1, n2, n3)


def _update_remainder(state: State, rest: bytes) -> State:
    """Mix the last 1 to 31 bytes in, with their number."""
    size = len(rest)
    a0, a1, a2, a3 = ((lane + (size << 32) + size) & _ALL for lane in state[0])
    b0, b1, b2, b3 = (_halves_turned(lane, size) for lane in state[1])
    whole, odd = size & ~3, size & 3
    packet = bytearray(PACKET_BYTES)
    packet[:whole] = rest[:whole]
    if size & 16:
        packet[28:32] = rest[size - 4 :]
    elif odd:
        packet[16:19] = bytes((rest[whole], rest[whole + (odd >> 1)], rest[size - 1]))
    return _update(((a0, a1, a2, a3), (b0, b1, b2, b3), state[2], state[3]), bytes(packet))


def _halves_turned(lane: int, count: int) -> int:
    high, low = lane >> 32, lane & _LOW
    return (high << count | high >> (32 - count)) << 32 & _ALL | ((low << count | low >> (32 - count)) & _LOW)
