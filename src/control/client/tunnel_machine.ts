/**
 * When a tunnel connects, how its state follows from what is seen of it, and
 * when it tries again. Knows neither clock nor network: time comes in with each
 * call, what is to be done comes out of `poll`.
 *
 *                connect            names known        probe succeeds
 *     down (off) ───────▶ resolving ───────▶ proving ───────▶ standing
 *                             ▲                 │   ▲            │ ▲
 *                     backoff │        failed   │   └─ new ──────┘ │ probe
 *                             └── waiting ◀─────┘     address      │ succeeds
 *                                    ▲                             ▼
 *                                    └──── `downAfter` failures ── standing
 *                                                                  (degraded)
 *
 *     off, waiting: down     resolving, proving: connecting
 *     standing: up, or degraded after `degradedAfter` failures in a row
 *
 * Names are looked up again before each try and as soon as a tunnel gets
 * degraded: where an address has changed, the tunnel goes there at once.
 */
import type { TunnelState } from "../../core/route/rules/facts.ts";
import { Backoff, type BackoffOptions } from "./backoff.ts";
import type { HealthPlan } from "./client_plan.ts";
import type {
  ProbeFailure,
  ProbeOutcome,
  ResolveOutcome,
} from "./probe_outcome.ts";
import { type Destination, TunnelAddresses } from "./tunnel_addresses.ts";
import type { Trust, TunnelOutput, TunnelStanding } from "./tunnel_output.ts";

/** What a machine is made of. */
export interface TunnelMachineOptions {
  readonly health: HealthPlan;
  readonly backoff: BackoffOptions;
}

/** Times in ms. */
const RESOLVE_TIMEOUT = 10_000;
const PROBE_GRACE = 1_000;
/** A tunnel that stood for so long counts as one that works: its next failure is a first one. */
const PROVEN_AFTER = 30_000;
/** Between probes while they fail, at most. */
const RECHECK = 1_000;

type Phase =
  | { kind: "off" }
  | { kind: "resolving"; ticket: number; deadline: number }
  | { kind: "proving"; ticket: number; deadline: number }
  | { kind: "waiting"; retryAt: number }
  | {
    kind: "standing";
    /** Of the probe under way; 0 without one. */
    ticket: number;
    /** When that is given up, or the next begins. */
    deadline: number;
    failures: number;
    upAt: number;
    /** Of names that are looked up meanwhile; 0 where none are. */
    resolveTicket: number;
  };

/** One tunnel. */
export class TunnelMachine {
  #health: HealthPlan;
  readonly #backoff: Backoff;
  readonly #outputs: TunnelOutput[] = [];
  #phase: Phase = { kind: "off" };
  #wanted = false;
  /** Why it is not to run although it is wanted. */
  #suspended: string | undefined;
  #state: TunnelState = "down";
  #since: number;
  #reason = "not started";
  #tickets = 0;
  readonly #addresses = new TunnelAddresses();

  constructor(options: TunnelMachineOptions, now: number) {
    this.#health = options.health;
    this.#since = now;
    this.#backoff = new Backoff(options.backoff);
  }

  /** How the tunnel stands. */
  get standing(): TunnelStanding {
    const retryAt = this.#phase.kind === "waiting"
      ? this.#phase.retryAt
      : undefined;
    return {
      state: this.#state,
      since: this.#since,
      reason: this.#reason,
      retryAt,
    };
  }

  /** Whether somebody wants it up. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** Looks after it by another plan from now on; what stands is probed at once. */
  adjust(health: HealthPlan, now: number): void {
    this.#health = health;
    if (this.#phase.kind === "standing") {
      this.#check(this.#phase, "recent", now);
    }
  }

  /** Wants it up; one that waits for its next try tries now. */
  connect(now: number): void {
    this.#wanted = true;
    const { kind } = this.#phase;
    if (this.#suspended !== undefined) {
      this.#set("down", this.#suspended, now);
    } else if (kind === "off" || kind === "waiting") {
      this.#backoff.reset();
      this.#resolve(now);
    }
  }

  /** Wants it down. */
  disconnect(now: number, reason = "switched off"): void {
    this.#wanted = false;
    this.#end(reason, now);
  }

  /** Ends it until {@linkcode resume}; whether it is wanted stays. */
  suspend(reason: string, now: number): void {
    this.#suspended = reason;
    if (this.#wanted) this.#end(reason, now);
  }

  /** The end of {@linkcode suspend}: connects where it is wanted. */
  resume(now: number): void {
    this.#suspended = undefined;
    if (this.#wanted) this.connect(now);
  }

  /** The network is another one: what stands is probed at once, the rest tried at once. */
  handleNetworkChange(now: number): void {
    this.#backoff.reset();
    const phase = this.#phase;
    switch (phase.kind) {
      case "off":
        return;
      case "standing":
        this.#lookAgain(phase);
        this.#check(phase, "anew", now);
        return;
      default:
        this.#resolve(now);
    }
  }

  /** The names that a `resolve` asked for. */
  handleResolved(ticket: number, outcome: ResolveOutcome, now: number): void {
    const phase = this.#phase;
    if (phase.kind === "standing" && phase.resolveTicket === ticket) {
      phase.resolveTicket = 0;
      if (outcome.kind === "ok") this.#followAddresses(phase, outcome, now);
    } else if (phase.kind === "resolving" && phase.ticket === ticket) {
      if (outcome.kind === "ok") this.#addresses.learn(outcome.addresses);
      // The resolver may lie behind this very tunnel: where it was will do.
      else if (!this.#addresses.areKnown) return this.#fail(outcome, now);
      this.#prove(now);
    }
  }

  /** What came of a probe. */
  handleProbe(ticket: number, outcome: ProbeOutcome, now: number): void {
    const phase = this.#phase;
    if (phase.kind === "proving" && phase.ticket === ticket) {
      if (outcome.kind === "ok") this.#stand(now);
      else this.#fail(outcome, now);
    } else if (phase.kind === "standing" && phase.ticket === ticket) {
      this.#review(phase, outcome, now);
    }
  }

  /** The way out that `connect` asked for could not be made. */
  handleConnectFailure(text: string, now: number): void {
    this.#addresses.leave();
    if (this.#phase.kind === "off") return;
    this.#fail({ kind: "failed", cause: "system", text }, now);
  }

  /** What is to be done next; undefined where nothing is. */
  poll(): TunnelOutput | undefined {
    return this.#outputs.shift();
  }

  /** When `handleTimeout` is due; Infinity where it isn't. */
  nextTimeout(): number {
    const phase = this.#phase;
    switch (phase.kind) {
      case "off":
        return Infinity;
      case "waiting":
        return phase.retryAt;
      default:
        return phase.deadline;
    }
  }

  /** Time has passed. */
  handleTimeout(now: number): void {
    const phase = this.#phase;
    if (now < this.nextTimeout()) return;
    switch (phase.kind) {
      case "waiting":
        this.#resolve(now);
        break;
      case "resolving":
        this.handleResolved(phase.ticket, RESOLVER_SILENT, now);
        break;
      case "proving":
        this.handleProbe(phase.ticket, PROBE_SILENT, now);
        break;
      case "standing":
        if (phase.ticket === 0) this.#check(phase, "recent", now);
        else this.handleProbe(phase.ticket, PROBE_SILENT, now);
        break;
    }
  }

  #resolve(now: number): void {
    const ticket = ++this.#tickets;
    const deadline = now + RESOLVE_TIMEOUT;
    this.#phase = { kind: "resolving", ticket, deadline };
    this.#set("connecting", "connecting", now);
    this.#outputs.push({ kind: "resolve", ticket });
  }

  #prove(now: number): void {
    this.#lead(this.#addresses.next());
    const ticket = ++this.#tickets;
    const deadline = this.#probeDeadline(now);
    this.#phase = { kind: "proving", ticket, deadline };
    this.#outputs.push({ kind: "probe", ticket, trust: "anew" });
  }

  /** Lets the way out lead somewhere; undefined: where it does already. */
  #lead(addresses: Destination | undefined): void {
    if (addresses !== undefined) {
      this.#outputs.push({ kind: "connect", addresses });
    }
  }

  #stand(now: number): void {
    this.#addresses.keep();
    this.#phase = {
      kind: "standing",
      ticket: 0,
      deadline: now + this.#health.intervalMs,
      failures: 0,
      upAt: now,
      resolveTicket: 0,
    };
    this.#set("up", "", now);
  }

  #check(
    phase: Phase & { kind: "standing" },
    trust: Trust,
    now: number,
  ): void {
    phase.ticket = ++this.#tickets;
    phase.deadline = this.#probeDeadline(now);
    this.#outputs.push({ kind: "probe", ticket: phase.ticket, trust });
  }

  #review(
    phase: Phase & { kind: "standing" },
    outcome: ProbeOutcome,
    now: number,
  ): void {
    const { degradedAfter, downAfter, intervalMs } = this.#health;
    phase.ticket = 0;
    if (outcome.kind === "ok") {
      phase.failures = 0;
      phase.deadline = now + intervalMs;
      this.#set("up", "", now);
      return;
    }
    phase.failures++;
    // What the proxy refuses to one it will refuse to all.
    if (outcome.cause === "credentials" || phase.failures >= downAfter) {
      if (now - phase.upAt >= PROVEN_AFTER) this.#backoff.reset();
      this.#addresses.pass();
      this.#fail(outcome, now);
      return;
    }
    phase.deadline = now + Math.min(RECHECK, intervalMs);
    if (phase.failures === degradedAfter) this.#lookAgain(phase);
    if (phase.failures >= degradedAfter) {
      this.#set("degraded", outcome.text, now);
    }
  }

  #lookAgain(phase: Phase & { kind: "standing" }): void {
    phase.resolveTicket = ++this.#tickets;
    this.#outputs.push({ kind: "resolve", ticket: phase.resolveTicket });
  }

  /** Goes where the names lead now, if that is no longer where the tunnel goes. */
  #followAddresses(
    phase: Phase & { kind: "standing" },
    { addresses: known }: ResolveOutcome & { kind: "ok" },
    now: number,
  ): void {
    this.#addresses.learn(known);
    const addresses = this.#addresses.follow();
    if (addresses === undefined) return;
    this.#lead(addresses);
    this.#check(phase, "anew", now);
  }

  #fail({ cause, text }: ProbeFailure, now: number): void {
    const delay = cause === "credentials"
      ? this.#backoff.longest()
      : this.#backoff.next();
    this.#phase = { kind: "waiting", retryAt: now + delay };
    this.#set("down", text, now);
  }

  #end(reason: string, now: number): void {
    this.#phase = { kind: "off" };
    this.#set("down", reason, now);
    if (this.#addresses.leave()) this.#outputs.push({ kind: "disconnect" });
  }

  /** The state is told first: flows are settled elsewhere before the way out is gone. */
  #set(state: TunnelState, reason: string, now: number): void {
    const from = this.#state;
    this.#reason = reason;
    if (from === state) return;
    this.#state = state;
    this.#since = now;
    this.#outputs.push({ kind: "state", from, to: state, reason, at: now });
  }

  #probeDeadline(now: number): number {
    // A handshake and what is asked behind it, each in its time.
    return now + 2 * this.#health.timeoutMs + PROBE_GRACE;
  }
}

const RESOLVER_SILENT: ProbeFailure = {
  kind: "failed",
  cause: "resolver-unreachable",
  text: "its name could not be looked up: the resolver does not answer",
};
const PROBE_SILENT: ProbeFailure = {
  kind: "failed",
  cause: "no-answer",
  text: "it does not answer",
};
