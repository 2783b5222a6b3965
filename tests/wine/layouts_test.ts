/**
 * The layouts of the Windows libraries against a C compiler's view: of its own
 * headers, and where it has none, of declarations in `layouts/headers`, which
 * follow what the libraries' makers publish.
 */
import assert from "node:assert/strict";
import {
  checkFields,
  expectedLines,
  layoutProgram,
  type NamedLayout,
} from "../support/layout_check.ts";
import { e2eTest } from "../support/e2e.ts";
import { buildForWindows } from "./support/standins.ts";
import { WineMachine } from "./support/machine.ts";

const LAYOUTS = new URL("../../ffi/windows/layouts/", import.meta.url);
/** Headers of our own: for tests alone, and those that stand-ins are built with. */
const HEADERS = ["layouts/headers/", "standins/"]
  .map((path) => new URL(path, import.meta.url).pathname);

/** Before the headers: Windows 11's declarations, and the order that they want. */
const PRELUDE = [
  "#define _WIN32_WINNT 0x0A00",
  "#define NTDDI_VERSION 0x0A00000C",
  "#define __USE_MINGW_ANSI_STDIO 1",
  "#include <winsock2.h>",
  "#include <ws2tcpip.h>",
  "#include <mswsock.h>",
  "#include <windows.h>",
  "#include <winternl.h>",
  "#include <iphlpapi.h>",
  '#include "newer_declarations.h"',
];

const libraries = await readLibraries();

Deno.test("fields of Windows layouts lie inside their structs", () => {
  for (const layout of libraries.flatMap(({ layouts }) => layouts)) {
    checkFields(layout, "unions");
  }
});

await e2eTest({
  name: "Windows layouts are those of the C headers",
  needs: ["wine"],
  async run(lab) {
    const machine = await WineMachine.start(await lab.namespace("windows"));
    const headers = await ownHeaders();
    const wrong: string[] = [];
    for (const { name, layouts } of libraries) {
      const source = await lab.write(
        `${name}.c`,
        layoutProgram(PRELUDE, layouts),
      );
      try {
        const program = await buildForWindows({
          name: `${name}.exe`,
          sources: [source],
          headers,
        });
        const { stdout } = await machine.run([program]);
        const lines = stdout.trim().split(/\r?\n/);
        assert.deepEqual(lines, expectedLines(layouts));
      } catch (error) {
        wrong.push(`${name}: ${(error as Error).message}`);
      }
    }
    if (wrong.length > 0) throw new Error(wrong.join("\n"));
  },
});

/** The layouts that each file exports. */
async function readLibraries(): Promise<
  { name: string; layouts: NamedLayout[] }[]
> {
  const libraries = [];
  for await (const { name } of Deno.readDir(LAYOUTS)) {
    if (!name.endsWith(".ts")) continue;
    const module: Record<string, unknown> = await import(
      new URL(name, LAYOUTS).href
    );
    const layouts = Object.entries(module).filter(isLayout);
    libraries.push({ name: name.replace(/\.ts$/, ""), layouts });
  }
  return libraries;
}

/** A file may have constants beside its layouts. */
function isLayout(entry: [string, unknown]): entry is [string, NamedLayout[1]] {
  const [, value] = entry;
  return typeof value === "object" && value !== null && "cName" in value;
}

async function ownHeaders(): Promise<string[]> {
  const headers = [];
  for (const directory of HEADERS) {
    for await (const { name } of Deno.readDir(directory)) {
      if (name.endsWith(".h")) headers.push(`${directory}${name}`);
    }
  }
  return headers;
}
