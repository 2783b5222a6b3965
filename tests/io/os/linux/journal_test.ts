/** The journal of things to undo: its files, its owners, its corruption. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  journalDirectories,
  openJournal,
} from "../../../../src/io/os/linux/journal.ts";
import {
  parseJournal,
  type ProcessIdentity,
} from "../../../../src/io/os/journal_format.ts";
import {
  currentProcess,
  isAlive,
  parseStartTime,
} from "../../../../src/io/os/linux/journal_owner.ts";
import type { Journal, JournalEntry } from "../../../../src/io/ports.ts";

const ignore = Deno.build.os !== "linux";

const ENTRIES: readonly JournalEntry[] = [
  { kind: "file", path: "/run/wireguard/sluice0.sock" },
  { kind: "address", interface: "sluice0", index: 7, prefix: "10.8.0.1/24" },
  {
    kind: "route",
    interface: "sluice0",
    index: 7,
    prefix: "fd00::/8",
    metric: 5,
  },
  { kind: "reverse-path", interface: "eth0", index: 2, value: 1 },
  { kind: "routing-table", table: 5183 },
  { kind: "routing-rule", family: 6, priority: 5200, table: 5183 },
  { kind: "filter-table", name: "sluice", mark: "sluice 7 x" },
  { kind: "firewall-rule", name: "sluice UDP 51820" },
  { kind: "name-policy", key: "{0e4dd3a8-9d0c-4d65-8f5c-1c5a1b0c7f21}" },
  {
    kind: "name-servers",
    interface: "sluice0",
    guid: "{0e4dd3a8-9d0c-4d65-8f5c-1c5a1b0c7f21}",
  },
];

/** No process has this id: it is beyond the kernel's greatest limit. */
const DEAD: Pick<ProcessIdentity, "processId" | "startTime"> = {
  processId: 4_194_305,
  startTime: "1",
};

function inDirectory(name: string, check: (directory: string) => void): void {
  Deno.test({
    name,
    ignore,
    fn() {
      const parent = Deno.makeTempDirSync();
      try {
        check(`${parent}/state`);
      } finally {
        Deno.removeSync(parent, { recursive: true });
      }
    },
  });
}

function filesOf(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((file) => file.name).toSorted();
}

function journalOf(
  directory: string,
  owner: Partial<ProcessIdentity> = {},
): Journal {
  return openJournal({
    directories: [directory],
    owner: { ...currentProcess(), ...owner },
  });
}

inDirectory(
  "nothing is written before there is something to undo",
  (directory) => {
    const journal = journalOf(directory);
    assert.deepEqual(journal.location, { kind: "directory", directory });
    assert.deepEqual(filesOf(directory), []);
    journal.record("uapi", [ENTRIES[0]]);
    assert.deepEqual(filesOf(directory), [`${Deno.pid}.json`]);
    journal.record("uapi", []);
    assert.deepEqual(filesOf(directory), []);
    journal.record("uapi", []);
  },
);

inDirectory(
  "directory and file are closed to others, also where they were open",
  (directory) => {
    Deno.mkdirSync(directory, { mode: 0o755 });
    Deno.chmodSync(directory, 0o755);
    journalOf(directory).record("network:sluice0", ENTRIES);
    assert.equal(Deno.statSync(directory).mode! & 0o777, 0o700);
    const path = `${directory}/${Deno.pid}.json`;
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
  },
);

inDirectory(
  "a dead process's entries come back, the scopes in their order",
  (directory) => {
    const dead = journalOf(directory, DEAD);
    dead.record("uapi", [ENTRIES[0]]);
    dead.record("network:sluice0", ENTRIES.slice(1));
    const [leftover, ...others] = journalOf(directory).leftovers();
    assert.deepEqual(others, []);
    assert.deepEqual(leftover, {
      kind: "entries",
      path: `${directory}/${DEAD.processId}.json`,
      processId: DEAD.processId,
      entries: ENTRIES,
      network: "ours",
    });
  },
);

inDirectory(
  "a scope's later entries replace its earlier ones, others stay",
  (directory) => {
    const dead = journalOf(directory, DEAD);
    dead.record("network:a", [ENTRIES[1]]);
    dead.record("network:b", [ENTRIES[2]]);
    dead.record("network:a", [ENTRIES[0]]);
    const [leftover] = journalOf(directory).leftovers();
    assert.ok(leftover.kind === "entries");
    assert.deepEqual(leftover.entries, [ENTRIES[0], ENTRIES[2]]);
  },
);

inDirectory(
  "the living are left alone: this process, and another one",
  (directory) => {
    journalOf(directory).record("uapi", ENTRIES);
    const child = new Deno.Command("cat", { stdin: "piped", stdout: "null" })
      .spawn();
    try {
      const stat = Deno.readTextFileSync(`/proc/${child.pid}/stat`);
      const startTime = parseStartTime(stat)!;
      const alive = journalOf(directory, { processId: child.pid, startTime });
      alive.record("uapi", ENTRIES);
      assert.deepEqual(journalOf(directory).leftovers(), []);
      // The same id in the hands of a process that started at another time.
      const reused = journalOf(directory, {
        processId: child.pid,
        startTime: "1",
      });
      reused.record("uapi", ENTRIES);
      assert.equal(journalOf(directory).leftovers().length, 1);
    } finally {
      child.kill("SIGKILL");
    }
  },
);

inDirectory(
  "another boot's network is gone, another namespace's is not ours",
  (directory) => {
    const networkOf = (owner: Partial<ProcessIdentity>) => {
      journalOf(directory, { ...DEAD, ...owner }).record("uapi", ENTRIES);
      const [leftover] = journalOf(directory).leftovers();
      return leftover?.kind === "entries" ? leftover.network : leftover?.kind;
    };
    assert.equal(networkOf({}), "ours");
    assert.equal(networkOf({ network: "net:[1]" }), "other");
    assert.equal(networkOf({ boot: "before" }), "gone");
    assert.equal(
      networkOf({ boot: "before", processId: Deno.pid + 1 }),
      "gone",
    );
    // Process ids of another namespace cannot be looked up from here.
    Deno.removeSync(`${directory}/${Deno.pid + 1}.json`);
    assert.equal(networkOf({ processes: "pid:[1]" }), undefined);
  },
);

inDirectory(
  "a corrupted file is reported, and put aside when dealt with",
  (directory) => {
    const journal = journalOf(directory);
    const path = `${directory}/${DEAD.processId}.json`;
    Deno.writeTextFileSync(path, '{"version":1,');
    Deno.writeTextFileSync(`${directory}/notes.txt`, "no journal");
    const leftovers = journal.leftovers();
    assert.deepEqual(leftovers, [{
      kind: "malformed",
      path,
      reason: "not JSON",
    }]);
    journal.forget(leftovers[0]);
    assert.deepEqual(journal.leftovers(), []);
    assert.deepEqual(filesOf(directory), [
      `${DEAD.processId}.json.malformed`,
      "notes.txt",
    ]);
  },
);

inDirectory(
  "what is dealt with is removed; twice does no harm",
  (directory) => {
    journalOf(directory, DEAD).record("uapi", ENTRIES);
    const journal = journalOf(directory);
    const [leftover] = journal.leftovers();
    journal.forget(leftover);
    journal.forget(leftover);
    assert.deepEqual(filesOf(directory), []);
  },
);

inDirectory(
  "an unfit directory is passed over; without any it stays in memory",
  (directory) => {
    Deno.writeTextFileSync(directory, "a file");
    Deno.symlinkSync("/tmp", `${directory}-link`);
    const bad = [directory, `${directory}-link`, "/proc/nonexistent"];
    const memory = openJournal({ directories: bad });
    assert.ok(memory.location.kind === "memory");
    assert.deepEqual(
      memory.location.problems.map((problem) => problem.split(":")[0]),
      bad,
    );
    memory.record("uapi", ENTRIES);
    assert.deepEqual(memory.leftovers(), []);
    const good = openJournal({ directories: [...bad, `${directory}-good`] });
    assert.deepEqual(good.location, {
      kind: "directory",
      directory: `${directory}-good`,
    });
  },
);

Deno.test({
  name: "the usual directories are absolute",
  ignore,
  fn() {
    for (const directory of journalDirectories()) {
      assert.ok(directory.startsWith("/"), directory);
    }
  },
});

Deno.test({
  name: "this process is alive; so it is not for another start time",
  ignore,
  fn() {
    const process = currentProcess();
    assert.equal(process.processId, Deno.pid);
    assert.match(process.network, /^net:\[\d+\]$/);
    assert.ok(isAlive(process));
    assert.ok(!isAlive({ ...process, startTime: process.startTime + "0" }));
    assert.ok(!isAlive({ ...process, ...DEAD }));
  },
});

Deno.test("field 22 is found behind any program name; a zombie has none", () => {
  const rest = Array.from({ length: 40 }, (_, i) => String(i + 4)).join(" ");
  for (const name of ["deno", "a b", "x) R 1 (y", "((", ""]) {
    assert.equal(parseStartTime(`12 (${name}) S ${rest}`), "22", name);
  }
  assert.equal(parseStartTime(`12 (deno) Z ${rest}`), undefined);
  assert.equal(parseStartTime("12 (deno) S 1 2"), undefined);
  assert.equal(parseStartTime(""), undefined);
});

const GOOD = {
  version: 1,
  owner: {
    processId: 1,
    startTime: "2",
    boot: "b",
    processes: "p",
    network: "n",
  },
  scopes: { uapi: ENTRIES },
};

Deno.test("texts that make no sense are malformed, as a whole", () => {
  const [file, address, route] = ENTRIES;
  const bad: unknown[] = [
    null,
    [],
    7,
    { ...GOOD, version: 2 },
    { ...GOOD, owner: undefined },
    { ...GOOD, owner: { ...GOOD.owner, processId: -1 } },
    { ...GOOD, owner: { ...GOOD.owner, boot: 1 } },
    { ...GOOD, scopes: [] },
    { ...GOOD, scopes: { uapi: {} } },
    { ...GOOD, scopes: { uapi: [null] } },
    { ...GOOD, scopes: { uapi: [{ kind: "shell", command: "rm" }] } },
    { ...GOOD, scopes: { uapi: [{ ...file, path: "relative" }] } },
    { ...GOOD, scopes: { uapi: [file, { ...address, index: "7" }] } },
    { ...GOOD, scopes: { uapi: [{ ...route, metric: 1.5 }] } },
    { ...GOOD, scopes: { uapi: [{ ...route, prefix: undefined }] } },
    { ...GOOD, scopes: { uapi: [{ kind: "firewall-rule", name: "all" }] } },
    { ...GOOD, scopes: { names: [{ kind: "name-policy", key: "" }] } },
  ];
  for (const value of bad) {
    assert.equal(
      parseJournal(JSON.stringify(value)).kind,
      "malformed",
      JSON.stringify(value),
    );
  }
  const good = parseJournal(JSON.stringify(GOOD));
  assert.deepEqual(good, {
    kind: "journal",
    owner: GOOD.owner,
    entries: ENTRIES,
  });
});

Deno.test("every truncation is malformed, and no text or JSON throws", () => {
  const text = JSON.stringify(GOOD);
  for (let length = 0; length < text.length; length++) {
    assert.equal(parseJournal(text.slice(0, length)).kind, "malformed");
  }
  fc.assert(fc.property(fc.string(), (any) => void parseJournal(any)));
  fc.assert(fc.property(fc.json(), (any) => void parseJournal(any)));
});
