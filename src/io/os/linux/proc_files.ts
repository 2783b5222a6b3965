/**
 * /proc, read with as few system calls as there can be: a scan of all open
 * sockets reads thousands of links.
 * Source: proc_pid_fd(5), getdents(2), readlink(2).
 *
 * A descriptor of the directory /proc/PID belongs to that very process: once it
 * has ended, reading through it fails, also when its id is in use again.
 */
import { cString, type Libc } from "../../../../ffi/libc.ts";
import { readU16le } from "../../../core/wire/bytes.ts";

const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_DIRECTORY = 0x10000;
const O_DIRECTORY_ARM64 = 0x4000;
const O_CLOEXEC = 0x80000;
const SYS_GETDENTS64 = 217;
const SYS_GETDENTS64_ARM64 = 61;

/** struct linux_dirent64: inode 8, offset 8, length 2, type 1, name. */
const ENTRY_LENGTH_AT = 16;
const ENTRY_NAME_AT = 19;

const DIGIT_0 = 48;
/** Pieces of paths and links, as bytes. */
const PROC = bytesOf("/proc/");
const FD = bytesOf("/fd/");
const FD_HERE = bytesOf("fd/");
const SOCKET_PREFIX = bytesOf("socket:[");

/** What a link under /proc/PID/fd says. */
export const FdLink = {
  /** There is none, or we may not look. */
  None: -1,
  /** Something else than a socket. */
  Other: 0,
} as const;

/** Reads /proc for one thread; buffers are used again by each call. */
export class ProcFiles {
  readonly #libc: Libc;
  readonly #entries = new Uint8Array(32 * 1024);
  readonly #text = new Uint8Array(4096);
  readonly #path = new Uint8Array(64);
  readonly #decoder = new TextDecoder();
  readonly #getdents: number;
  readonly #directoryFlags: number;
  /** How many links have been read. */
  linksRead = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
    const arm = Deno.build.arch === "aarch64";
    this.#getdents = arm ? SYS_GETDENTS64_ARM64 : SYS_GETDENTS64;
    this.#directoryFlags = O_RDONLY | O_CLOEXEC |
      (arm ? O_DIRECTORY_ARM64 : O_DIRECTORY);
  }

  /** Ids of all processes that we can see, in rising order. */
  processes(): number[] {
    const directory = this.#open(AT_FDCWD, "/proc");
    if (directory < 0) return [];
    const ids: number[] = [];
    this.numbers(directory, (id) => ids.push(id));
    this.close(directory);
    return ids;
  }

  /** Opens /proc/PID; negative where there is none. */
  openProcess(processId: number): number {
    return this.#open(AT_FDCWD, `/proc/${processId}`);
  }

  /** Opens /proc/PID/fd; negative where there is none or we may not look. */
  openDescriptors(processId: number): number {
    return this.#open(AT_FDCWD, `/proc/${processId}/fd`);
  }

  close(descriptor: number): void {
    this.#libc.call.close(descriptor);
  }

  /** Calls back with each entry of an open directory whose name is a number. */
  numbers(directory: number, take: (value: number) => void): void {
    const entries = this.#entries;
    for (;;) {
      const length = this.#libc.call.getdents64(
        this.#getdents,
        directory,
        entries,
        entries.length,
      );
      if (length <= 0) return;
      for (let at = 0; at < length;) {
        const value = numberAt(entries, at + ENTRY_NAME_AT);
        if (value >= 0) take(value);
        at += readU16le(entries, at + ENTRY_LENGTH_AT);
      }
    }
  }

  /**
   * The socket that a descriptor is.
   * @param directory an open /proc/PID/fd
   * @returns its inode, or one of {@linkcode FdLink}
   */
  socketAt(directory: number, descriptor: number): number {
    writeNumber(this.#path, 0, descriptor);
    return this.#socketLink(directory);
  }

  /** The same without an open directory: one call, but not two the same way. */
  socketOfProcess(processId: number, descriptor: number): number {
    const path = this.#path;
    path.set(PROC);
    let at = PROC.length;
    at += writeNumber(path, at, processId);
    path.set(FD, at);
    writeNumber(path, at + FD.length, descriptor);
    return this.#socketLink(AT_FDCWD);
  }

  /** The same, by an open /proc/PID. */
  socketOf(processDirectory: number, descriptor: number): number {
    this.#path.set(FD_HERE);
    writeNumber(this.#path, FD_HERE.length, descriptor);
    return this.#socketLink(processDirectory);
  }

  /** Where a link in an open directory leads; undefined where that fails. */
  link(directory: number, name: Uint8Array<ArrayBuffer>): string | undefined {
    const length = this.#readLink(directory, name);
    return length < 0
      ? undefined
      : this.#decoder.decode(this.#text.subarray(0, length));
  }

  /** Whether a link in an open directory leads where it did. */
  linkIs(
    directory: number,
    name: Uint8Array<ArrayBuffer>,
    expected: Uint8Array,
  ): boolean {
    const length = this.#readLink(directory, name);
    if (length !== expected.length) return false;
    for (let i = 0; i < length; i++) {
      if (this.#text[i] !== expected[i]) return false;
    }
    return true;
  }

  /** A small file in an open directory; undefined where it can't be read. */
  text(directory: number, name: string): string | undefined {
    const { call } = this.#libc;
    const file = call.openat(directory, cString(name), O_RDONLY | O_CLOEXEC);
    if (file < 0) return undefined;
    const length = call.read(file, this.#text, this.#text.length);
    call.close(file);
    return length <= 0
      ? undefined
      : this.#decoder.decode(this.#text.subarray(0, length));
  }

  #open(directory: number, path: string): number {
    return this.#libc.call.openat(
      directory,
      cString(path),
      this.#directoryFlags,
    );
  }

  #readLink(directory: number, name: Uint8Array<ArrayBuffer>): number {
    return this.#libc.call.readlinkat(
      directory,
      name,
      this.#text,
      this.#text.length,
    );
  }

  #socketLink(directory: number): number {
    this.linksRead++;
    const length = this.#readLink(directory, this.#path);
    return length < 0 ? FdLink.None : socketInode(this.#text, length);
  }
}

/** The number in «socket:[NUMBER]»; 0 for another text. */
export function socketInode(text: Uint8Array, length: number): number {
  for (let i = 0; i < SOCKET_PREFIX.length; i++) {
    if (text[i] !== SOCKET_PREFIX[i]) return FdLink.Other;
  }
  let value = 0;
  for (let i = SOCKET_PREFIX.length; i < length - 1; i++) {
    const digit = text[i] - DIGIT_0;
    if (digit < 0 || digit > 9) return FdLink.Other;
    value = value * 10 + digit;
  }
  return value;
}

/** A number that ends with NUL; -1 for another text. */
function numberAt(bytes: Uint8Array, at: number): number {
  let value = 0;
  let i = at;
  for (; bytes[i] !== 0; i++) {
    const digit = bytes[i] - DIGIT_0;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return i === at ? -1 : value;
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Writes a number's digits and a NUL. @returns how many digits. */
function writeNumber(bytes: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  bytes[at + digits] = 0;
  for (let i = digits - 1; i >= 0; i--) {
    bytes[at + i] = DIGIT_0 + value % 10;
    value = Math.floor(value / 10);
  }
  return digits;
}
