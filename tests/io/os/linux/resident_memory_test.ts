/** What is given back after the start, and what must not be. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import {
  cleanFileMappings,
  giveBackPages,
} from "../../../../src/io/os/linux/resident_memory.ts";

/** Text of smaps with one mapping. */
function mapping(
  rights: string,
  { inode = 812, anonymousKb = 0, path = "/usr/bin/deno" } = {},
): string {
  return [
    `55d0a0000000-55d0a0003000 ${rights} 00000000 08:01 ${inode}   ${path}`,
    "Size:                 12 kB",
    "Rss:                   8 kB",
    `Anonymous:${String(anonymousKb).padStart(14)} kB`,
    "LazyFree:              0 kB",
    "VmFlags: rd mr mw me dw sd",
    "",
  ].join("\n");
}

Deno.test("text and constants of a file are found, with place and length", () => {
  const found = cleanFileMappings(mapping("r-xp") + mapping("r--p"));
  const expected = { start: 0x55d0a0000000, length: 0x3000 };
  assert.deepEqual(found, [expected, expected]);
});

for (
  const [what, smaps] of [
    ["writable", mapping("rw-p")],
    ["shared", mapping("r--s")],
    ["of no file", mapping("r-xp", { inode: 0, path: "" })],
    ["relocated", mapping("r--p", { anonymousKb: 4 })],
    ["cut off", mapping("r-xp").slice(0, 90)],
    ["empty", ""],
  ]
) {
  Deno.test(`a mapping that is ${what} stays`, () => {
    assert.deepEqual(cleanFileMappings(smaps), []);
  });
}

Deno.test("a mapping after one that stays is judged by itself", () => {
  const found = cleanFileMappings(mapping("rw-p") + mapping("r-xp"));
  assert.equal(found.length, 1);
});

Deno.test("the process lives on after giving pages back, again and again", () => {
  using libc = openLibc();
  const numbers = Array.from({ length: 10_000 }, (_, i) => i * 7 % 1009);
  const expected = numbers.toSorted((a, b) => a - b);
  for (let round = 0; round < 5; round++) {
    giveBackPages(libc);
    assert.deepEqual(numbers.toSorted((a, b) => a - b), expected);
  }
});
