/** Run by process_table_test.ts in a network namespace of its own. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import type {
  FlowEnds,
  FlowOwner,
  ProcessInfo,
} from "../../../../src/io/ports.ts";
import { raiseOpenFileLimit } from "../../../../src/io/os/linux/limits.ts";
import { openProcessTable } from "../../../../src/io/os/linux/process_table.ts";
import {
  copyShell,
  flowOf,
  Program,
  type SocketText,
  TestSocket,
} from "./held_socket.ts";

const libc = openLibc();
/** A table that searches to the end, however slow the machine is. */
const PATIENT = { libc, searchMs: 60_000 };
raiseOpenFileLimit(libc);
const directory = Deno.makeTempDirSync();
globalThis.addEventListener("unload", () => {
  Deno.removeSync(directory, { recursive: true });
});

function shell(name: string): string {
  const path = `${directory}/${name}`;
  try {
    Deno.lstatSync(path);
    return path;
  } catch {
    return copyShell(path);
  }
}

/** Gives a new socket to a program under that name. */
function give(name: string, text: SocketText) {
  using socket = new TestSocket(libc, text);
  return { program: Program.start(shell(name)), port: socket.port };
}

function processOf(owner: FlowOwner): ProcessInfo {
  assert.equal(owner.kind, "process", JSON.stringify(owner));
  return (owner as FlowOwner & { kind: "process" }).process;
}

function reasonOf(owner: FlowOwner): string {
  return owner.kind === "unknown" ? owner.reason : owner.process.name;
}

Deno.test("TCP connections: IPv4, IPv6, IPv4 by an IPv6 socket", async () => {
  using table = openProcessTable(PATIENT);
  using four = new TestSocket(libc, {
    protocol: "tcp",
    local: "127.0.0.1:0",
    listen: true,
  });
  using six = new TestSocket(libc, {
    protocol: "tcp",
    family: 6,
    local: "[::1]:0",
    listen: true,
  });
  const cases = [
    { local: "127.0.0.1", remote: `127.0.0.1:${four.port}`, family: 4 },
    { local: "[::1]", remote: `[::1]:${six.port}`, family: 6 },
    {
      local: "127.0.0.1",
      remote: `127.0.0.1:${four.port}`,
      connect: `[::ffff:127.0.0.1]:${four.port}`,
      family: 6,
    },
  ] as const;
  for (const [i, { local, remote, family, ...rest }] of cases.entries()) {
    const connect = "connect" in rest ? rest.connect : remote;
    const { program, port } = give(`tcp${i}`, {
      protocol: "tcp",
      family,
      remote: connect,
    });
    await using _program = program;
    const owner = processOf(
      table.ownerOf(flowOf("tcp", `${local}:${port}`, remote)),
    );
    assert.equal(owner.processId, program.id);
    assert.equal(owner.path, `${directory}/tcp${i}`);
    assert.equal(owner.name, `tcp${i}`);
    assert.equal(owner.file, "present");
    assert.equal(owner.userId, Deno.uid());
    assert.equal(owner.ancestors[0].processId, Deno.pid);
    // The other end of a port, or another remote, is nobody's flow.
    const other = flowOf(
      "tcp",
      `${local}:${port}`,
      remote.replace(/\d+$/, "9"),
    );
    assert.equal(reasonOf(table.ownerOf(other)), "no-socket");
  }
});

Deno.test("what comes to a listener is the listener's", async () => {
  using table = openProcessTable(PATIENT);
  const { program, port } = give("listener", {
    protocol: "tcp",
    family: 6,
    local: "[::]:0",
    listen: true,
  });
  await using _program = program;
  const flow = flowOf("tcp", `127.0.0.1:${port}`, "127.0.0.1:40000");
  assert.equal(processOf(table.ownerOf(flow)).processId, program.id);
});

Deno.test("a connection that its program has closed is nobody's", () => {
  using table = openProcessTable(PATIENT);
  using listener = new TestSocket(libc, {
    protocol: "tcp",
    local: "127.0.0.1:0",
    listen: true,
  });
  let flow: FlowEnds;
  {
    using client = new TestSocket(libc, {
      protocol: "tcp",
      remote: `127.0.0.1:${listener.port}`,
    });
    flow = client.flow("127.0.0.1", `127.0.0.1:${listener.port}`);
    assert.equal(processOf(table.ownerOf(flow)).processId, Deno.pid);
  }
  assert.equal(reasonOf(table.ownerOf(flow)), "closed");
});

Deno.test("UDP: of any address, of both families, bound, connected", async () => {
  using table = openProcessTable(PATIENT);
  const cases: [SocketText, string, string][] = [
    [{ protocol: "udp", local: "0.0.0.0:0" }, "127.0.0.1", "192.0.2.1:53"],
    [
      { protocol: "udp", family: 6, local: "[::]:0" },
      "127.0.0.1",
      "192.0.2.1:53",
    ],
    [
      { protocol: "udp", family: 6, local: "[::]:0" },
      "[::1]",
      "[2001:db8::1]:53",
    ],
    [{ protocol: "udp", local: "127.0.0.1:0" }, "127.0.0.1", "192.0.2.1:53"],
    [{ protocol: "udp", remote: "127.0.0.1:53" }, "127.0.0.1", "127.0.0.1:53"],
    [
      { protocol: "udp", family: 6, remote: "[::ffff:127.0.0.1]:53" },
      "127.0.0.1",
      "127.0.0.1:53",
    ],
    [{ protocol: "udp", family: 6, remote: "[::1]:53" }, "[::1]", "[::1]:53"],
  ];
  for (const [i, [text, local, remote]] of cases.entries()) {
    const { program, port } = give(`udp${i}`, text);
    await using _program = program;
    const flow = flowOf("udp", `${local}:${port}`, remote);
    const owner = processOf(table.ownerOf(flow));
    assert.deepEqual([owner.processId, owner.name], [program.id, `udp${i}`]);
  }
  const { program, port } = give("six", {
    protocol: "udp",
    family: 6,
    local: "[::]:0",
    only6: true,
  });
  await using _program = program;
  const flow = flowOf("udp", `127.0.0.1:${port}`, "192.0.2.1:53");
  assert.equal(reasonOf(table.ownerOf(flow)), "no-socket");
});

Deno.test("UDP: a connected socket before one of any address at its port", async () => {
  using table = openProcessTable(PATIENT);
  const shared = true;
  const any = give("any", { protocol: "udp", local: "0.0.0.0:0", shared });
  await using _any = any.program;
  const local = `127.0.0.1:${any.port}`;
  const remote = "127.0.0.1:53";
  const one = give("one", { protocol: "udp", local, remote, shared });
  await using _one = one.program;
  const owner = (to: string) =>
    processOf(table.ownerOf(flowOf("udp", local, to))).name;
  assert.equal(owner(remote), "one");
  assert.equal(owner("192.0.2.1:53"), "any");
});

Deno.test("UDP: two programs at one port are told, one program's two sockets are its", async () => {
  using table = openProcessTable(PATIENT);
  const text = { protocol: "udp", local: "0.0.0.0:0", shared: true } as const;
  const first = give("first", text);
  await using _first = first.program;
  const local = `0.0.0.0:${first.port}`;
  const flow = flowOf("udp", `127.0.0.1:${first.port}`, "192.0.2.1:5353");
  {
    const second = give("second", { ...text, local });
    await using _second = second.program;
    assert.equal(reasonOf(table.ownerOf(flow)), "shared");
    assert.equal(table.counters().unknown.shared, 1);
  }
  const again = give("first", { ...text, local });
  await using _again = again.program;
  assert.equal(processOf(table.ownerOf(flow)).name, "first");
});

Deno.test("UDP: among many new sockets each is its program's, and two at one port are told", async () => {
  using table = openProcessTable(PATIENT);
  using resources = new DisposableStack();
  const remote = "127.0.0.1:53";
  const pair = { protocol: "udp", remote, shared: true } as const;
  const open = () =>
    resources.use(new TestSocket(libc, { protocol: "udp", remote }));
  const first = give("one-of-two", { ...pair, local: "127.0.0.1:0" });
  await using _first = first.program;
  const local = `127.0.0.1:${first.port}`;
  const second = give("two-of-two", { ...pair, local });
  await using _second = second.program;
  const shared = flowOf("udp", local, remote);
  for (let i = 0; i < 3000; i++) open();
  for (let i = 0; i < 300; i++) {
    const flow = open().flow("127.0.0.1", remote);
    assert.equal(processOf(table.ownerOf(flow)).processId, Deno.pid);
    assert.equal(reasonOf(table.ownerOf(shared)), "shared");
  }
});

Deno.test("of several holders the newest is told, and then the one that is left", async () => {
  using table = openProcessTable(PATIENT);
  using socket = new TestSocket(libc, {
    protocol: "udp",
    local: "127.0.0.1:0",
  });
  const flow = socket.flow("127.0.0.1", "192.0.2.1:53");
  {
    await using program = Program.start(shell("heir"));
    assert.equal(processOf(table.ownerOf(flow)).processId, program.id);
  }
  assert.equal(processOf(table.ownerOf(flow)).processId, Deno.pid);
});

Deno.test("a program that becomes another one, and one whose file is removed", async () => {
  using table = openProcessTable(PATIENT);
  const after = shell("after");
  using socket = new TestSocket(libc, {
    protocol: "udp",
    local: "127.0.0.1:0",
  });
  const flow = socket.flow("127.0.0.1", "192.0.2.1:53");
  await using program = Program.start(
    shell("before"),
    `exec ${after} -c 'echo there; read go'`,
  );
  assert.equal(processOf(table.ownerOf(flow)).name, "before");
  await program.goOn();
  assert.equal(await program.print(), "there");
  const owner = processOf(table.ownerOf(flow));
  assert.deepEqual([owner.processId, owner.name], [program.id, "after"]);
  Deno.removeSync(after);
  const removed = table.process(program.id);
  assert.deepEqual([removed?.path, removed?.file], [after, "deleted"]);
  copyShell(`${after} (deleted)`);
  await using odd = Program.start(`${after} (deleted)`);
  const named = table.process(odd.id);
  assert.deepEqual([named?.name, named?.file], ["after (deleted)", "present"]);
});

Deno.test("a program of another file system tree is not the one of that path here", async () => {
  using table = openProcessTable(PATIENT);
  const path = shell("contained");
  const child = new Deno.Command("unshare", {
    args: [
      ...["--mount", "--propagation", "private", "/bin/sh", "-c"],
      `mount -t tmpfs none ${directory} && cp /bin/sh ${path} && ` +
      `exec ${path} -c 'echo there; read go'`,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  const owner = table.process(child.pid);
  assert.deepEqual([owner?.path, owner?.file], [path, "other-root"]);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  await child.stdin.close();
});

Deno.test("thousands of sockets: each one's holder, and what that costs", async () => {
  const count = 4000;
  const sockets = Array.from(
    { length: count },
    () => new TestSocket(libc, { protocol: "udp", remote: "127.0.0.1:9" }),
  );
  const flows = sockets.map((one) => one.flow("127.0.0.1", "127.0.0.1:9"));
  await using many = Program.start(shell("many"));
  for (const socket of sockets) socket[Symbol.dispose]();
  using table = openProcessTable(PATIENT);
  for (let i = 0; i < count; i += 16) {
    assert.equal(processOf(table.ownerOf(flows[i])).processId, many.id);
  }
  // All were read when the table was opened: each is looked at once more.
  const opened = table.counters();
  assert.equal(opened.holderSearches, 0);
  assert.equal(opened.holderHits, count / 16);
  // A new socket of a program that was found before costs a few links.
  using another = new TestSocket(libc, {
    protocol: "udp",
    remote: "127.0.0.1:9",
  });
  await using few = Program.start(shell("few"));
  const flow = another.flow("127.0.0.1", "127.0.0.1:9");
  assert.equal(processOf(table.ownerOf(flow)).processId, few.id);
  const spent = table.counters().linksRead - opened.linksRead;
  assert.ok(spent < 200, `${spent} links`);
});

Deno.test("a search that takes too long goes on with the next one", async () => {
  const sockets = Array.from(
    { length: 3000 },
    () => new TestSocket(libc, { protocol: "udp", remote: "127.0.0.1:9" }),
  );
  using table = openProcessTable({ libc, searchMs: 0 });
  await using many = Program.start(shell("slow"));
  const flow = sockets.at(-1)!.flow("127.0.0.1", "127.0.0.1:9");
  for (const socket of sockets) socket[Symbol.dispose]();
  let asked = 0;
  for (;; asked++) {
    assert.ok(asked < 200);
    const owner = table.ownerOf(flow);
    if (owner.kind === "process") {
      assert.equal(owner.process.processId, many.id);
      break;
    }
    assert.equal(owner.reason, "unfinished");
  }
  assert.equal(table.counters().unknown.unfinished, asked);
});

Deno.test("programs that end during look-ups: an owner or a reason, nothing else", async () => {
  using table = openProcessTable(PATIENT);
  const reasons = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const { program, port } = give("brief", {
      protocol: "udp",
      local: "127.0.0.1:0",
    });
    const flow = flowOf("udp", `127.0.0.1:${port}`, "192.0.2.1:53");
    if (i % 2 === 0) assert.equal(reasonOf(table.ownerOf(flow)), "brief");
    // Killed, and asked for while it dies.
    const gone = program[Symbol.asyncDispose]();
    for (let n = 0; n < 20; n++) reasons.add(reasonOf(table.ownerOf(flow)));
    await gone;
    assert.equal(reasonOf(table.ownerOf(flow)), "no-socket");
  }
  const expected = ["brief", "no-socket", "no-holder", "ended", "closed"];
  for (const reason of reasons) assert.ok(expected.includes(reason), reason);
});

Deno.test("ancestors that were seen stay known after they end", async () => {
  using table = openProcessTable({ ...PATIENT, lineage: "asking" });
  assert.equal(table.lineage.kind, "asking");
  const child = shell("child");
  await using parent = Program.start(
    shell("parent"),
    `${child} -c 'echo $$; sleep 100' & wait $!`,
  );
  await parent.goOn();
  const id = Number(await parent.print());
  const names = () =>
    table.process(id)?.ancestors.slice(0, 2)
      .map(({ name, ended }) => `${name}${ended ? " †" : ""}`);
  assert.equal(names()?.[0], "parent");
  await parent[Symbol.asyncDispose]();
  // Who takes its children over is another matter: the line is the old one.
  const [first, second] = table.process(id)!.ancestors;
  assert.equal(first.name, "parent");
  assert.equal(second.processId, Deno.pid);
  Deno.kill(id, "SIGKILL");
});

Deno.test("a namespace has no events of processes: the table says why", () => {
  using table = openProcessTable(PATIENT);
  assert.equal(table.lineage.kind, "asking");
  assert.equal(table.descriptor, undefined);
  if (table.lineage.kind === "asking") assert.match(table.lineage.reason, /\w/);
});
