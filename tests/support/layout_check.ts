/** Struct layouts beside what a C compiler makes of the headers: sizes, offsets, widths. */
import assert from "node:assert/strict";
import type { FieldType, Layout } from "../../ffi/layout.ts";

/** A layout under the name that it is exported by. */
export type NamedLayout = readonly [name: string, layout: Layout];

/** Bytes of each type; an array or a nested struct may have any number. */
const WIDTHS: Record<FieldType, number | undefined> = {
  u8: 1,
  i8: 1,
  u16le: 2,
  u16be: 2,
  u32le: 4,
  i32le: 4,
  u32be: 4,
  u64le: 8,
  i64le: 8,
  pointer: 8,
  bytes: undefined,
};

/** Fails where a field lies outside, or over another and `overlap` forbids it. */
export function checkFields(
  [name, { fields, size, at }]: NamedLayout,
  overlap: "none" | "unions",
): void {
  let end = 0;
  for (const [field, type, offset] of fields) {
    if (overlap === "none") {
      assert.ok(offset >= end, `${name}.${field} overlaps what is before it`);
    }
    end = offset + (WIDTHS[type] ?? 1);
    assert.ok(end <= size, `${name}.${field} lies outside`);
  }
  assert.deepEqual(
    at,
    Object.fromEntries(fields.map(([field, , offset]) => [field, offset])),
  );
}

/** The lines that {@linkcode layoutProgram} prints where the layouts are right. */
export function expectedLines(layouts: readonly NamedLayout[]): string[] {
  return layouts.flatMap(([name, { size, fields }]) => [
    `${name} ${size}`,
    ...fields.map(([field, type, offset]) =>
      `${name}.${field} ${offset}${
        WIDTHS[type] === undefined ? "" : ` ${WIDTHS[type]}`
      }`
    ),
  ]);
}

/**
 * A C program that prints each size, and each field's offset and width.
 * @param prelude its first lines.
 */
export function layoutProgram(
  prelude: readonly string[],
  layouts: readonly NamedLayout[],
): string {
  const headers = [...new Set(layouts.map(([, { header }]) => header))];
  const prints = layouts.flatMap(([name, { cName, fields }]) => [
    `printf("${name} %zu\\n", sizeof(${cName}));`,
    ...fields.map(([field, type]) =>
      WIDTHS[type] === undefined
        ? `printf("${name}.${field} %zu\\n", offsetof(${cName}, ${field}));`
        : `printf("${name}.${field} %zu %zu\\n", offsetof(${cName}, ${field}), sizeof(((${cName} *)0)->${field}));`
    ),
  ]);
  return [
    ...prelude,
    "#include <stddef.h>",
    "#include <stdio.h>",
    ...headers.map((header) => `#include <${header}>`),
    "int main(void) {",
    ...prints,
    "return 0; }",
  ].join("\n");
}
