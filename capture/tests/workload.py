"""Makes the system calls that the recorder decodes, each at least once; some fail, as some always do.

usage: workload.py FOLDER   (everything it makes lies in there)
"""
import ctypes, fcntl, os, resource, socket, stat, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def sc(n, *a):
    a = [ctypes.c_long(x) if isinstance(x, int) else x for x in a]
    return libc.syscall(ctypes.c_long(n), *a)
d = sys.argv[1]
os.mkdir(d + "/sub", 0o750)
os.chdir(d)
f = os.open("plain", os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o640)
os.write(f, b"hello world\n"); os.pwrite(f, b"HE", 0); os.lseek(f, 0, 0); os.read(f, 100); os.pread(f, 5, 6)
os.writev(f, [b"ab", b"cdef"]); os.lseek(f, 0, 0); os.readv(f, [bytearray(3), bytearray(4)])
try: os.open("missing/file", os.O_RDONLY)
except OSError: pass
try: os.open("plain", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
except OSError: pass
sc(2, b"legacy", os.O_CREAT | os.O_WRONLY, 0o600)       # open
sc(85, b"made", 0o644)                                  # creat
how = struct.pack("QQQ", os.O_RDONLY, 0, 0)
sc(437, -100, b"plain", how, 24)                        # openat2
os.rename("made", "made2"); sc(264, -100, b"made2", -100, b"made3"); sc(316, -100, b"made3", -100, b"made4", 1)
sc(82, b"made4", b"made5"); sc(83, b"dir1", 0o700); sc(84, b"dir1"); sc(86, b"plain", b"hard"); sc(88, b"plain", b"soft"); sc(87, b"hard")
os.link("plain", "hard2"); os.symlink("plain", "soft2"); os.unlink("hard2"); sc(258, -100, b"dir2", 0o711); sc(263, -100, b"dir2", 0x200)
sc(90, b"plain", 0o604); os.fchmod(f, 0o600); sc(268, -100, b"plain", 0o606)
sc(92, b"plain", 0, 0); sc(94, b"soft", 0, 0); os.fchown(f, 0, 0); sc(260, -100, b"plain", 0, 0, 0x100)
sc(133, b"fifo", stat.S_IFIFO | 0o600, 0); sc(259, -100, b"fifo2", stat.S_IFIFO | 0o600, 0)
g = sc(32, f); sc(292, f, 53, 0o2000000); buf = ctypes.create_string_buffer(256)
sc(4, b"plain", buf); sc(6, b"soft", buf); sc(5, f, buf); sc(262, -100, b"plain", buf, 0); sc(21, b"plain", 4); sc(79, buf, 256); sc(73, f, 2)
sc(265, -100, b"plain", -100, b"hard3", 0); sc(266, b"plain", -100, b"soft3"); sc(293, (ctypes.c_int * 2)(), 0o4000); sc(288, 999, 0, 0, 0)
sc(326, f, 0, f, 0, 0, 0); sc(40, f, f, 0, 1); sc(275, f, 0, f, 0, 1, 0); sc(35, struct.pack("QQ", 0, 1000), 0); sc(7, struct.pack("ihh", f, 1, 0), 1, 0)
sc(302, 0, 7, 0, ctypes.create_string_buffer(16)); sc(118, buf, buf, buf); sc(104); sc(108); sc(102); sc(107); sc(16, f, 0x5401, buf)
os.dup2(f, 50); sc(33, f, 51); os.dup2(f, 52, inheritable=False); fcntl.fcntl(f, fcntl.F_DUPFD, 60); fcntl.fcntl(f, fcntl.F_GETFL)
os.close(g); sc(436, 50, 52, 0)
r, w = os.pipe(); pp = (ctypes.c_int * 2)(); sc(22, pp); os.write(w, b"x"); os.read(r, 1)
e = sc(284, 3); e2 = os.eventfd(5); sc(213, 10); sc(291, 0o2000000); sc(253); sc(294, 0); sc(283, 1, 0)
mask = struct.pack("Q", 1 << 9); sc(282, -1, mask, 8); sc(289, -1, mask, 8, 0o2000000)
m = os.memfd_create("secret", 1); sc(434, os.getpid(), 0)
pf = sc(434, os.getpid(), 0); sc(438, pf, f, 0)
sc(323, 1); sc(321, 0, 0, 0); sc(425, 4, ctypes.create_string_buffer(120))
a, b = socket.socketpair(); a.send(b"over"); b.recv(10)
srv = socket.socket(socket.AF_INET); srv.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); srv.bind(("127.0.0.1", 0)); srv.listen(5)
port = srv.getsockname()[1]
c = socket.socket(socket.AF_INET); c.connect(("127.0.0.1", port)); s, peer = srv.accept()
c.sendall(b"request"); s.recv(100); s.sendmsg([b"re", b"ply"]); c.recvmsg(100)
c2 = socket.socket(socket.AF_INET); c2.connect(("127.0.0.1", port)); sc(43, srv.fileno(), 0, 0)
c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR); c.shutdown(socket.SHUT_RDWR)
bad = socket.socket(socket.AF_INET)
try: bad.connect(("127.0.0.1", 1))
except OSError: pass
u1 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u1.bind(("127.0.0.1", 0)); u2 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u2.sendto(b"datagram", u1.getsockname()); u1.recvfrom(100)
v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); v6.bind(("::1", 0)); u6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u6.sendto(b"six", v6.getsockname()[:2])
us = socket.socket(socket.AF_UNIX); us.bind("sock"); us.listen(1); uc = socket.socket(socket.AF_UNIX); uc.connect("sock"); us.accept()
os.kill(os.getpid(), 0); sc(200, os.getpid(), 0); sc(234, os.getpid(), os.getpid(), 0)
sc(157, 15, b"renamed", 0, 0, 0); sc(157, 38, 1, 0, 0, 0)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.getrlimit(resource.RLIMIT_CORE); sc(160, 4, struct.pack("QQ", 0, 0)); sc(97, 4, ctypes.create_string_buffer(16))
fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY); os.fchdir(fd)
sc(126, struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", 0xffffffff, 0xffffffff, 0, 0x1ff, 0x1ff, 0)) 
sc(165, b"none", b"/nonexistent", b"tmpfs", 6, 0); sc(166, b"/nonexistent", 2)
sc(175, b"\x7fELFx", 5, b"args"); sc(313, f, b"", 0); sc(176, b"nomod", 0o4000)
sc(101, 16, os.getpid(), 0, 0)
sc(308, f, 0x40000000); sc(272, 0x400)
sc(310, os.getpid(), 0, 0, 0, 0, 0)
sc(161, b"/nonexistent")
pid = os.fork()
if pid == 0:
    sc(112); sc(109, 0, 0)
    sc(119, 1000, 1000, 1000); sc(117, 1000, 1000, 1000)
    sc(105, 1000); sc(106, 1000); sc(113, 1000, 1000); sc(114, 1000, 1000)
    try: os.execv("/nonexistent/program", ["program", "--with", "arguments"])
    except OSError: pass
    os.execve("/bin/sh", ["sh", "-c", "exit 7"], {"MARK": "here"})
os.waitpid(pid, 0)
t = threading.Thread(target=lambda: os.getppid()); t.start(); t.join()
p2 = os.fork()
if p2 == 0:
    ex = os.open("/bin/true", os.O_RDONLY)
    argv = (ctypes.c_char_p * 2)(b"tr", None); sc(322, ex, b"", argv, ctypes.c_void_p(0), 0x1000)
    os._exit(1)
os.waitpid(p2, 0)
dg = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); dg.connect(u1.getsockname())
words = [ctypes.create_string_buffer(t, len(t)) for t in (b"first", b"second one", b"third")]
iov = b"".join(struct.pack("QQ", ctypes.addressof(t), len(t)) for t in words); iovs = ctypes.create_string_buffer(iov, len(iov))
head = lambda n: struct.pack("QIxxxxQQQQixxxx", 0, 0, ctypes.addressof(iovs) + 16 * n, 1, 0, 0, 0) + struct.pack("Ixxxx", 0)
heads = ctypes.create_string_buffer(b"".join(head(n) for n in range(3)), 192)
sc(307, dg.fileno(), heads, 3, 0)                       # sendmmsg
rooms = [ctypes.create_string_buffer(32) for _ in range(3)]
iov = b"".join(struct.pack("QQ", ctypes.addressof(t), 32) for t in rooms); iovs2 = ctypes.create_string_buffer(iov, len(iov))
head2 = lambda n: struct.pack("QIxxxxQQQQixxxx", 0, 0, ctypes.addressof(iovs2) + 16 * n, 1, 0, 0, 0) + struct.pack("Ixxxx", 0)
heads2 = ctypes.create_string_buffer(b"".join(head2(n) for n in range(3)), 192)
sc(299, u1.fileno(), heads2, 3, 0, 0)                   # recvmmsg
p3 = os.fork()
if p3 == 0:
    argv = (ctypes.c_char_p * 2)(b"tr", None); sc(322, -100, b"/bin/true", argv, ctypes.c_void_p(0), 0)
    os._exit(1)
os.waitpid(p3, 0)
