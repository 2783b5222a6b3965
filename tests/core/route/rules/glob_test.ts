import assert from "node:assert/strict";
import fc from "fast-check";
import {
  isBelow,
  matchesName,
  PathGlob,
} from "../../../../src/core/route/rules/glob.ts";
import { regExp } from "./twin.ts";

Deno.test("paths", () => {
  const table: [pattern: string, path: string, matches: boolean][] = [
    ["/opt/app/**", "/opt/app/x", true],
    ["/opt/app/**", "/opt/app/x/y/z", true],
    ["/opt/app/**", "/opt/app", false],
    ["/opt/app/**", "/opt/apple/x", false],
    ["/opt/*/x", "/opt/a/x", true],
    ["/opt/*/x", "/opt/a/b/x", false],
    ["/opt/**/x", "/opt/x", true],
    ["/opt/**/x", "/opt/a/b/x", true],
    ["/opt/**/x", "/opt/a/b/y", false],
    ["**/x", "/opt/a/x", true],
    ["**/x", "/opt/a/xx", false],
    ["/a/**/b/**/c", "/a/1/b/2/b/3/c", true],
    ["/a/**/b/**/c", "/a/1/2/3/c", false],
    ["/a/**/**", "/a/b", true],
    ["/a/p?n*", "/a/python3", false],
    ["/a/p?t*", "/a/pythn", true],
    ["/a/b", "/a/b", true],
    ["/a/b", "/a/b/", false],
    ["/a/[b]", "/a/b", false],
    ["/a/[b]", "/a/[b]", true],
  ];
  for (const [pattern, path, wanted] of table) {
    assert.equal(
      new PathGlob(pattern).matches(path),
      wanted,
      `${pattern} ${path}`,
    );
  }
});

const letters = fc.constantFrom("a", "b", "*", "?", ".", "+");
const names = fc.string({
  unit: fc.constantFrom("a", "b", ".", "+"),
  maxLength: 9,
});

Deno.test("names as a regular expression matches them", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: letters, maxLength: 7 }).filter((text) =>
        !/^\*\*+$/.test(text)
      ),
      names,
      (pattern, name) => {
        assert.equal(matchesName(pattern, name), regExp(pattern).test(name));
      },
    ),
    { numRuns: 3000 },
  );
});

Deno.test("paths as a regular expression matches them", () => {
  const step = fc.oneof(
    fc.constant("**"),
    fc.constantFrom("a", "b", "*", "a*", "?b"),
  );
  const part = fc.constantFrom("a", "b", "ab", "bb", "");
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 6 }),
      fc.array(part, { minLength: 1, maxLength: 7 }),
      (steps, parts) => {
        const pattern = `/${steps.join("/")}`;
        const path = `/${parts.join("/")}`;
        // A path that ends in a slash is none of a program.
        fc.pre(!path.endsWith("/"));
        assert.equal(
          new PathGlob(pattern).matches(path),
          regExp(pattern).test(path),
          `${pattern} ${path}`,
        );
      },
    ),
    { numRuns: 4000 },
  );
});

Deno.test("a made-up pattern and name cost no more than both lengths", () => {
  // By going back over every star this would take longer than the universe has.
  const pattern = "*a".repeat(200) + "b";
  assert.equal(matchesName(pattern, "a".repeat(4000)), false);
  const deep = new PathGlob("/" + "**/a/".repeat(100) + "b");
  assert.equal(deep.matches("/" + "a/".repeat(1000) + "c"), false);
});

Deno.test("a root has everything below", () => {
  assert.ok(isBelow("/x", ""));
  assert.ok(!isBelow("/", ""));
  assert.ok(!isBelow("x", ""));
});
