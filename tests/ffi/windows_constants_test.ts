/**
 * Constants of sockets and waits on Windows against the C headers: mingw need
 * only compile what asserts them. What its headers do not have yet is taken from
 * Microsoft's ws2ipdef.h, mswsock.h and afd.h, and named here.
 */
import assert from "node:assert/strict";
import * as kernel32 from "../../ffi/windows/kernel32.ts";
import * as ntdll from "../../ffi/windows/ntdll.ts";
import * as ws2 from "../../ffi/windows/ws2_32.ts";
import { COMPILER } from "../wine/support/standins.ts";

const PRELUDE = [
  "#define _WIN32_WINNT 0x0A00",
  "#include <winsock2.h>",
  "#include <ws2tcpip.h>",
  "#include <mswsock.h>",
  "#include <mstcpip.h>",
  "#define WIN32_NO_STATUS",
  "#include <windows.h>",
  "#undef WIN32_NO_STATUS",
  "#include <ntstatus.h>",
];

/** Groups whose names in C are not the group's, an underscore and the key. */
const PREFIXES: Readonly<Record<string, string>> = {
  WSA: "WSA",
  FIO: "FIO",
  TCP_STATE: "TCPSTATE_",
};

const NAMES: Readonly<Record<string, string>> = {
  WSANOT_ENOUGH_MEMORY: "WSA_NOT_ENOUGH_MEMORY",
  MEM_COMMIT_RESERVE: "(MEM_COMMIT | MEM_RESERVE)",
  MEM_READWRITE: "PAGE_READWRITE",
  WAIT_MAXIMUM_OBJECTS: "MAXIMUM_WAIT_OBJECTS",
  FILE_GENERIC_READ_WRITE: "(GENERIC_READ | GENERIC_WRITE)",
  FILE_OPEN_EXISTING: "OPEN_EXISTING",
  FILE_SQOS_IDENTIFICATION: "(SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION)",
  PIPE_FIRST_INSTANCE: "FILE_FLAG_FIRST_PIPE_INSTANCE",
  POLL_WRNORM: "POLLWRNORM",
  POLL_RDNORM: "POLLRDNORM",
  POLL_ERR: "POLLERR",
  POLL_HUP: "POLLHUP",
  POLL_NVAL: "POLLNVAL",
};

/** In no header of mingw's. */
const ABSENT = [
  /^UDP_/,
  /^AFD_/,
  /^SIO_(UDP_NETRESET|TCP_INFO)$/,
  /^TCP_KEEP/,
  /^TCPSTATE_/,
];

const compiler = await hasCompiler();

Deno.test({
  name: compiler
    ? "constants of Windows are those of the C headers"
    : `constants of Windows are those of the C headers (skipped: no ${COMPILER})`,
  ignore: !compiler,
  async fn() {
    const wanted = [kernel32, ntdll, ws2].flatMap(constantsOf);
    assert.ok(wanted.length > 90, `${wanted.length}`);
    const program = [
      ...PRELUDE,
      ...wanted.map(([name, value]) =>
        `_Static_assert((unsigned)(${name}) == (unsigned)${value}, "${name}");`
      ),
      "int main(void) { return 0; }",
    ].join("\n");
    const directory = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${directory}/constants.c`, program);
      const { success, stderr } = await new Deno.Command(COMPILER, {
        args: ["-fsyntax-only", `${directory}/constants.c`],
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

function constantsOf(library: Record<string, unknown>): [string, number][] {
  return Object.entries(library)
    .flatMap(([group, values]) => named(group, values))
    .filter(([name]) => !ABSENT.some((absent) => absent.test(name)));
}

function named(group: string, values: unknown): [string, number][] {
  if (typeof values !== "object" || values === null) return [];
  if (values instanceof Uint8Array) return [];
  const prefix = PREFIXES[group] ?? `${group}_`;
  return Object.entries(values).filter(([, value]) => typeof value === "number")
    .map(([key, value]): [string, number] => {
      const name = `${prefix}${key}`;
      return [NAMES[name] ?? name, value];
    });
}

async function hasCompiler(): Promise<boolean> {
  try {
    return (await new Deno.Command(COMPILER, { args: ["--version"] }).output())
      .success;
  } catch {
    return false;
  }
}
