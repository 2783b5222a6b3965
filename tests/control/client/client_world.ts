/** A control plane in a world that a test plays: packet side, programs, names, probes. */
import { ClientRuntime } from "../../../src/control/client/client_runtime.ts";
import type { ClientEvent } from "../../../src/control/client/client_control.ts";
import type { ClientPlan } from "../../../src/control/client/client_plan.ts";
import type { EgressChoice } from "../../../src/control/client/network_reaction.ts";
import type { ProbeOutcome } from "../../../src/control/client/probe_outcome.ts";
import type { ProbeRequest } from "../../../src/control/client/probes.ts";
import type { ClientRuntimeOptions } from "../../../src/control/client/client_runtime.ts";
import type {
  FlowEnds,
  FlowOwner,
  ProcessTable,
} from "../../../src/io/ports/process_table.ts";
import { FakeEngine, type FakeFlow } from "./fake_engine.ts";
import { words } from "./plans.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** The process id that the world's client has. */
export const OWN_PROCESS = 4242;
/** The capture's stand-in for resolvers. */
export const NAMESERVER = "10.98.0.1";

const ETHERNET = {
  ipv4: {
    interfaceIndex: 2,
    interfaceName: "eth0",
    source: words("192.168.1.50"),
  },
  ipv6: undefined,
};

/** Everything about one client. */
export class ClientWorld {
  readonly clock = new VirtualClock();
  readonly engine = new FakeEngine(this.clock);
  readonly events: ClientEvent[] = [];
  readonly probes: ProbeRequest[] = [];
  readonly lookedUp: string[] = [];
  /** Addresses by name; an error is thrown. */
  readonly hosts = new Map<string, readonly string[] | Error>();
  /** What probes come to, by tunnel; all succeed otherwise. */
  readonly outcomes = new Map<string, ProbeOutcome>();
  /** Who owns flows, by local port; the answer of the last entry stays. */
  readonly owners = new Map<number, FlowOwner[]>();
  readonly runtime: ClientRuntime;
  egress: EgressChoice = ETHERNET;
  /** Owner of flows that nobody was named for. */
  owner: FlowOwner = { kind: "unknown", reason: "no-socket" };
  asked = 0;

  constructor(plan: ClientPlan, options: Partial<ClientRuntimeOptions> = {}) {
    this.runtime = new ClientRuntime({
      plan,
      engine: this.engine,
      processes: this.#processes(),
      ownProcessId: OWN_PROCESS,
      pathStyle: "posix",
      clock: this.clock,
      random: () => 0.5,
      resolve: (host) => this.#resolve(host),
      prober: (request) => {
        this.probes.push(request);
        return Promise.resolve(
          this.outcomes.get(request.tunnel) ?? { kind: "ok" },
        );
      },
      chooseEgress: () => this.egress,
      nameservers: [words(NAMESERVER)],
      resolvConf: undefined,
      ...options,
    });
    this.runtime.subscribe((event) => void this.events.push(event));
  }

  /** Starts it, with packet tunnels that answer. @param outbounds those that do. */
  async start(...outbounds: number[]): Promise<void> {
    for (const outbound of outbounds) this.engine.answering.add(outbound);
    this.runtime.start();
    await this.clock.advance(200);
    this.engine.take();
  }

  /** A flow of a program begins. @returns its row. */
  flow(owner: FlowOwner | undefined, flow: FakeFlow): number {
    const ask = this.engine.ask(flow);
    if (owner !== undefined) this.owners.set(ask.local.port, [owner]);
    this.runtime.onAsk(ask);
    return ask.row;
  }

  /** The state of a tunnel. */
  state(name: string): string | undefined {
    return this.#tunnel(name)?.state;
  }

  /** Why it stands so. */
  reason(name: string): string | undefined {
    return this.#tunnel(name)?.reason;
  }

  /** A packet tunnel's other end falls silent, until probes have told. */
  async silence(outbound: number): Promise<void> {
    this.engine.answering.delete(outbound);
    this.engine.setStatus(outbound, { lastHandshakeAt: 1 });
    await this.clock.advance(30_000);
  }

  /** It answers again, and the next try has come. */
  async revive(outbound: number): Promise<void> {
    this.engine.answering.add(outbound);
    await this.clock.advance(61_000);
  }

  #tunnel(name: string) {
    return this.runtime.status().tunnels.find((tunnel) => tunnel.name === name);
  }

  async #resolve(host: string): Promise<readonly Int32Array[]> {
    this.lookedUp.push(host);
    await Promise.resolve();
    const found = this.hosts.get(host);
    if (found instanceof Error) throw found;
    if (found === undefined) throw new Error(`ENOTFOUND ${host}`);
    return found.map(words);
  }

  #processes(): ProcessTable {
    return {
      lineage: { kind: "events" },
      descriptor: undefined,
      ownerOf: ({ localPort }: FlowEnds) => {
        this.asked++;
        const answers = this.owners.get(localPort);
        if (answers === undefined) return this.owner;
        return answers.length > 1 ? answers.shift()! : answers[0];
      },
      process: (processId) => {
        for (const answers of this.owners.values()) {
          for (const answer of answers) {
            if (answer.kind !== "process") continue;
            if (answer.process.processId === processId) return answer.process;
          }
        }
        return undefined;
      },
      drain: () => {},
      counters: () => {
        throw new Error("nothing asks for them");
      },
      [Symbol.dispose]: () => {},
    };
  }
}
