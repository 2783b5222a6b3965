/** Run by network_monitor_test.ts in a network namespace of its own. */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import type {
  NetworkChange,
  NetworkMonitorOptions,
} from "../../../../src/io/ports.ts";
import { Netlink } from "../../../../src/io/os/linux/netlink.ts";
import { openNetworkMonitor } from "../../../../src/io/os/linux/network_monitor.ts";
import { waitFor } from "../../../support/wait.ts";

const libc = openLibc();

/** Runs lines of `ip` at once. */
async function ip(...lines: string[]): Promise<void> {
  const child = new Deno.Command("ip", {
    args: ["-batch", "-"],
    stdin: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(lines.join("\n") + "\n"));
  await writer.close();
  const { success, stderr } = await child.output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

function line(change: NetworkChange): string {
  switch (change.kind) {
    case "link":
      return `${change.interface} ${change.now}`;
    case "address":
      return `IPv${change.family} on ${change.interface} ${change.now}`;
    case "defaultRoute":
      return `IPv${change.family} by ${change.interface ?? "none"}`;
    case "resume":
      return `resume (${change.cause})`;
  }
}

class Watch implements AsyncDisposable {
  readonly bursts: string[][] = [];
  readonly monitor;

  constructor(options: Partial<NetworkMonitorOptions> = {}) {
    this.monitor = openNetworkMonitor(libc, {
      onChange: (changes) => this.bursts.push(changes.map(line)),
      onFailure: (error) => {
        throw error;
      },
      quietMs: 50,
      ...options,
    });
  }

  /** Waits until all of these were told, in whatever bursts. */
  async until(...expected: string[]): Promise<void> {
    await waitFor(expected.join(", "), () => {
      const all = this.bursts.flat();
      return Promise.resolve(expected.every((one) => all.includes(one)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.monitor[Symbol.asyncDispose]();
  }
}

const NAMES = ["wire", "air"];

/** Without IPv6 there are no link-local addresses to come later. */
async function make(...names: string[]): Promise<void> {
  await ip(
    ...names.map((name) => `link add ${name} type veth peer name ${name}x`),
  );
  for (const name of names) {
    for (const one of [name, `${name}x`]) {
      await new Deno.Command("sh", {
        args: ["-c", `echo 1 > /proc/sys/net/ipv6/conf/${one}/disable_ipv6`],
      }).output();
    }
  }
  await ip(
    ...names.flatMap((name) => [
      `link set ${name} up`,
      `link set ${name}x up`,
    ]),
  );
  // The carrier comes a little later.
  using netlink = new Netlink(libc);
  await waitFor("the carriers", () =>
    Promise.resolve(
      netlink.links().every((link) => link.running || !link.up),
    ));
}

async function unmake(...names: string[]): Promise<void> {
  await ip(...names.map((name) => `link delete ${name}`));
}

Deno.test("one burst for what happens together; what is undone at once is nothing", async () => {
  await make(...NAMES);
  await using watch = new Watch({ quietMs: 400, burstMs: 3000 });
  await ip(
    "address add 10.1.0.2/24 dev wire",
    "route add default via 10.1.0.1 dev wire metric 100",
    "address add 10.2.0.2/24 dev air",
    "route add default via 10.2.0.1 dev air metric 200",
  );
  await watch.until("IPv4 by wire");
  assert.deepEqual(watch.bursts, [
    ["IPv4 on wire present", "IPv4 on air present", "IPv4 by wire"],
  ]);
  await ip(
    "address add 10.3.0.2/24 dev wire",
    "address delete 10.3.0.2/24 dev wire",
  );
  await waitFor(
    "a burst without change",
    () => Promise.resolve(watch.monitor.counters().idle > 0),
  );
  assert.equal(watch.bursts.length, 1);
  await unmake(...NAMES);
});

Deno.test("the default route moves when its interface loses its link or goes", async () => {
  await make(...NAMES);
  await ip(
    "address add 10.1.0.2/24 dev wire",
    "address add 10.2.0.2/24 dev air",
    "route add default via 10.1.0.1 dev wire metric 100",
    "route add default via 10.2.0.1 dev air metric 200",
  );
  await using watch = new Watch();
  // The kernel says nothing about routes that go with a link.
  await ip("link set wire down");
  await watch.until("wire down", "IPv4 by air");
  await unmake("air");
  await watch.until("air gone", "IPv4 on air gone", "IPv4 by none");
  await unmake("wire");
});

Deno.test("interfaces that don't count are not told of", async () => {
  await make("wire");
  await using watch = new Watch({
    ignored: (name) => name.startsWith("sluice"),
  });
  await make("sluice0");
  await ip(
    "address add 10.8.0.1/24 dev sluice0",
    "route add default dev sluice0",
  );
  await waitFor(
    "a burst without change",
    () => Promise.resolve(watch.monitor.counters().idle > 0),
  );
  await ip("address add 10.1.0.2/24 dev wire");
  await watch.until("IPv4 on wire present");
  assert.ok(
    !watch.bursts.flat().some((text) =>
      /sluice0 |on sluice0|by sluice0/.test(text)
    ),
  );
  await unmake("sluice0", "wire");
});

Deno.test("a flood of news is told, and not for ever put off", async () => {
  await make("wire");
  await using watch = new Watch({ quietMs: 200, burstMs: 400 });
  const lines: string[] = [];
  for (let i = 1; i < 2000; i++) {
    lines.push(`address add 10.9.${i >> 8}.${i & 255}/32 dev wire`);
  }
  let isOver = false;
  const flood = (async () => {
    await ip(...lines);
    isOver = true;
  })();
  await flood;
  assert.ok(isOver);
  await waitFor(
    "all addresses",
    () => Promise.resolve(watch.bursts.flat().length >= 1999),
  );
  assert.equal(watch.bursts.flat().length, 1999);
  await unmake("wire");
});

Deno.test("a process that was stopped and goes on says so", async () => {
  await using watch = new Watch();
  Deno.kill(Deno.pid, "SIGCONT");
  await watch.until("resume (stopped)");
});

Deno.test("checking by hand; the end leaves nothing open", async () => {
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = open();
  {
    await using watch = new Watch();
    watch.monitor.check();
    await waitFor(
      "a look",
      () => Promise.resolve(watch.monitor.counters().idle > 0),
    );
  }
  assert.ok(open() <= before);
});
