/**
 * The C library of Linux (glibc or musl), by FFI.
 *
 * Lengths are declared u32 and results i32 although C says size_t and ssize_t:
 * no call here moves 2 GiB, and a u32 takes V8's fast path while a u64 costs
 * 60 ns. Constants are those of the generic Linux ABI (x86-64, arm64).
 */

const symbols = {
  /** int open(const char *path, int flags); */
  open: { parameters: ["buffer", "i32"], result: "i32" },
  /** int openat(int directory, const char *path, int flags); */
  openat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** ssize_t readlinkat(int directory, const char *path, char *buf, size_t len); */
  readlinkat: {
    parameters: ["i32", "buffer", "buffer", "u32"],
    result: "i32",
  },
  /**
   * long syscall(SYS_getdents64, int fd, void *entries, unsigned int count);
   * glibc has a function for it since 2.30 only.
   */
  getdents64: {
    name: "syscall",
    parameters: ["i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** int close(int fd); */
  close: { parameters: ["i32"], result: "i32" },
  /** ssize_t read(int fd, void *buf, size_t count); */
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** ssize_t write(int fd, const void *buf, size_t count); */
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** ssize_t readv(int fd, const struct iovec *pieces, int n); */
  readv: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** ssize_t writev(int fd, const struct iovec *pieces, int n); */
  writev: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** int ioctl(int fd, unsigned long request, void *argp); */
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  /** int ioctl(int fd, unsigned long request, unsigned long arg); */
  ioctlValue: {
    name: "ioctl",
    parameters: ["i32", "u32", "u32"],
    result: "i32",
  },
  /** int fcntl(int fd, int cmd, int arg); */
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** int socket(int domain, int type, int protocol); */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** int bind(int fd, const struct sockaddr *addr, socklen_t len); */
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int connect(int fd, const struct sockaddr *addr, socklen_t len); */
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int listen(int fd, int backlog); */
  listen: { parameters: ["i32", "i32"], result: "i32" },
  /** int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags); */
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  /** int shutdown(int fd, int how); */
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  /** int getpeername(int fd, struct sockaddr *addr, socklen_t *len); */
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** int getsockname(int fd, struct sockaddr *addr, socklen_t *len); */
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** int setsockopt(int fd, int level, int name, const void *value, socklen_t len); */
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** int getsockopt(int fd, int level, int name, void *value, socklen_t *len); */
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** ssize_t send(int fd, const void *buf, size_t len, int flags); */
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** ssize_t recv(int fd, void *buf, size_t len, int flags); */
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen); */
  sendto: {
    parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen); */
  recvfrom: {
    parameters: ["i32", "buffer", "u32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** ssize_t sendmsg(int fd, const struct msghdr *msg, int flags); */
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** ssize_t recvmsg(int fd, struct msghdr *msg, int flags); */
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags); */
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout); */
  recvmmsg: {
    parameters: ["i32", "buffer", "u32", "i32", "pointer"],
    result: "i32",
  },
  /** int poll(struct pollfd *fds, nfds_t n, int timeout); */
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  /** The same on a thread of its own, which blocks instead of the caller. */
  pollElsewhere: {
    name: "poll",
    parameters: ["buffer", "u32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  /** int epoll_create1(int flags); */
  epoll_create1: { parameters: ["i32"], result: "i32" },
  /** int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event); */
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  /** int epoll_wait(int epfd, struct epoll_event *events, int n, int timeout); */
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  /** int eventfd(unsigned int initval, int flags); */
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  /** int timerfd_create(clockid_t id, int flags); */
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  /** int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old); */
  timerfd_settime: {
    parameters: ["i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** int clock_gettime(clockid_t id, struct timespec *ts); */
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  /** int getrlimit(int resource, struct rlimit *limit); */
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  /** int setrlimit(int resource, const struct rlimit *limit); */
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  /** int madvise(void *address, size_t length, int advice); */
  madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
  /** int malloc_trim(size_t pad); musl has none. */
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },
  /** uid_t geteuid(void); */
  geteuid: { parameters: [], result: "u32" },
  /** unsigned int if_nametoindex(const char *name); */
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  /** int *__errno_location(void); the address is the calling thread's own. */
  __errno_location: { parameters: [], result: "pointer" },
  /** char *strerror(int errnum); */
  strerror: { parameters: ["i32"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The C library, opened for the calling thread. */
export interface Libc extends Disposable {
  readonly call: Deno.DynamicLibrary<typeof symbols>["symbols"];
  /** The calling thread's errno of the last failed call. */
  errno(): number;
  /** The system's text for an errno. */
  errorText(code: number): string;
  /** An Error that names the failed call, its errno and the system's text. */
  error(call: string, code?: number): LibcError;
}

/** A system call that failed. */
export class LibcError extends Error {
  override readonly name = "LibcError";
  constructor(readonly call: string, readonly code: number, text: string) {
    super(`${call}: ${text} (errno ${code})`);
  }
}

/**
 * Opens the C library. Call once per worker: errno is per thread.
 * @throws {Error} where neither glibc nor musl can be opened.
 */
export function openLibc(): Libc {
  const library = dlopenAny(["libc.so.6", "libc.musl-x86_64.so.1"]);
  const errnoAddress = library.symbols.__errno_location();
  if (errnoAddress === null) throw new Error("__errno_location gave null");
  const errnoView = new Int32Array(
    Deno.UnsafePointerView.getArrayBuffer(errnoAddress, 4),
  );
  const errorText = (code: number): string => {
    const text = library.symbols.strerror(code);
    return text === null
      ? "unknown error"
      : Deno.UnsafePointerView.getCString(text);
  };
  return {
    call: library.symbols,
    errno: () => errnoView[0],
    errorText,
    error: (call, code = errnoView[0]) =>
      new LibcError(call, code, errorText(code)),
    [Symbol.dispose]: () => library.close(),
  };
}

function dlopenAny(
  names: readonly string[],
): Deno.DynamicLibrary<typeof symbols> {
  const failures: string[] = [];
  for (const name of names) {
    try {
      return Deno.dlopen(name, symbols);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`cannot open the C library: ${failures.join("; ")}`);
}

/** A NUL-terminated copy of a text, for `const char *`. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
