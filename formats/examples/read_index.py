#!/usr/bin/env python3
"""Reads frame records, index, seal and seek table of a .scap.zst with the standard library only (formats/FORMAT.md).

BLAKE3 is not in the standard library, so the checks are not tested here: `casebook verify` does that."""
import struct, sys

def zstd_frame_length(data, at):
    descriptor = data[at + 4]
    single = descriptor >> 5 & 1
    end = at + 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[descriptor >> 6]
    header = 0
    while not header & 1:  # blocks, up to the last one
        header = int.from_bytes(data[end:end + 3], "little")
        end += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
    return end + (4 if descriptor & 4 else 0) - at

class Body:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self):
        first = self.take(1)[0]
        return first if first < 251 else int.from_bytes(self.take({251: 2, 252: 4, 253: 8}[first]), "little")

    def types(self):
        return [8 * i + bit for i, byte in enumerate(self.take(self.number())) for bit in range(8) if byte >> bit & 1]

def main(path):
    data = open(path, "rb").read()
    at, entries, index, seal = 0, 0, None, None
    while at + 8 <= len(data):
        magic, size = struct.unpack_from("<II", data, at)
        if magic == 0xFD2FB528:
            at += zstd_frame_length(data, at)
            continue
        payload = data[at + 8:at + 8 + size]
        at += 8 + size
        if magic == 0x184D2A5E:
            entries = struct.unpack_from("<I", payload, size - 9)[0]
        elif payload[:4] == b"CSBK" and payload[5] == 1:
            kind, body = chr(payload[4]), Body(payload[6:-32])
            if kind == "R":
                number, raw_offset, raw, packed, events, delivered, before = (body.number() for _ in range(7))
                body.take(1)  # which rules counted them
                first, last = body.number(), body.number()
                body.take(2)  # flags
                print(f"frame {number}: {raw} bytes at {raw_offset}, {packed} compressed, {events} events, "
                      f"numbered {before + 1} to {before + delivered}, {first} to {last}, types {','.join(map(str, body.types()))}")
            elif kind == "I":
                index = int.from_bytes(body.take(8), "little")
            elif kind == "S":
                seal = [body.number() for _ in range(6)]
    print(f"index: {index} frames; seek table: {entries} entries; seal: {seal[3] if seal else None} events")

main(sys.argv[1])
