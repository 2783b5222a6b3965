/**
 * Changes of the network under Wine, which takes the calls for news and never
 * tells any: they are seen by looking. Run by host_network_test.ts, which makes
 * t0.
 */
import assert from "node:assert/strict";
import { openKernel32, WAIT } from "../../../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../../../ffi/windows/wide_text.ts";
import { parsePrefix } from "../../../../../src/core/wire/address.ts";
import {
  type IpTables,
  openIpTables,
} from "../../../../../src/io/os/windows/ip_helper.ts";
import { networkMonitorOf } from "../../../../../src/io/os/windows/network_monitor.ts";
import type {
  NetworkChange,
  NetworkMonitor,
} from "../../../../../src/io/ports.ts";

const NEVER_MS = 60_000;

function own(text: string, index: number) {
  const { family, words, length } = parsePrefix(text)!;
  return { family, words: Int32Array.from(words), prefixLength: length, index };
}

/** What a monitor tells, one burst after the other. */
class Told {
  readonly monitor: NetworkMonitor;
  readonly #bursts: (readonly NetworkChange[])[] = [];
  #wake: () => void = () => {};

  constructor(options: {
    readonly lookMs: number;
    readonly tables?: IpTables;
    readonly clock?: () => number;
    readonly ignored?: (name: string) => boolean;
  }) {
    this.monitor = networkMonitorOf({
      tables: openIpTables(),
      clock: () => performance.now(),
      quietMs: 20,
      onChange: (changes) => {
        this.#bursts.push(changes);
        this.#wake();
      },
      onFailure: (error) => {
        throw error;
      },
      ...options,
    });
  }

  async next(): Promise<readonly NetworkChange[]> {
    if (this.#bursts.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#bursts.shift()!;
  }
}

Deno.test("a monitor that can't look takes back what it asked for", async () => {
  using tables = openIpTables();
  const broken = Object.create(tables, {
    links: {
      value: () => {
        throw new Error("no links");
      },
    },
  });
  assert.throws(() => new Told({ lookMs: NEVER_MS, tables: broken }), {
    message: "no links",
  });
  // Nothing is left that would call with an event that is closed.
  await new Promise((resolve) => setTimeout(resolve, 200));
});

Deno.test("an address is seen by the next look", async () => {
  using tables = openIpTables();
  const { index } = tables.link("t0")!;
  const told = new Told({ lookMs: 50 });
  await using _ = told.monitor;
  for (const now of ["present", "gone"] as const) {
    const address = own("10.66.0.1/24", index);
    if (now === "present") tables.addAddress(address);
    else tables.removeAddress(address);
    const changes = await told.next();
    assert.deepEqual(
      changes.filter(({ kind }) => kind === "address"),
      [{
        kind: "address",
        interface: "t0",
        index,
        family: 4,
        words: address.words,
        now,
      }],
    );
  }
});

Deno.test("a default route is seen by the next look", async () => {
  using tables = openIpTables();
  const { index } = tables.link("t0")!;
  tables.addAddress(own("10.66.0.1/24", index));
  const told = new Told({ lookMs: 50 });
  await using _ = told.monitor;
  const route = own("0.0.0.0/0", index);
  tables.addRoute(route);
  assert.deepEqual(await told.next(), [{
    kind: "defaultRoute",
    family: 4,
    interface: "t0",
    index,
    gateway: undefined,
  }]);
  tables.removeRoute(route);
  assert.deepEqual(await told.next(), [{
    kind: "defaultRoute",
    family: 4,
    interface: undefined,
    index: undefined,
    gateway: undefined,
  }]);
  tables.removeAddress(own("10.66.0.1/24", index));
});

Deno.test("a clock that went on while the machine did not is sleep", async () => {
  let slept = 0;
  const told = new Told({
    lookMs: 50,
    clock: () => performance.now() + slept,
  });
  await using _ = told.monitor;
  slept = 7000;
  const [change] = await told.next();
  assert.equal(change.kind, "resume");
  assert.ok(change.kind === "resume" && Math.abs(change.sleptMs - 7000) < 500);
});

Deno.test("what is asked for by hand is told without waiting for a look", async () => {
  using tables = openIpTables();
  const { index } = tables.link("t0")!;
  const told = new Told({ lookMs: NEVER_MS });
  await using _ = told.monitor;
  tables.addAddress(own("10.66.0.1/24", index));
  told.monitor.check();
  const changes = await told.next();
  assert.ok(changes.some(({ kind }) => kind === "address"));
  tables.removeAddress(own("10.66.0.1/24", index));
});

Deno.test("the callback of the system's sets an event by its first argument", () => {
  using kernel32 = openKernel32();
  const { call } = kernel32;
  const event = call.CreateEventW(null, 0, 0, null);
  const setEvent = call.GetProcAddress(
    call.GetModuleHandleW(wideText("kernel32.dll")),
    new TextEncoder().encode("SetEvent\0"),
  );
  const definition = {
    parameters: ["pointer", "pointer", "u32"],
    result: "void",
  } as const;
  const address = Deno.UnsafePointer.value(setEvent);
  const callback = new Deno.UnsafeFnPointer(
    Deno.UnsafePointer.create<typeof definition>(BigInt(address))!,
    definition,
  );
  assert.equal(call.WaitForSingleObject(event, 0), WAIT.TIMEOUT);
  const context = Deno.UnsafePointer.create(BigInt(event));
  callback.call(context, context, 2);
  assert.equal(call.WaitForSingleObject(event, 0), WAIT.OBJECT_0);
  call.CloseHandle(event);
});

Deno.test("news that change nothing are counted, and looks without news are not", async () => {
  using tables = openIpTables();
  const { index } = tables.link("t0")!;
  const told = new Told({ lookMs: NEVER_MS, ignored: (name) => name === "t0" });
  await using _ = told.monitor;
  assert.deepEqual(told.monitor.counters(), { told: 0, idle: 0 });
  tables.addAddress(own("10.66.0.1/24", index));
  told.monitor.check();
  while (told.monitor.counters().idle === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(told.monitor.counters().told, 0);
  tables.removeAddress(own("10.66.0.1/24", index));
});
