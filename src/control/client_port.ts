/**
 * What a running split tunnel tells and takes by its control socket: plain
 * data, as it goes over the wire. `control_protocol.ts` is the wire.
 */
import type { Explanation } from "../core/route/rules/explain.ts";
import type { RuleProtocol } from "../core/route/rules/rule.ts";

/** A tunnel as it stands. */
export interface TunnelView {
  readonly name: string;
  /** `wireguard`, `amneziawg`, `socks5`, `http`. */
  readonly type: string;
  /** `up`, `degraded`, `connecting`, `down`. */
  readonly state: string;
  /** Since when it has been so, in ms until now. */
  readonly stateMs: number;
  /** Why it is not up; absent where there is nothing to say. */
  readonly reason?: string;
  /** Where its other end is, as text. */
  readonly endpoint?: string;
  /** Its own addresses, where it has some. */
  readonly addresses: readonly string[];
  /** Since its last handshake; absent where there was none, or it has none. */
  readonly handshakeMs?: number;
  /** Flows that use it now. */
  readonly flows: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** How the whole stands. */
export interface ClientStatus {
  /** Of the program that runs. */
  readonly version: string;
  readonly processId: number;
  readonly config: string;
  readonly uptimeMs: number;
  /** `paused`: everything goes direct, as if it did not run. */
  readonly mode: "running" | "paused";
  readonly killSwitch: "on" | "off";
  /** The interface that captures. */
  readonly interface: string;
  /** Interface names that lead outside, by family; absent without one. */
  readonly egress4?: string;
  readonly egress6?: string;
  readonly rules: number;
  readonly tunnels: readonly TunnelView[];
  readonly flows: {
    readonly total: number;
    readonly direct: number;
    readonly tunnelled: number;
    readonly dropped: number;
    readonly waiting: number;
  };
  /** What the user should know now, a line each. */
  readonly problems: readonly string[];
  /** Counters by name, those that are 0 left out. */
  readonly counters: Readonly<Record<string, number>>;
  /** Dropped packets by reason, those that are 0 left out. */
  readonly drops: Readonly<Record<string, number>>;
}

/** The program that a flow belongs to. */
export interface ProgramView {
  readonly processId: number;
  readonly name: string;
  /** Absent where the system does not tell it. */
  readonly path?: string;
  readonly user?: string;
}

/** A living flow. */
export interface FlowView {
  /** Tells it from others at the same time, and from a later one for a while. */
  readonly id: string;
  /** `tcp`, `udp`, `icmp`, or the protocol's number. */
  readonly protocol: string;
  /** `address:port`; ICMP: the address alone. */
  readonly local: string;
  readonly remote: string;
  /** The name that its program resolved to get there. */
  readonly name?: string;
  /** Absent where nobody is known. */
  readonly program?: ProgramView;
  /** `waiting` until it is decided. */
  readonly way: "waiting" | "drop" | "direct" | "tunnel";
  readonly tunnel?: string;
  /** What decided, as people read it: `rule 2`, `default`. */
  readonly by: string;
  /** Why, where the action alone does not tell. */
  readonly reason?: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly ageMs: number;
  readonly idleMs: number;
}

/** Of which program a verdict is asked. */
export type ExplainedProgram =
  /** One that can't be found out, as of every ping. */
  | { readonly kind: "unknown" }
  | { readonly kind: "process"; readonly processId: number }
  /** One that need not run. */
  | {
    readonly kind: "program";
    readonly path: string;
    readonly user: string;
    /** Paths of those that started it, the nearest first. */
    readonly ancestors: readonly string[];
  };

/** What `explain` asks. */
export interface ExplainQuestion {
  readonly program: ExplainedProgram;
  readonly protocol: RuleProtocol;
  /** Where it goes: an address as text. */
  readonly address: string;
  /** 0 where the protocol has none. */
  readonly port: number;
  /** The name that leads there, where one was given. */
  readonly name?: string;
}

/** What `explain` answers. */
export interface ExplainAnswer {
  /** The program as the rules saw it: a line of text. */
  readonly program: string;
  /** Its line of ancestors by path, the nearest first. */
  readonly ancestors: readonly string[];
  readonly destination: string;
  readonly explanation: Explanation;
}

/** What became of a configuration that was read again. */
export interface ReloadAnswer {
  /** `unchanged` where the file says what is in force already. */
  readonly result: "taken" | "unchanged";
  /** What changed, and what needs a restart, a line each. */
  readonly lines: readonly string[];
}

/** Something that was asked rightly and can't be done. */
export class ClientPortError extends Error {
  override readonly name = "ClientPortError";
  /** @param hint what to do. */
  constructor(message: string, readonly hint?: string) {
    super(message);
  }
}

/**
 * A running split tunnel, as the control socket needs it. Each may throw
 * {@linkcode ClientPortError}, and `reload` a ConfigError.
 */
export interface ClientPort {
  status(): ClientStatus;
  flows(): readonly FlowView[];
  explain(question: ExplainQuestion): ExplainAnswer;
  setTunnel(name: string, wanted: "up" | "down"): void | Promise<void>;
  setMode(wanted: "running" | "paused"): void | Promise<void>;
  reload(): Promise<ReloadAnswer>;
}
