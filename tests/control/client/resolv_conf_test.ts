import assert from "node:assert/strict";
import { replaceableFile } from "../../../src/io/replaceable_file.ts";
import type { ReplaceableFile } from "../../../src/io/ports/replaceable_file.ts";
import { ResolvConf } from "../../../src/control/client/resolv_conf.ts";
import {
  formatTakeover,
  parseTakeover,
} from "../../../src/control/client/resolv_conf_journal.ts";
import {
  formatResolvConf,
  isLoopback,
  readNameservers,
} from "../../../src/control/client/resolv_conf_text.ts";
import { formatAddress } from "../../../src/core/wire/address.ts";
import { ClientWorld } from "./client_world.ts";
import { plan, resolver, ruleSet, wireguard, words } from "./plans.ts";
import { VirtualClock } from "./virtual_clock.ts";

const ORIGINAL =
  "# by hand\r\nnameserver 192.168.1.1\nsearch home.example\n\noptions edns0 \t\nnameserver 2001:db8::53";
const STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n";

/** A folder with a resolv.conf. */
class Folder implements Disposable {
  readonly directory = Deno.makeTempDirSync();
  readonly clock = new VirtualClock();
  readonly warnings: string[] = [];
  readonly alive = new Set<string>();
  changes = 0;

  get path(): string {
    return `${this.directory}/resolv.conf`;
  }

  get journal(): string {
    return `${this.directory}/state/journal.json`;
  }

  constructor() {
    Deno.mkdirSync(`${this.directory}/state`);
  }

  open(options: {
    owner?: string;
    file?: Partial<ReplaceableFile>;
    journal?: Partial<ReplaceableFile>;
    uplinks?: readonly string[];
  } = {}): ResolvConf {
    const quiet = { watch: () => ({ [Symbol.dispose]() {} }) };
    const { owner = "me", uplinks = [] } = options;
    return new ResolvConf({
      file: { ...replaceableFile(this.path), ...quiet, ...options.file },
      journal: { ...replaceableFile(this.journal), ...options.journal },
      owner,
      isAlive: (other) => this.alive.has(other),
      nameservers: [words("10.98.0.1"), words("fd98::1")],
      uplinks: uplinks.map((name) =>
        replaceableFile(`${this.directory}/${name}`)
      ),
      clock: this.clock,
      onChange: () => this.changes++,
      onWarning: (text) => void this.warnings.push(text),
    });
  }

  write(text: string, name = "resolv.conf"): void {
    Deno.writeTextFileSync(`${this.directory}/${name}`, text);
  }

  read(): string {
    return Deno.readTextFileSync(this.path);
  }

  /** Nothing of ours is left but what was there. */
  assertClean(...files: string[]): void {
    const names = [...Deno.readDirSync(this.directory)].map(({ name }) => name);
    assert.deepEqual(names.sort(), ["state", ...files].sort());
    assert.deepEqual([...Deno.readDirSync(`${this.directory}/state`)], []);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("resolv.conf: taken over with what else it says, put back byte for byte", () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  Deno.chmodSync(folder.path, 0o640);
  const conf = folder.open();
  assert.equal(conf.take(), "nothing");
  assert.equal(
    folder.read(),
    "# Made by sluice client.\n" +
      "# Questions follow the program that asks; what was here comes back at its end.\n" +
      "nameserver 10.98.0.1\nnameserver fd98::1\n" +
      "search home.example\noptions edns0 \t\n",
  );
  assert.deepEqual(
    conf.resolvers().map((found) => formatAddress(found.words)),
    ["192.168.1.1", "2001:db8::53"],
  );
  conf.restore();
  assert.equal(folder.read(), ORIGINAL);
  assert.equal(Deno.statSync(folder.path).mode! & 0o777, 0o640);
  folder.assertClean("resolv.conf");
  conf.restore();
  assert.equal(folder.read(), ORIGINAL, "a second time is nothing");
});

Deno.test("resolv.conf: a link comes back as the link that it was, its target is never touched", () => {
  using folder = new Folder();
  folder.write(STUB, "stub.conf");
  folder.write("nameserver 192.0.2.53\n", "uplink.conf");
  Deno.symlinkSync("./stub.conf", folder.path);
  const conf = folder.open({ uplinks: ["missing.conf", "uplink.conf"] });
  conf.take();
  assert.ok(Deno.lstatSync(folder.path).isFile);
  assert.match(folder.read(), /trust-ad/, "what the target says is kept");
  assert.deepEqual(
    conf.resolvers().map((found) => formatAddress(found.words)),
    ["192.0.2.53"],
    "whom the stub asks",
  );
  conf.restore();
  assert.equal(Deno.readLinkSync(folder.path), "./stub.conf");
  assert.equal(Deno.readTextFileSync(`${folder.directory}/stub.conf`), STUB);
  folder.assertClean("resolv.conf", "stub.conf", "uplink.conf");
});

Deno.test("resolv.conf: a link that leads nowhere, and no file at all", () => {
  using folder = new Folder();
  Deno.symlinkSync("/nowhere/at/all", folder.path);
  const link = folder.open();
  link.take();
  assert.match(folder.read(), /nameserver 10\.98\.0\.1/);
  link.restore();
  assert.equal(Deno.readLinkSync(folder.path), "/nowhere/at/all");
  Deno.removeSync(folder.path);
  const missing = folder.open();
  missing.take();
  assert.match(folder.read(), /nameserver 10\.98\.0\.1/);
  assert.deepEqual(missing.resolvers(), []);
  missing.restore();
  folder.assertClean();
});

for (
  const [form, prepare] of [
    ["a file", (folder: Folder) => folder.write(ORIGINAL)],
    ["a link", (folder: Folder) => {
      folder.write(STUB, "stub.conf");
      Deno.symlinkSync("stub.conf", folder.path);
    }],
    ["nothing", () => {}],
  ] as const
) {
  Deno.test(`resolv.conf: after a crash ${form} comes back, by whoever comes next`, () => {
    using folder = new Folder();
    prepare(folder);
    const before = look(folder.path);
    folder.open({ owner: "killed" }).take();
    assert.notEqual(look(folder.path), before);
    const next = folder.open({ owner: "next" });
    assert.equal(next.recover(), "restored");
    assert.equal(look(folder.path), before);
    assert.equal(next.recover(), "nothing");
    folder.open({ owner: "killed" }).take();
    assert.equal(next.take(), "restored", "taking recovers first");
    next.restore();
    assert.equal(look(folder.path), before);
  });
}

/** What stands at a path, as text. */
function look(path: string): string {
  const content = replaceableFile(path).look();
  return content.kind === "file"
    ? `file ${content.mode} ${new TextDecoder().decode(content.bytes)}`
    : content.kind === "link"
    ? `link ${content.target}`
    : content.kind;
}

Deno.test("resolv.conf: killed at any step it is as before, or comes back", () => {
  // Each write fails in turn, and everything behind it never happens.
  for (let step = 0; step < 8; step++) {
    using folder = new Folder();
    folder.write(ORIGINAL);
    let left = step;
    const failing = (path: string): Partial<ReplaceableFile> => ({
      put: (content) => {
        if (left-- <= 0) throw new Error("killed");
        replaceableFile(path).put(content);
      },
    });
    const conf = folder.open({
      owner: "killed",
      file: failing(folder.path),
      journal: failing(folder.journal),
    });
    try {
      conf.take();
      conf.restore();
    } catch (error) {
      assert.equal((error as Error).message, "killed");
    }
    const next = folder.open({ owner: "next" });
    assert.ok(["nothing", "restored", "left"].includes(next.recover()));
    assert.equal(folder.read(), ORIGINAL, `killed at step ${step}`);
    folder.assertClean("resolv.conf");
  }
});

Deno.test("resolv.conf: another client's that runs is left alone", () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  folder.open({ owner: "first" }).take();
  const taken = folder.read();
  folder.alive.add("first");
  const second = folder.open({ owner: "second" });
  assert.equal(second.recover(), "in-use");
  assert.throws(() => second.take(), /another running client's/);
  assert.equal(folder.read(), taken);
  folder.alive.clear();
  assert.equal(second.recover(), "restored");
  assert.equal(folder.read(), ORIGINAL);
});

Deno.test("resolv.conf: what others write meanwhile is what comes back", () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  const conf = folder.open({ owner: "killed" });
  conf.take();
  const dhcp = "nameserver 10.0.0.53\nsearch office.example\n";
  folder.write(dhcp);
  conf.check();
  assert.match(
    folder.read(),
    /nameserver 10\.98\.0\.1[^]*search office\.example/,
  );
  assert.equal(folder.changes, 1);
  assert.deepEqual(
    conf.resolvers().map((found) => formatAddress(found.words)),
    ["10.0.0.53"],
  );
  conf.check();
  assert.equal(folder.changes, 1, "nothing is new");
  assert.equal(folder.open({ owner: "next" }).recover(), "restored");
  assert.equal(folder.read(), dhcp, "after a crash too");
  const again = folder.open();
  again.take();
  folder.write("nameserver 10.0.0.99\n");
  again.restore();
  assert.equal(folder.read(), "nameserver 10.0.0.99\n", "nobody saw it yet");
});

Deno.test("resolv.conf: after a crash what others wrote since stays", () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  folder.open({ owner: "killed" }).take();
  folder.write("nameserver 10.0.0.53\n");
  assert.equal(folder.open({ owner: "next" }).recover(), "left");
  assert.equal(folder.read(), "nameserver 10.0.0.53\n");
  folder.assertClean("resolv.conf");
});

Deno.test("resolv.conf: who writes it again and again is given way, for a minute", async () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  const conf = folder.open();
  conf.take();
  for (let i = 0; i < 6; i++) {
    folder.write(`nameserver 10.0.0.${i}\n`);
    conf.check();
  }
  assert.equal(folder.read(), "nameserver 10.0.0.5\n");
  assert.equal(folder.warnings.length, 1);
  assert.match(folder.warnings[0], /written by somebody else again and again/);
  await folder.clock.advance(60_000);
  assert.match(folder.read(), /nameserver 10\.98\.0\.1/);
  conf.restore();
  assert.equal(folder.read(), "nameserver 10.0.0.5\n");
  folder.assertClean("resolv.conf");
});

Deno.test("resolv.conf: a journal that makes no sense is told and not believed", () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  for (const text of ["", "{}", "[1]", '{"version":1}', "\0"]) {
    folder.write(text, "state/journal.json");
    assert.equal(folder.open().recover(), "nothing");
    assert.match(folder.warnings.pop()!, /makes no sense/);
    assert.equal(folder.read(), ORIGINAL);
    folder.assertClean("resolv.conf");
  }
  folder.write(
    formatTakeover({
      owner: "x",
      path: "/etc/shadow",
      original: { kind: "missing" },
      ours: new Uint8Array(0),
    }),
    "state/journal.json",
  );
  assert.equal(folder.open().recover(), "nothing", "it is about another file");
});

Deno.test("resolv.conf: where it can't be replaced nothing is changed", () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  const file = {
    put: () => {
      throw new Error("read-only file system");
    },
  };
  assert.throws(() => folder.open({ file }).take(), /read-only/);
  assert.equal(folder.read(), ORIGINAL);
  folder.assertClean("resolv.conf");
  Deno.removeSync(folder.path);
  Deno.mkdirSync(folder.path);
  assert.throws(() => folder.open().take(), /is no file/);
});

Deno.test("resolv.conf: a change by another program is seen by the watch", async () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  const seen = Promise.withResolvers<void>();
  const conf = folder.open({
    file: {
      watch: (onChange) =>
        replaceableFile(folder.path).watch(() => {
          onChange();
          if (folder.changes > 0) seen.resolve();
        }),
    },
  });
  conf.take();
  folder.write("nameserver 10.0.0.53\n", "new");
  Deno.renameSync(`${folder.directory}/new`, folder.path);
  await seen.promise;
  assert.match(folder.read(), /nameserver 10\.98\.0\.1/);
  conf.restore();
  assert.equal(folder.read(), "nameserver 10.0.0.53\n");
});

Deno.test("resolv.conf journal: what is written is read, each truncation is refused", () => {
  const takeover = {
    owner: "123 456",
    path: "/etc/resolv.conf",
    original: {
      kind: "file",
      bytes: Uint8Array.from({ length: 256 }, (_, i) => i),
      mode: 0o644,
      userId: 0,
      groupId: 5,
    },
    ours: new TextEncoder().encode("nameserver ::1\n"),
  } as const;
  const text = formatTakeover(takeover);
  assert.deepEqual(parseTakeover(text), takeover);
  for (let end = 0; end < text.length - 1; end++) {
    assert.equal(parseTakeover(text.slice(0, end)), undefined);
  }
  const without = (key: string) =>
    JSON.stringify({ ...JSON.parse(text), [key]: undefined });
  for (const key of ["version", "owner", "path", "original", "ours"]) {
    assert.equal(parseTakeover(without(key)), undefined, key);
  }
});

Deno.test("resolv.conf text: nameservers, what is kept, loopback", () => {
  const found = readNameservers(
    "nameserver 1.1.1.1\n nameserver 2.2.2.2\n#nameserver 3.3.3.3\nnameserver\tfd00::1 x\nnameserver fe80::1%eth0\nnameserver x\n",
  );
  assert.deepEqual(found.map((item) => formatAddress(item)), [
    "1.1.1.1",
    "fd00::1",
  ]);
  assert.doesNotMatch(
    formatResolvConf("# x\nnameserver 9.9.9.9\n", []),
    /9\.9/,
  );
  assert.deepEqual(
    ["127.0.0.53", "127.9.9.9", "::1", "128.0.0.1", "fd00::1"].map((text) =>
      isLoopback(words(text))
    ),
    [true, true, true, false, false],
  );
});

Deno.test("client: resolv.conf is taken at the start, put back at the end, its resolvers are asked direct", async () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  const client = new ClientWorld(plan([], ruleSet([]), { direct: [] }), {
    resolvConf: folder.open(),
  });
  await client.start();
  assert.match(folder.read(), /nameserver 10\.98\.0\.1/);
  const row = client.flow({ kind: "unknown", reason: "closed" }, {
    remote: "10.98.0.1",
    port: 53,
    protocol: 17,
  });
  assert.equal(client.engine.state(row), "direct to 192.168.1.1:53");
  folder.write("nameserver 10.0.0.53\n");
  client.runtime.onNetworkChange([]);
  assert.equal(client.engine.state(row), "direct to 192.168.1.1:53");
  await client.runtime.stop();
  assert.equal(folder.read(), "nameserver 10.0.0.53\n");
});

Deno.test("client: without a resolver that is told the user is", async () => {
  using folder = new Folder();
  folder.write(STUB);
  const client = new ClientWorld(plan([], ruleSet([]), { direct: [] }), {
    resolvConf: folder.open(),
  });
  await client.start();
  const warning = client.events.find(({ kind }) => kind === "warning");
  assert.ok(warning?.kind === "warning");
  assert.match(warning.text, /name resolvers under dns\.direct/);
  await client.runtime.stop();
  assert.equal(folder.read(), STUB);
});

Deno.test("client: resolv.conf follows a change of the policy, and a tunnel without resolvers is told once", async () => {
  using folder = new Folder();
  folder.write(ORIGINAL);
  const tunnels = [wireguard("work"), wireguard("home", { dns: ["10.1.1.1"] })];
  const rules = ruleSet([]);
  const client = new ClientWorld(
    plan(tunnels, rules, { direct: [], policy: "leave" }),
    { resolvConf: folder.open() },
  );
  await client.start();
  assert.equal(folder.read(), ORIGINAL);
  assert.deepEqual(client.events.filter(({ kind }) => kind === "warning"), []);
  const follow = plan(tunnels, rules, { direct: [resolver("192.168.1.1")] });
  client.runtime.reload(follow);
  assert.match(folder.read(), /nameserver 10\.98\.0\.1/);
  client.runtime.reload({ ...follow, rules: ruleSet([], { kind: "drop" }) });
  const warnings = client.events.filter(({ kind }) => kind === "warning");
  assert.equal(warnings.length, 1);
  assert.match(JSON.stringify(warnings), /tunnel work has no resolver/);
  client.runtime.reload(plan(tunnels, rules, { policy: "leave" }));
  assert.equal(folder.read(), ORIGINAL);
  await client.runtime.stop();
  folder.assertClean("resolv.conf");
});
