/**
 * What the filter engine is given: decoded by a stand-in with the SDK's own
 * declarations.
 */
import assert from "node:assert/strict";
import { parsePrefix } from "../../../../../src/core/wire/address.ts";
import { openKillSwitch } from "../../../../../src/io/os/windows/kill_switch.ts";
import {
  type AllowedNetwork,
  KillSwitchError,
  type KillSwitchPolicy,
} from "../../../../../src/io/ports.ts";

const LOG = Deno.env.get("SLUICE_TEST_WFP_LOG")!;
const PROGRAM = "C:\\Program Files\\sluice\\sluice.exe";
const CONNECT_V4 = "c38d57d1-05a7-4c33-904f-7fbceee60e82";
const CONNECT_V6 = "4a72393b-319f-44bc-84c3-ba54dcb3b6b4";
const PERMIT = "1002", BLOCK = "1001";

const POLICY: KillSwitchPolicy = {
  captureInterfaces: ["sluice0"],
  networks: [network("192.168.7.0/24"), network("fe80::/10")],
  networkDns: "drop",
  dhcp: "pass",
  answers: "pass",
  answeredPorts: [],
  forwarded: "drop",
  afterCrash: "go",
};

function network(text: string): AllowedNetwork {
  const { family, words, length } = parsePrefix(text)!;
  return { family, words, prefixLength: length };
}

function open() {
  return openKillSwitch({
    program: PROGRAM,
    luid: (name) => name === "sluice0" ? 0x6_0008_0000_0000n : undefined,
  });
}

/** Lines that the engine wrote since the last look. */
let read = 0;
function told(): string[] {
  const lines = Deno.readTextFileSync(LOG).trim().split("\n");
  const news = lines.slice(read);
  read = lines.length;
  return news;
}

function filtersOf(lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith("filter "));
}

function has(lines: readonly string[], ...parts: readonly string[]): void {
  const found = lines.some((line) =>
    parts.every((part) => line.includes(part))
  );
  assert.ok(found, `${parts.join(" … ")} in\n${lines.join("\n")}`);
}

Deno.test("what may leave is permitted, all else is blocked, in one transaction", () => {
  using killSwitch = open();
  assert.deepEqual(killSwitch.state(), { kind: "off" });
  killSwitch.engage(POLICY);
  const lines = told();
  const filters = filtersOf(lines);
  for (const layer of [CONNECT_V4, CONNECT_V6]) {
    has(filters, layer, "«sluice: loopback»", PERMIT, "match 6 u32 1]");
    has(filters, layer, "«sluice: sluice»", PERMIT, `blob ${PROGRAM}]`);
    has(filters, layer, "to sluice0", PERMIT, `u64 ${0x6_0008_0000_0000n}]`);
    has(filters, layer, "«sluice: kill switch»", "weight 1/0", BLOCK);
  }
  has(filters, CONNECT_V4, "allowed networks", "v4 c0a80700/ffffff00]", PERMIT);
  has(
    filters,
    CONNECT_V6,
    "allowed networks",
    "v6 fe800000000000000000000000000000/10]",
    PERMIT,
  );
  has(filters, CONNECT_V4, "DNS to allowed", "u16 53]", BLOCK, "weight 1/12");
  has(filters, CONNECT_V4, "DHCP", "u8 17]", "u16 68]", "u16 67]");
  has(filters, CONNECT_V6, "DHCP", "u16 546]", "u16 547]");
  has(filters, CONNECT_V6, "neighbour", "u8 58]", "u16 135]", "u16 136]");
  assert.ok(filters.every((line) => line.includes(" dynamic ")));
  const begin = lines.lastIndexOf("begin", lines.indexOf(filters[0]));
  const commit = lines.indexOf("commit", begin);
  assert.ok(filters.every((line) => lines.indexOf(line) < commit));
  assert.deepEqual(killSwitch.state(), {
    kind: "on",
    by: "ours",
    dropped: undefined,
  });
});

Deno.test("it goes with the process's session", () => {
  {
    using killSwitch = open();
    killSwitch.engage(POLICY);
  }
  using after = open();
  assert.deepEqual(after.state(), { kind: "off" });
  after.lift();
});

Deno.test("one that stays is persistent, from the system's start on; the capture is not", () => {
  told();
  {
    using killSwitch = open();
    killSwitch.engage({ ...POLICY, afterCrash: "stay", answers: "drop" });
  }
  const filters = filtersOf(told());
  const blocks = filters.filter((line) => line.includes("kill switch»"));
  // Connect, accept and forward, both families, each for both times.
  assert.equal(blocks.length, 3 * 2 * 2);
  has(blocks, "static", "flags 1", BLOCK);
  has(blocks, "static", "flags 2", BLOCK);
  has(filters, "static", "flags 1", "allowed networks");
  const dynamic = filters.filter((line) => line.includes(" dynamic "));
  assert.ok(dynamic.length > 0);
  assert.ok(dynamic.every((line) => line.includes("to sluice0")));

  using after = open();
  assert.deepEqual(after.state(), {
    kind: "on",
    by: "other",
    dropped: undefined,
  });
  after.lift();
  assert.deepEqual(after.state(), { kind: "off" });
  has(told(), "delete provider");
});

Deno.test("filters of a session are replaced and removed by that session", () => {
  using killSwitch = open();
  killSwitch.engage(POLICY);
  told();
  killSwitch.engage({ ...POLICY, networks: [] });
  const lines = told();
  const added = filtersOf(lines).length;
  const deleted = lines.filter((line) => line.startsWith("delete filter"));
  assert.ok(deleted.length > added, lines.join("\n"));
  killSwitch.lift();
  assert.deepEqual(killSwitch.state(), { kind: "off" });
  has(told(), "delete provider");
});

Deno.test("what another process has for its lifetime stays until it ends", () => {
  using other = open();
  {
    using running = open();
    running.engage({ ...POLICY, afterCrash: "stay" });
    other.lift();
    assert.deepEqual(other.state(), {
      kind: "on",
      by: "other",
      dropped: undefined,
    });
  }
  other.lift();
  assert.deepEqual(other.state(), { kind: "off" });
  has(told(), "delete provider");
});

Deno.test("a policy takes the place of another: the new one stands before the old one goes", () => {
  using killSwitch = open();
  killSwitch.engage({ ...POLICY, afterCrash: "stay" });
  told();
  killSwitch.engage({ ...POLICY, afterCrash: "stay", networks: [] });
  const lines = told();
  const firstDelete = lines.findIndex((line) =>
    line.startsWith("delete filter")
  );
  const lastNew = lines.findLastIndex((line) => line.startsWith("filter "));
  assert.ok(firstDelete > lastNew, lines.join("\n"));
  assert.ok(!lines.some((line) => line.includes("allowed networks")));
  killSwitch.lift();
  assert.deepEqual(killSwitch.state(), { kind: "off" });
});

Deno.test("capture beneath all interfaces lets everything go there while we run", () => {
  using killSwitch = open();
  told();
  killSwitch.engage({ ...POLICY, captureInterfaces: "below" });
  has(filtersOf(told()), CONNECT_V4, "captured below", PERMIT, "weight 1/14");
  killSwitch.lift();
});

Deno.test("an interface that there isn't is not permitted", () => {
  using killSwitch = open();
  told();
  killSwitch.engage({ ...POLICY, captureInterfaces: ["gone"] });
  assert.ok(!told().some((line) => line.includes("gone")));
  killSwitch.lift();
});

for (
  const [code, problem, words] of [
    ["1764", "unsupported", /no Windows Filtering Platform/],
    ["1753", "unsupported", /Base Filtering Engine/],
    ["5", "denied", /administrator/],
    ["0x80320012", "busy", /another program/],
  ] as const
) {
  Deno.test(`an engine that refuses with ${code} is told as ${problem}`, () => {
    // What C reads is the environment of the start: set by the system's call.
    setVariable("SLUICE_TEST_WFP_REFUSE", code);
    try {
      assert.throws(open, (error) => {
        assert.ok(error instanceof KillSwitchError);
        assert.equal(error.problem, problem);
        assert.match(error.message, words);
        return true;
      });
    } finally {
      setVariable("SLUICE_TEST_WFP_REFUSE", "");
    }
  });
}

function setVariable(name: string, value: string): void {
  const library = Deno.dlopen("msvcrt.dll", {
    _putenv: { parameters: ["buffer"], result: "i32" },
  });
  library.symbols._putenv(new TextEncoder().encode(`${name}=${value}\0`));
  library.close();
}
