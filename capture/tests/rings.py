"""Does through io_uring what programs do by calls, and tells the results.

usage: rings.py FOLDER   prints a line for each operation: the call that does the same, its result, its name
"""
import ctypes, mmap, os, socket, struct, sys

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args):
    return libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])


os.chdir(sys.argv[1])
params = ctypes.create_string_buffer(120)
ring = call(425, 8, params)
if ring < 0:
    sys.exit(f"no io_uring: {os.strerror(ctypes.get_errno())}")
word = lambda at: struct.unpack_from("I", params, at)[0]
entries, completions = word(0), word(4)
submit = mmap.mmap(ring, word(64) + entries * 4, offset=0)
queue = mmap.mmap(ring, entries * 64, offset=0x10000000)
results = mmap.mmap(ring, word(100) + completions * 16, offset=0x8000000)
get = lambda where, at: struct.unpack_from("I", where, at)[0]


def operate(opcode, fd=-1, addr=0, off=0, length=0, flags=0, entry_flags=0, place=0):
    tail = get(submit, word(44))
    at = tail & get(submit, word(48))
    struct.pack_into("BBHiQQIIQHHI16x", queue, at * 64, opcode, entry_flags, 0, fd, off, addr, length, flags, 7, 0, 0, place)
    struct.pack_into("I", submit, word(64) + at * 4, at)
    struct.pack_into("I", submit, word(44), tail + 1)
    assert call(426, ring, 1, 1, 1, 0, 0) == 1, os.strerror(ctypes.get_errno())
    head = get(results, word(80))
    found = struct.unpack_from("Qi", results, word(100) + (head & get(results, word(88))) * 16)[1]
    struct.pack_into("I", results, word(80), head + 1)
    return found


kept = []


def at(data):
    kept.append(ctypes.create_string_buffer(data))
    return ctypes.addressof(kept[-1])


def tell(call, result, name="-"):
    print(call, result, name, flush=True)
    return result


made = tell("openat", operate(18, -100, at(b"by-ring"), 0, 0o640, os.O_CREAT | os.O_RDWR), "by-ring")
tell("write", operate(23, made, at(b"through the ring"), 0, 16), "through-the-ring")
room = at(b"x" * 64)
tell("read", operate(22, made, room, 0, 64), "through-the-ring")
tell("close", operate(19, made))
tell("openat", operate(18, -100, at(b"missing/there"), 0, 0, 0), "missing/there")
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(1)
client = socket.socket()
address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", server.getsockname()[1]) + bytes([127, 0, 0, 1]) + bytes(8)
tell("connect", operate(16, client.fileno(), at(address), 16), f"127.0.0.1:{server.getsockname()[1]}")
tell("sendto", operate(26, client.fileno(), at(b"over the ring"), 0, 13), "over-the-ring")
tell("renameat2", operate(35, -100, at(b"by-ring"), at(b"renamed"), ctypes.c_uint32(-100).value), "by-ring")
tell("unlinkat", operate(36, -100, at(b"renamed")), "renamed")
