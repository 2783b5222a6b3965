/**
 * The struct layouts against a C compiler's view of the system's headers, and
 * against figures of the ABI where no compiler is there.
 */
import assert from "node:assert/strict";
import * as layouts from "../../ffi/linux_layouts.ts";
import {
  checkFields,
  expectedLines,
  layoutProgram,
  type NamedLayout,
} from "../support/layout_check.ts";

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

const PRELUDE = ["#define _GNU_SOURCE", "#include <time.h>"];

const all: NamedLayout[] = Object.entries(layouts);

Deno.test("every layout has its published size, and fields that fit without overlap", () => {
  assert.deepEqual(
    Object.fromEntries(all.map(([name, layout]) => [name, layout.size])),
    PUBLISHED_SIZES,
  );
  for (const layout of all) checkFields(layout, "none");
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
    const lines = await compileAndRun(
      compiler!,
      layoutProgram(PRELUDE, mine.toSorted(linuxLast)),
    );
    assert.deepEqual(lines, expectedLines(mine.toSorted(linuxLast)));
  },
});

/** Headers of Linux want socket types, which they do not include by themselves. */
function linuxLast([, a]: NamedLayout, [, b]: NamedLayout): number {
  return Number(a.header.startsWith("linux/")) -
    Number(b.header.startsWith("linux/"));
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
