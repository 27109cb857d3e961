"""Works through io_uring on files that are registered with the ring, and on some that have no descriptor at all.

usage: registered.py FOLDER   first all that rings.py does; then prints a line for each operation: "registered", the call,
the descriptor by which the recorder is to tell of the file, the result
"""
from rings import *

FIXED = 1  # the entry's descriptor is a place in the ring's table
PLACES = 1 << 30  # from here on the recorder counts places that have no descriptor


def tell_file(call, fd, result):
    print("registered", call, fd, result, flush=True)


known = os.open("registered", os.O_CREAT | os.O_RDWR, 0o600)
os.write(known, b"four")
if call(427, ring, 2, (ctypes.c_int * 4)(known, -1, -1, -1), 4):
    sys.exit(f"no registration: {os.strerror(ctypes.get_errno())}")
tell_file("write", known, operate(23, 0, at(b"by place"), 0, 8, entry_flags=FIXED))
opened = operate(18, -100, at(b"registered"), 0, 0, os.O_RDONLY, place=3)
if opened == 0:
    tell_file("openat", PLACES + 2, PLACES + 2)
    tell_file("read", PLACES + 2, operate(22, 2, room, 0, 64, entry_flags=FIXED))
    tell_file("close", PLACES + 2, operate(19, 0, place=3))
os.close(known)
# Nobody has a descriptor of it any more.
tell_file("read", PLACES, operate(22, 0, room, 0, 4, entry_flags=FIXED))
