/**
 * The struct layouts against a C compiler's view of the system's headers, and
 * against figures of the ABI where no compiler is there.
 */
import assert from "node:assert/strict";
import type { FieldType, Layout } from "../../ffi/layout.ts";
import * as layouts from "../../ffi/linux_layouts.ts";

/** sizeof as the x86-64 psABI and the kernel's headers give them. */
const PUBLISHED_SIZES: Record<string, number> = {
  ifreq: 40,
  virtioNetHdr: 10,
  sockaddrNl: 12,
  nlmsghdr: 16,
  nlmsgerr: 20,
  nlattr: 4,
  ifinfomsg: 16,
  ifaddrmsg: 8,
  rtmsg: 12,
  fibRuleHdr: 12,
  nfgenmsg: 4,
  inetDiagSockid: 48,
  inetDiagReqV2: 56,
  inetDiagMsg: 72,
  inetDiagBcOp: 4,
  cnMsg: 20,
  procEvent: 40,
  sockaddrIn: 16,
  sockaddrIn6: 28,
  iovec: 16,
  msghdr: 56,
  mmsghdr: 64,
  cmsghdr: 16,
  inPktinfo: 12,
  in6Pktinfo: 20,
  sockExtendedErr: 16,
  pollfd: 8,
  epollEventX64: 12,
  epollEventArm64: 16,
  timespec: 16,
  itimerspec: 32,
  timeval: 16,
  linger: 8,
  rlimit: 16,
};

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

const all: [string, Layout][] = Object.entries(layouts);

Deno.test("every layout has its published size, and fields that fit without overlap", () => {
  assert.deepEqual(
    Object.fromEntries(all.map(([name, layout]) => [name, layout.size])),
    PUBLISHED_SIZES,
  );
  for (const [name, { fields, size }] of all) {
    let end = 0;
    for (const [field, type, offset] of fields) {
      assert.ok(offset >= end, `${name}.${field} overlaps what is before it`);
      end = offset + (WIDTHS[type] ?? 1);
      assert.ok(end <= size, `${name}.${field} lies outside`);
    }
  }
});

Deno.test("offsets by name are those of the fields", () => {
  for (const [, { fields, at }] of all) {
    assert.deepEqual(
      at,
      Object.fromEntries(fields.map(([name, , offset]) => [name, offset])),
    );
  }
});

const compiler = Deno.build.os === "linux" ? await findCompiler() : undefined;

Deno.test({
  name: compiler === undefined
    ? "layouts are those of the C headers (skipped: no gcc on this Linux)"
    : "layouts are those of the C headers",
  ignore: compiler === undefined,
  async fn() {
    const mine = all.filter(([name]) =>
      !name.startsWith("epollEvent") ||
      name ===
        (Deno.build.arch === "x86_64" ? "epollEventX64" : "epollEventArm64")
    );
    const lines = await compileAndRun(compiler!, cProgram(mine));
    const expected = mine.flatMap(([name, { size, fields }]) => [
      `${name} ${size}`,
      ...fields.map(([field, type, offset]) =>
        `${name}.${field} ${offset}${
          WIDTHS[type] === undefined ? "" : ` ${WIDTHS[type]}`
        }`
      ),
    ]);
    assert.deepEqual(lines, expected);
  },
});

/** A program that prints each size, and each field's offset and width. */
function cProgram(entries: readonly [string, Layout][]): string {
  const headers = [...new Set(entries.map(([, { header }]) => header))]
    // These want socket types, which they do not include by themselves.
    .toSorted((a, b) =>
      Number(a.startsWith("linux/")) - Number(b.startsWith("linux/"))
    );
  const prints = entries.flatMap(([name, { cName, fields }]) => [
    `printf("${name} %zu\\n", sizeof(${cName}));`,
    ...fields.map(([field, type]) =>
      WIDTHS[type] === undefined
        ? `printf("${name}.${field} %zu\\n", offsetof(${cName}, ${field}));`
        : `printf("${name}.${field} %zu %zu\\n", offsetof(${cName}, ${field}), sizeof(((${cName} *)0)->${field}));`
    ),
  ]);
  return [
    "#define _GNU_SOURCE",
    "#include <stddef.h>",
    "#include <stdio.h>",
    "#include <time.h>",
    ...headers.map((header) => `#include <${header}>`),
    "int main(void) {",
    ...prints,
    "return 0; }",
  ].join("\n");
}

async function compileAndRun(
  compiler: string,
  program: string,
): Promise<string[]> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/layouts.c`, program);
    const compiled = await run(compiler, [
      "-o",
      `${directory}/layouts`,
      `${directory}/layouts.c`,
    ]);
    assert.ok(compiled.success, compiled.stderr);
    const { stdout } = await run(`${directory}/layouts`, []);
    return stdout.trim().split("\n");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function findCompiler(): Promise<string | undefined> {
  for (const name of ["gcc", "cc"]) {
    try {
      if ((await run(name, ["--version"])).success) return name;
    } catch {
      // The next one.
    }
  }
  return undefined;
}

async function run(
  command: string,
  args: string[],
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const output = await new Deno.Command(command, { args }).output();
  const decoder = new TextDecoder();
  return {
    success: output.success,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}
