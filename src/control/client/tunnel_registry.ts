/**
 * All tunnels by name: their numbers, machines and providers. It does what the
 * machines want done, one operation of a tunnel after the other, keeps their
 * timers, and tells every change of a state.
 *
 * A change of a state is told before anything else is done about it, so that
 * flows are settled elsewhere before a way out is taken away.
 */
import type { TunnelFacts, TunnelState } from "../../core/route/rules/facts.ts";
import { parseAddress } from "../../core/wire/address.ts";
import { type ClientEngine, OUTBOUNDS } from "../client_engine.ts";
import type { BackoffOptions } from "./backoff.ts";
import type { TunnelDefinition } from "./client_plan.ts";
import type { Clock } from "./clock.ts";
import { OutboundNumbers } from "./outbound_numbers.ts";
import { PacketProvider } from "./packet_provider.ts";
import type { ProbeFailure, ResolveOutcome } from "./probe_outcome.ts";
import type { HostResolver, Prober } from "./probes.ts";
import { ProxyProvider } from "./proxy_provider.ts";
import { resolveFailure } from "./resolve_failure.ts";
import { TunnelMachine } from "./tunnel_machine.ts";
import type { TunnelOutput, TunnelStanding } from "./tunnel_output.ts";
import type { ProviderOptions, TunnelProvider } from "./tunnel_provider.ts";

/** A change of a tunnel's state. */
export interface TunnelChange {
  readonly tunnel: string;
  readonly from: TunnelState;
  readonly to: TunnelState;
  readonly reason: string;
  readonly at: number;
}

/** What the registry works with. */
export interface TunnelRegistryOptions {
  readonly engine: ClientEngine;
  readonly clock: Clock;
  readonly prober: Prober;
  readonly resolve: HostResolver;
  readonly backoff: BackoffOptions;
  /** Called for every change, before what follows from it is done. */
  readonly onChange: (change: TunnelChange) => void;
  readonly onWarning: (text: string) => void;
}

/** A tunnel that is there. */
export interface RegisteredTunnel {
  readonly definition: TunnelDefinition;
  readonly outbound: number;
  readonly provider: TunnelProvider;
  readonly standing: TunnelStanding;
}

/** What a change of the list came to. */
export interface TunnelListChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Those that connect anew. */
  readonly changed: readonly string[];
  /** Those whose probes or resolvers alone are others. */
  readonly adjusted: readonly string[];
}

interface Entry {
  definition: TunnelDefinition;
  readonly outbound: number;
  readonly provider: TunnelProvider;
  readonly machine: TunnelMachine;
  /** Operations under way: the next begins when they are done. */
  work: Promise<void>;
  timer: Disposable | undefined;
  removed: boolean;
}

/** The tunnels of a client. */
export class TunnelRegistry {
  readonly #options: TunnelRegistryOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #numbers: OutboundNumbers;
  /** What of numbers that were given back is still being taken away. */
  readonly #leaving = new Map<number, Promise<void>>();
  /** Why none is to run now. */
  #suspension: string | undefined;

  constructor(options: TunnelRegistryOptions) {
    this.#options = options;
    this.#numbers = new OutboundNumbers({
      count: OUTBOUNDS,
      isUsed: (outbound) =>
        options.engine.flows().some((flow) => flow.outbound === outbound),
    });
  }

  /** Tunnels as rules see them. */
  facts(): Map<string, TunnelFacts> {
    const facts = new Map<string, TunnelFacts>();
    for (const [name, { machine, provider }] of this.#entries) {
      const { state } = machine.standing;
      facts.set(name, { state, carries: provider.carries });
    }
    return facts;
  }

  get(name: string): RegisteredTunnel | undefined {
    const entry = this.#entries.get(name);
    return entry && view(entry);
  }

  /** In the order of their names' first appearance. */
  list(): RegisteredTunnel[] {
    return [...this.#entries.values()].map(view);
  }

  /** The tunnel of a number. */
  nameOf(outbound: number): string | undefined {
    return this.#numbers.nameOf(outbound);
  }

  /**
   * Makes the list so. Those that are the same stay as they are, also where they
   * are to be probed otherwise; those that are new connect; one that is switched
   * off and changes stays off.
   */
  set(definitions: readonly TunnelDefinition[]): TunnelListChanges {
    const wanted = new Map(definitions.map((item) => [item.name, item]));
    const added: string[] = [];
    const removed: string[] = [];
    const changed: string[] = [];
    const adjusted: string[] = [];
    const switchedOff = new Set<string>();
    for (const [name, entry] of this.#entries) {
      const definition = wanted.get(name);
      if (definition !== undefined && same(definition, entry.definition)) {
        continue;
      }
      if (definition !== undefined && sameWay(definition, entry.definition)) {
        adjusted.push(name);
        this.#adjust(entry, definition);
        continue;
      }
      if (definition === undefined) removed.push(name);
      else changed.push(name);
      if (!entry.machine.wanted) switchedOff.add(name);
      this.#remove(entry, definition === undefined ? "removed" : "changed");
    }
    for (const [name, definition] of wanted) {
      if (this.#entries.has(name)) continue;
      if (!changed.includes(name)) added.push(name);
      this.#add(definition, switchedOff.has(name) ? "off" : "on");
    }
    return { added, removed, changed, adjusted };
  }

  /** Switches a tunnel on or off; false where there is none of that name. */
  switch(name: string, wanted: "up" | "down"): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined) return false;
    const now = this.#options.clock.now();
    if (wanted === "up") entry.machine.connect(now);
    else entry.machine.disconnect(now);
    this.#drain(entry);
    return true;
  }

  /** Ends all of them until {@linkcode resume}. @param reason for people. */
  suspend(reason: string): void {
    this.#suspension = reason;
    this.#each((machine, now) => machine.suspend(reason, now));
  }

  /** Connects those that are wanted again. */
  resume(): void {
    this.#suspension = undefined;
    this.#each((machine, now) => machine.resume(now));
  }

  /** The network is another one: everything is tried at once. */
  handleNetworkChange(): void {
    this.#each((machine, now) => machine.handleNetworkChange(now));
  }

  /** A handshake came about: one that waits for its next try need not wait. */
  handleHandshake(outbound: number): void {
    const entry = this.#entries.get(this.nameOf(outbound) ?? "");
    if (entry === undefined || !entry.machine.wanted) return;
    entry.machine.connect(this.#options.clock.now());
    this.#drain(entry);
  }

  /** Removes all. @returns when everything is taken away. */
  async stop(): Promise<void> {
    for (const entry of [...this.#entries.values()]) {
      this.#remove(entry, "the client ends");
    }
    await Promise.all(this.#leaving.values());
  }

  #each(act: (machine: TunnelMachine, now: number) => void): void {
    const now = this.#options.clock.now();
    for (const entry of this.#entries.values()) {
      act(entry.machine, now);
      this.#drain(entry);
    }
  }

  #add(definition: TunnelDefinition, begin: "on" | "off"): void {
    const { clock, backoff, onWarning } = this.#options;
    const outbound = this.#numbers.take(definition.name);
    if (outbound === undefined) {
      onWarning(
        `tunnel ${definition.name}: no more than ${
          OUTBOUNDS - 1
        } tunnels at once, or flows of removed ones are still there`,
      );
      return;
    }
    const { engine, prober } = this.#options;
    const provider = createProvider({
      definition,
      outbound,
      engine,
      clock,
      prober,
    });
    const machine = new TunnelMachine(
      { health: definition.health, backoff },
      clock.now(),
    );
    const entry: Entry = {
      definition,
      outbound,
      provider,
      machine,
      work: this.#leaving.get(outbound) ?? Promise.resolve(),
      timer: undefined,
      removed: false,
    };
    this.#entries.set(definition.name, entry);
    if (this.#suspension !== undefined) {
      machine.suspend(this.#suspension, clock.now());
    }
    if (begin === "on") machine.connect(clock.now());
    this.#drain(entry);
  }

  #adjust(entry: Entry, definition: TunnelDefinition): void {
    entry.definition = definition;
    entry.provider.adjust(definition);
    entry.machine.adjust(definition.health, this.#options.clock.now());
    this.#drain(entry);
  }

  #remove(entry: Entry, reason: string): void {
    const { definition: { name }, outbound } = entry;
    entry.machine.disconnect(this.#options.clock.now(), reason);
    this.#drain(entry);
    entry.removed = true;
    entry.timer?.[Symbol.dispose]();
    this.#entries.delete(name);
    this.#numbers.release(name);
    const leaving = entry.work.then(() => {
      if (this.#leaving.get(outbound) === leaving) {
        this.#leaving.delete(outbound);
      }
    });
    this.#leaving.set(outbound, leaving);
  }

  /** Does what a machine wants done, then waits for its next timeout. */
  #drain(entry: Entry): void {
    const { clock } = this.#options;
    for (;;) {
      const output = entry.machine.poll();
      if (output === undefined) break;
      this.#perform(entry, output);
    }
    entry.timer?.[Symbol.dispose]();
    entry.timer = undefined;
    const next = entry.machine.nextTimeout();
    if (next === Infinity || entry.removed) return;
    entry.timer = clock.after(Math.max(0, next - clock.now()), () => {
      entry.machine.handleTimeout(clock.now());
      this.#drain(entry);
    });
  }

  #perform(entry: Entry, output: TunnelOutput): void {
    const { provider, machine, definition: { name } } = entry;
    const { clock, onChange } = this.#options;
    switch (output.kind) {
      case "state": {
        const { from, to, reason, at } = output;
        onChange({ tunnel: name, from, to, reason, at });
        break;
      }
      case "resolve":
        this.#resolve(provider.hosts).then((outcome) => {
          machine.handleResolved(output.ticket, outcome, clock.now());
          this.#drain(entry);
        });
        break;
      case "connect":
        this.#enqueue(entry, () => provider.connect(output.addresses));
        break;
      case "disconnect":
        this.#enqueue(entry, () => provider.disconnect());
        break;
      case "probe":
        // Behind what connects it; the machine gives up on its own if that takes too long.
        entry.work.then(() => provider.probe(output.trust)).catch(failure)
          .then((outcome) => {
            machine.handleProbe(output.ticket, outcome, clock.now());
            this.#drain(entry);
          });
        break;
    }
  }

  #enqueue(entry: Entry, operation: () => Promise<void>): void {
    entry.work = entry.work.then(operation).catch((error) => {
      const { text } = failure(error);
      entry.machine.handleConnectFailure(text, this.#options.clock.now());
      this.#drain(entry);
    });
  }

  /** Every host's addresses, or why the first that fails has none. */
  async #resolve(hosts: readonly string[]): Promise<ResolveOutcome> {
    const { resolve } = this.#options;
    const outcomes = await Promise.all(hosts.map(async (host) => {
      const literal = parseAddress(host);
      if (literal !== undefined) return [Int32Array.from(literal)];
      try {
        return await resolve(host);
      } catch (error) {
        return resolveFailure(host, error);
      }
    }));
    const addresses: (readonly Int32Array[])[] = [];
    for (const outcome of outcomes) {
      if ("kind" in outcome) return outcome;
      addresses.push(outcome);
    }
    return { kind: "ok", addresses };
  }
}

function view(
  { definition, outbound, provider, machine }: Entry,
): RegisteredTunnel {
  return { definition, outbound, provider, standing: machine.standing };
}

function createProvider(options: ProviderOptions): TunnelProvider {
  const { definition } = options;
  switch (definition.type) {
    case "wireguard":
    case "amneziawg":
      return new PacketProvider({ ...options, definition });
    case "socks5":
    case "http":
      return new ProxyProvider({ ...options, definition });
  }
}

function failure(error: unknown): ProbeFailure {
  const text = error instanceof Error ? error.message : String(error);
  return { kind: "failed", cause: "system", text };
}

/** Definitions are plain data: keys, addresses, texts. */
function same(one: TunnelDefinition, other: TunnelDefinition): boolean {
  return JSON.stringify(one, plain) === JSON.stringify(other, plain);
}

/** Whether two lead the same way, however they are probed and whoever resolves. */
function sameWay(one: TunnelDefinition, other: TunnelDefinition): boolean {
  const [a, b] = [one, other].map((definition) => ({
    ...definition,
    resolvers: [],
    health: undefined,
    ...("conf" in definition
      ? {
        conf: {
          ...definition.conf,
          interface: { ...definition.conf.interface, dns: undefined },
        },
      }
      : {}),
  }));
  return JSON.stringify(a, plain) === JSON.stringify(b, plain);
}

function plain(_key: string, value: unknown): unknown {
  return ArrayBuffer.isView(value)
    ? Array.from(value as unknown as Uint8Array)
    : value;
}
