/**
 * How many descriptors this process may have: the NAT holds one socket for each
 * UDP mapping, and the usual soft limit of 1024 is soon used up.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import { rlimit } from "../../../../ffi/linux_layouts.ts";

const RLIMIT_NOFILE = 7;

/**
 * Raises the soft limit of open files to the hard one.
 * @returns how many files may be open now; Infinity where there is no limit.
 * @throws {LibcError} where the limit cannot be read. A limit that cannot be
 * raised stays, and is returned.
 */
export function raiseOpenFileLimit(libc: Libc): number {
  const limit = readLimit(libc);
  const bytes = new Uint8Array(limit.buffer);
  const soft = limit.getBigUint64(rlimit.at.rlim_cur, true);
  const hard = limit.getBigUint64(rlimit.at.rlim_max, true);
  limit.setBigUint64(rlimit.at.rlim_cur, hard, true);
  const raised = soft === hard ||
    libc.call.setrlimit(RLIMIT_NOFILE, bytes) === 0;
  return toCount(raised ? hard : soft);
}

/**
 * How many files may be open now; Infinity where there is no limit.
 * @throws {LibcError} where the limit cannot be read.
 */
export function openFileLimit(libc: Libc): number {
  return toCount(readLimit(libc).getBigUint64(rlimit.at.rlim_cur, true));
}

function readLimit(libc: Libc): DataView<ArrayBuffer> {
  const limit = new DataView(new ArrayBuffer(rlimit.size));
  if (libc.call.getrlimit(RLIMIT_NOFILE, new Uint8Array(limit.buffer)) !== 0) {
    throw libc.error("getrlimit(RLIMIT_NOFILE)");
  }
  return limit;
}

function toCount(limit: bigint): number {
  return limit === 0xffff_ffff_ffff_ffffn ? Infinity : Number(limit);
}
