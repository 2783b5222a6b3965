/**
 * Pages that only starting needed: most of a program's text (compiler, module
 * loader, snapshot), and what the allocator holds free. They stay resident
 * until somebody else is short of memory, unless they are given back.
 *
 * Source: madvise(2), proc_pid_smaps(5), malloc_trim(3).
 */
import type { Libc } from "../../../../ffi/libc.ts";

const MADV_DONTNEED = 4;
const MAPS = "/proc/self/smaps";

/** A part of the address space. */
export interface Mapping {
  readonly start: number;
  /** In bytes. */
  readonly length: number;
}

/**
 * Gives back what the next use would bring again: pages of files that are
 * mapped for reading, and free memory of the allocator. Takes some
 * milliseconds, and a page fault for each page that is used after all.
 */
export function giveBackPages(libc: Libc): void {
  libc.call.malloc_trim?.(0n);
  let maps: string;
  try {
    maps = Deno.readTextFileSync(MAPS);
  } catch {
    return; // /proc is not mounted or hidden from us: then they stay
  }
  for (const { start, length } of cleanFileMappings(maps)) {
    libc.call.madvise(BigInt(start), BigInt(length), MADV_DONTNEED);
  }
}

/**
 * Mappings in the text of smaps whose pages all lie in their file as they are:
 * private ones of a file, that can't be written and never were (a relocated
 * page is anonymous, and would be lost).
 */
export function cleanFileMappings(smaps: string): Mapping[] {
  const found: Mapping[] = [];
  let mapping: Mapping | undefined;
  for (const line of smaps.split("\n")) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)/.exec(line);
    if (head !== null) {
      const [, first, end, rights, inode] = head;
      const start = parseInt(first, 16);
      mapping = /^r-[x-]p$/.test(rights) && inode !== "0"
        ? { start, length: parseInt(end, 16) - start }
        : undefined;
    } else if (mapping !== undefined && /^Anonymous: +0 kB$/.test(line)) {
      found.push(mapping);
    }
  }
  return found;
}
