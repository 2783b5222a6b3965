/** Texts of /proc, and what hostile names do to them. */
import assert from "node:assert/strict";
import { socketInode } from "../../../../src/io/os/linux/proc_files.ts";
import {
  fileName,
  parseExecutable,
  parseProcStat,
  parseUserId,
  parseUsers,
} from "../../../../src/io/os/linux/proc_texts.ts";

const AFTER = "S 41 99 99 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2 3";

Deno.test("a stat text with any name", () => {
  for (const name of ["cat", "a b", "x) S 1 (", "", ") R 7 7"]) {
    assert.deepEqual(parseProcStat(`42 (${name}) ${AFTER}`), {
      name,
      dead: false,
      parentId: 41,
      startTime: 123456,
    });
  }
  assert.equal(parseProcStat(`42 (x) Z${AFTER.slice(1)}`)?.dead, true);
});

Deno.test("a cut stat text is none", () => {
  const text = `42 (cat) ${AFTER}`;
  for (let length = 0; length < text.indexOf("123456"); length++) {
    assert.equal(parseProcStat(text.slice(0, length)), undefined);
  }
});

Deno.test("the effective user", () => {
  assert.equal(
    parseUserId("Name:\tx\nUid:\t0\t1000\t0\t0\nGid:\t5\t6\t7\t8\n"),
    1000,
  );
  assert.equal(parseUserId("Gid:\t5\t6\t7\t8\n"), undefined);
});

Deno.test("an executable's link", () => {
  assert.deepEqual(parseExecutable("/usr/bin/x"), {
    path: "/usr/bin/x",
    deleted: false,
  });
  assert.deepEqual(parseExecutable("/usr/bin/x (deleted)"), {
    path: "/usr/bin/x",
    deleted: true,
  });
  assert.equal(fileName("/usr/bin/x y"), "x y");
  assert.equal(fileName("x"), "x");
});

Deno.test("users by number, the first name of a number", () => {
  const users = parseUsers(
    "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n\n:x:5:\nbad\nme:x:1000:\n",
  );
  assert.deepEqual([...users], [[0, "root"], [1000, "me"]]);
});

Deno.test("a descriptor's link is a socket or something else", () => {
  const inode = (text: string) => {
    const bytes = new TextEncoder().encode(text);
    return socketInode(bytes, bytes.length);
  };
  assert.equal(inode("socket:[4294967295]"), 4294967295);
  assert.equal(inode("socket:[1]"), 1);
  for (const other of ["pipe:[12]", "/dev/null", "socket:", "", "socket:[x]"]) {
    assert.equal(inode(other), 0, other);
  }
});
