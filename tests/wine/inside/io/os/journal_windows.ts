/** Journal, rights, registry and rules of name resolution under Wine. */
import assert from "node:assert/strict";
import { parseAddress } from "../../../../../src/core/wire/address.ts";
import {
  currentProcess,
  identify,
  isAlive,
  journalDirectories,
  openJournal,
} from "../../../../../src/io/os/windows/journal.ts";
import { openNamePolicy } from "../../../../../src/io/os/windows/name_policy.ts";
import { readPrivileges } from "../../../../../src/io/os/windows/privileges.ts";
import { Registry } from "../../../../../src/io/os/windows/registry.ts";
import { Security } from "../../../../../src/io/os/windows/security.ts";
import type { JournalEntry } from "../../../../../src/io/ports.ts";

const LOCAL_TABLE =
  "SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig";
const POLICY_TABLE =
  "SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig";
const KEY = "{0e4dd3a8-9d0c-4d65-8f5c-1c5a1b0c7f21}";

const ENTRIES: readonly JournalEntry[] = [
  { kind: "file", path: "C:\\ProgramData\\sluice\\control.sock" },
  { kind: "address", interface: "sluice0", index: 7, prefix: "10.8.0.1/24" },
  { kind: "route", interface: "sluice0", index: 7, prefix: "fd00::/8" },
  { kind: "firewall-rule", name: "sluice UDP 51820" },
  { kind: "name-policy", key: KEY },
  { kind: "name-servers", interface: "sluice0", guid: KEY },
];

/** A process that runs until it is ended. */
async function sleeper() {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "console.log('up'); setInterval(() => {}, 1 << 30)"],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  return child;
}

Deno.test("the journal lies where administrators alone may go, and is found again", () => {
  const directories = journalDirectories();
  assert.deepEqual(directories, ["C:\\ProgramData\\sluice"]);
  const journal = openJournal(directories);
  assert.deepEqual(journal.location, {
    kind: "directory",
    directory: directories[0],
  });
  journal.record("all", ENTRIES);
  assert.deepEqual(journal.leftovers(), []);
  const later = openJournal(directories, {
    ...currentProcess(),
    processId: 999_999,
  });
  assert.deepEqual(later.leftovers(), []);
  // The same process number, of another start.
  const other = openJournal(directories, {
    ...currentProcess(),
    processId: 999_999,
    startTime: "1",
  });
  other.record("all", ENTRIES);
  const [left] = journal.leftovers();
  assert.equal(left.kind, "entries");
  assert.deepEqual(left.kind === "entries" && left.entries, ENTRIES);
  assert.equal(left.kind === "entries" && left.network, "ours");
  journal.forget(left);
  assert.deepEqual(journal.leftovers(), []);
  journal.record("all", []);
  assert.deepEqual([...Deno.readDirSync(directories[0])], []);
});

Deno.test("a journal that makes no sense is put aside", () => {
  const [directory] = journalDirectories();
  const journal = openJournal([directory]);
  Deno.writeTextFileSync(`${directory}\\77.json`, "{");
  const [left] = journal.leftovers();
  assert.equal(left.kind, "malformed");
  journal.forget(left);
  assert.deepEqual(journal.leftovers(), []);
  Deno.removeSync(`${directory}\\77.json.malformed`);
});

Deno.test("a file where the folder should be is no place for a journal", () => {
  using security = new Security();
  const path = Deno.makeTempFileSync();
  assert.equal(security.closedFolder(path), "not a folder");
  assert.match(
    security.closedFolder(`${path}\\below`)!,
    /CreateDirectoryW/,
  );
  Deno.removeSync(path);
});

Deno.test("a process lives until it ends, and not as another one", async () => {
  const child = await sleeper();
  const identity = identify(child.pid);
  assert.equal(isAlive(identity), true);
  assert.equal(isAlive({ ...identity, startTime: "1" }), false);
  assert.equal(isAlive(currentProcess()), true);
  child.kill("SIGKILL");
  await child.status;
  assert.equal(isAlive(identity), false);
});

Deno.test("an administrator may do it", () => {
  const { netAdmin, netRaw, userId, advice } = readPrivileges();
  assert.deepEqual({ netAdmin, netRaw, userId }, {
    netAdmin: true,
    netRaw: true,
    userId: 0,
  });
  assert.match(advice.rights, /administrator/);
});

Deno.test("values of a key are read as they were set, and go with it", () => {
  using registry = new Registry();
  const key = "SOFTWARE\\sluice test";
  assert.equal(registry.has(key), false);
  assert.equal(registry.text(key, "text"), undefined);
  registry.set(`${key}\\below`, {
    text: { kind: "text", text: "größer 😀" },
    texts: { kind: "texts", texts: [".", "second"] },
    number: { kind: "number", number: 8 },
  });
  assert.equal(registry.text(`${key}\\below`, "text"), "größer 😀");
  assert.equal(registry.text(`${key}\\below`, "texts"), ".");
  assert.equal(registry.text(`${key}\\below`, "number"), undefined);
  assert.equal(registry.remove(key), true);
  assert.equal(registry.remove(key), false);
  assert.equal(registry.has(`${key}\\below`), false);
});

Deno.test("a rule for every name is in the local table, and in a group policy's where there is one", () => {
  using policy = openNamePolicy();
  using registry = new Registry();
  const resolvers = ["198.18.0.2", "fd77::2"].map((text) =>
    parseAddress(text)!
  );
  policy.set(KEY, resolvers);
  assert.equal(registry.text(`${LOCAL_TABLE}\\${KEY}`, "Name"), ".");
  assert.equal(
    registry.text(`${LOCAL_TABLE}\\${KEY}`, "GenericDNSServers"),
    "198.18.0.2;fd77::2",
  );
  assert.equal(registry.has(POLICY_TABLE), false);
  registry.set(POLICY_TABLE, {});
  policy.set(KEY, resolvers);
  assert.equal(registry.has(`${POLICY_TABLE}\\${KEY}`), true);
  assert.equal(policy.remove(KEY), true);
  assert.equal(registry.has(`${LOCAL_TABLE}\\${KEY}`), false);
  assert.equal(registry.has(`${POLICY_TABLE}\\${KEY}`), false);
  assert.equal(policy.remove(KEY), false);
  registry.remove(POLICY_TABLE);
});
