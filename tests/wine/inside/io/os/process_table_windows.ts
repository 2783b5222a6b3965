/** Whose a socket is, by the tables of Windows. */
import assert from "node:assert/strict";
import {
  parseIpv4,
  parseIpv6,
  setMappedIpv4,
} from "../../../../../src/core/wire/address.ts";
import { openProcessTable } from "../../../../../src/io/os/windows/process_table.ts";
import type {
  FlowEnds,
  FlowOwner,
  ProcessInfo,
} from "../../../../../src/io/ports.ts";

const LOOPBACK = "127.0.0.1";

function words(text: string): Int32Array {
  const made = new Int32Array(4);
  const v4 = parseIpv4(text);
  if (v4 !== undefined) setMappedIpv4(made, 0, v4);
  else made.set(parseIpv6(text)!);
  return made;
}

function flow(
  protocol: FlowEnds["protocol"],
  local: Deno.NetAddr,
  remote: { readonly hostname: string; readonly port: number },
): FlowEnds {
  return {
    protocol,
    local: words(local.hostname),
    localPort: local.port,
    remote: words(remote.hostname),
    remotePort: remote.port,
  };
}

function processOf(owner: FlowOwner): ProcessInfo {
  assert.ok(owner.kind === "process", JSON.stringify(owner));
  return owner.process;
}

function openTable() {
  return openProcessTable({ now: () => performance.now() });
}

/** A Deno of its own that runs a text and says a line of JSON. */
function start(code: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", "--unstable-net", code],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`ended after ${JSON.stringify(text)}`);
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  return text.slice(0, text.indexOf("\n"));
}

async function end(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close().catch(() => {});
  try {
    child.kill();
  } catch {
    // It has ended by itself.
  }
  await child.stdout.cancel().catch(() => {});
  await child.status;
}

Deno.test("both ends of a connection of ours are ours", async () => {
  using table = openTable();
  using listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  using out = await Deno.connect({
    hostname: LOOPBACK,
    port: (listener.addr as Deno.NetAddr).port,
  });
  using accepted = await listener.accept();
  for (const end of [out, accepted]) {
    const local = end.localAddr as Deno.NetAddr;
    const remote = end.remoteAddr as Deno.NetAddr;
    const owner = processOf(table.ownerOf(flow("tcp", local, remote)));
    assert.equal(owner.processId, Deno.pid);
    assert.equal(owner.path?.toLowerCase(), Deno.execPath().toLowerCase());
    assert.equal(owner.name.toLowerCase(), "deno.exe");
    assert.notEqual(owner.user, "");
    assert.ok(owner.startTime > 0);
  }
});

Deno.test("IPv6 has its own table", async () => {
  using table = openTable();
  using listener = Deno.listen({ hostname: "::1", port: 0 });
  using out = await Deno.connect({
    hostname: "::1",
    port: (listener.addr as Deno.NetAddr).port,
  });
  const owner = table.ownerOf(flow(
    "tcp",
    out.localAddr as Deno.NetAddr,
    out.remoteAddr as Deno.NetAddr,
  ));
  assert.equal(processOf(owner).processId, Deno.pid);
});

for (const hostname of [LOOPBACK, "0.0.0.0"]) {
  Deno.test(`a UDP socket bound to ${hostname} is its program's`, () => {
    using table = openTable();
    const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    using _closing = { [Symbol.dispose]: () => socket.close() };
    const { port } = socket.addr as Deno.NetAddr;
    const local: Deno.NetAddr = { transport: "udp", hostname: LOOPBACK, port };
    const remote = { hostname: "192.0.2.1", port: 53 };
    const owner = table.ownerOf(flow("udp", local, remote));
    assert.equal(processOf(owner).processId, Deno.pid);
  });
}

Deno.test("nobody has a connection that there isn't", () => {
  using table = openTable();
  const local: Deno.NetAddr = {
    transport: "tcp",
    hostname: LOOPBACK,
    port: 1,
  };
  const owner = table.ownerOf(flow("tcp", local, { ...local, port: 2 }));
  assert.deepEqual(owner, { kind: "unknown", reason: "no-socket" });
  assert.equal(table.counters().unknown["no-socket"], 1);
});

Deno.test("another program's socket is that program's, and we started it", async () => {
  using table = openTable();
  const child = start(`
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    console.log(JSON.stringify([Deno.pid, socket.addr.port]));
    await Deno.stdin.read(new Uint8Array(1));
  `);
  try {
    const [processId, port] = JSON.parse(await firstLine(child));
    const local: Deno.NetAddr = { transport: "udp", hostname: LOOPBACK, port };
    const ends = flow("udp", local, { hostname: "192.0.2.1", port: 9 });
    const owner = processOf(table.ownerOf(ends));
    assert.equal(owner.processId, processId);
    const parent = owner.ancestors.find((one) => one.processId === Deno.pid);
    assert.equal(parent?.ended, false);
    await end(child);
    const after = table.ownerOf(ends);
    assert.equal(after.kind, "unknown");
  } finally {
    await end(child);
  }
});

Deno.test("who started it stays known after it has ended", async () => {
  using table = openTable();
  const child = start(`
    const grandchild = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--unstable-net", \`
        const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
        console.log(JSON.stringify([Deno.pid, socket.addr.port]));
        setTimeout(() => Deno.exit(), 20000);
      \`], stdin: "null", stdout: "piped", detached: true,
    }).spawn();
    const { value } = await grandchild.stdout.getReader().read();
    const line = new TextDecoder().decode(value).trim();
    console.log(JSON.stringify([Deno.pid, ...JSON.parse(line)]));
    await Deno.stdin.read(new Uint8Array(1));
    Deno.exit();
  `);
  let grandchild: number | undefined;
  try {
    const told: number[] = JSON.parse(await firstLine(child));
    const [childId, , port] = told;
    grandchild = told[1];
    const local: Deno.NetAddr = { transport: "udp", hostname: LOOPBACK, port };
    const ends = flow("udp", local, { hostname: "192.0.2.1", port: 9 });
    const line = () =>
      processOf(table.ownerOf(ends)).ancestors
        .map(({ processId, ended }) => `${processId} ${ended}`);
    assert.ok(line().includes(`${childId} false`), line().join());
    await end(child);
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.ok(line().includes(`${childId} true`), line().join());
  } finally {
    await end(child);
    if (grandchild !== undefined) Deno.kill(grandchild, "SIGKILL");
  }
});

Deno.test("a process by its id; an id that nobody has", () => {
  using table = openTable();
  assert.equal(table.process(Deno.pid)?.name.toLowerCase(), "deno.exe");
  assert.equal(table.process(0x7fff_fff0), undefined);
});
