/* 32-bit calls from a 64-bit program (int 0x80): a way around recorders that take their numbers for 64-bit ones. */
static char path[] = "/etc/hostname";
static char buffer[64];
static unsigned int socket_args[3] = { 2, 1, 0 };
static unsigned int connect_args[3];
static struct {
	unsigned short family, port;
	unsigned int address;
	char zero[8];
} address = { 2, 0x0100, 0x0100007f };

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

void _start(void)
{
	long fd = call(5, (long)path, 0x80000, 0); /* open */

	call(3, fd, (long)buffer, sizeof(buffer)); /* read */
	connect_args[0] = call(102, 1, (long)socket_args, 0); /* socketcall: socket */
	connect_args[1] = (unsigned int)(long)&address;
	connect_args[2] = sizeof(address);
	call(102, 3, (long)connect_args, 0); /* socketcall: connect */
	call(213, 1000, 0, 0); /* setuid32 */
	call(1, 3, 0, 0); /* exit */
}
