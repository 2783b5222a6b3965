/** Name resolution taken over and given back, over a Windows network in memory. */
import assert from "node:assert/strict";
import {
  formatAddress,
  parseAddress,
} from "../../../../src/core/wire/address.ts";
import { WindowsNameResolution } from "../../../../src/io/os/windows/name_resolution.ts";
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import type { JournalEntry } from "../../../../src/io/ports.ts";
import { MemoryNamePolicy, MemoryNetwork } from "./memory_network.ts";

const CAPTURE = 9;
const ETHERNET = 8;

function words(text: string): Int32Array {
  return Int32Array.from(parseAddress(text)!);
}

function host() {
  const tables = new MemoryNetwork();
  tables.addLink(ETHERNET, "Ethernet");
  tables.addLink(CAPTURE, "sluice");
  const resolvers = ["192.0.2.1", "fec0:0:0:ffff::1", "127.0.0.1", "192.0.2.1"];
  tables.setResolvers(tables.link("Ethernet")!.guid, resolvers.map(words));
  tables.calls.length = 0;
  const policy = new MemoryNamePolicy();
  const recorded: (readonly JournalEntry[])[] = [];
  const warnings: string[] = [];
  const names = new WindowsNameResolution({
    tables,
    policy,
    interfaceName: "sluice",
    nameservers: [words("198.18.0.2")],
    onWarning: (text) => void warnings.push(text),
    journal: {
      location: { kind: "memory", problems: [] },
      record: (_scope, entries) => void recorded.push(entries),
      leftovers: () => [],
      forget: () => {},
    },
  });
  return { tables, policy, names, recorded, warnings };
}

Deno.test("every name is asked of ours, until it is given back", () => {
  const { tables, policy, names, recorded, warnings } = host();
  names.take();
  names.take();
  assert.deepEqual([...policy.rules.values()], [["198.18.0.2"]]);
  assert.deepEqual(tables.calls, [`resolvers ${CAPTURE} [198.18.0.2]`]);
  const [key] = policy.rules.keys();
  const { guid } = tables.link("sluice")!;
  assert.deepEqual(recorded, [[
    { kind: "name-policy", key },
    { kind: "name-servers", interface: "sluice", guid },
  ]]);
  names.restore();
  names.restore();
  assert.deepEqual([...policy.rules], []);
  assert.equal(tables.calls.at(-1), `resolvers ${CAPTURE} []`);
  assert.deepEqual(recorded.at(-1), []);
  assert.deepEqual(warnings, []);
});

Deno.test("whom the system would ask is told without ours, and once each", () => {
  const { names } = host();
  const asked = () =>
    names.resolvers().map(({ words, port }) =>
      `${formatAddress(words)}:${port}`
    );
  assert.deepEqual(asked(), ["192.0.2.1:53"]);
  names.take();
  assert.deepEqual(asked(), ["192.0.2.1:53"]);
});

Deno.test("where an interface takes no resolvers the rule stands, and that is said", () => {
  const { tables, policy, names, recorded, warnings } = host();
  tables.setResolvers = () => {
    throw new Win32Error("SetInterfaceDnsSettings", Win32.NotSupported);
  };
  names.take();
  assert.equal(policy.rules.size, 1);
  assert.equal(warnings.length, 1);
  assert.deepEqual(recorded.at(-1)?.map(({ kind }) => kind), ["name-policy"]);
  names.restore();
  assert.equal(policy.rules.size, 0);
});

Deno.test("a rule that can't be made leaves nothing behind", () => {
  const { policy, names, recorded } = host();
  policy.set = () => {
    throw new Win32Error("RegCreateKeyExW", Win32.AccessDenied);
  };
  assert.throws(() => names.take(), /RegCreateKeyExW: access denied/);
  assert.deepEqual(recorded.at(-1), []);
});

Deno.test("without a capture there is nothing to ask", () => {
  const { tables, names } = host();
  tables.removeLink("sluice");
  assert.throws(() => names.take(), /no interface named sluice/);
});
