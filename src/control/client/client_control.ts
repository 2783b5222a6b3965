/**
 * The control plane of a split tunnel as the command line sees it: tunnels and
 * their states, flows and why each got its verdict, what is told of both.
 * Views are those of `client_port.ts`; what the control plane can't know (the
 * program's version, the kill switch, the capture's name) is added there.
 */
import type { NetworkChange } from "../../io/ports/network_monitor.ts";
import type {
  ClientStatus,
  ExplainAnswer,
  ExplainQuestion,
  FlowView,
  TunnelView,
} from "../client_port.ts";
import type { ClientPlan } from "./client_plan.ts";
import type { ClientEvents } from "../client_engine.ts";
import type { TunnelState } from "../../core/route/rules/facts.ts";

/** What the control plane knows of the whole. */
export type ControlStatus =
  & Pick<
    ClientStatus,
    "mode" | "rules" | "flows" | "counters" | "egress4" | "egress6"
  >
  & {
    readonly tunnels: readonly TunnelView[];
    /** What the user should know now, a line each: resolvers that don't answer and the like. */
    readonly problems: readonly string[];
  };

/** Something that has happened. */
export type ClientEvent =
  | {
    readonly kind: "tunnel";
    readonly tunnel: string;
    readonly from: TunnelState;
    readonly to: TunnelState;
    /** For people, and with what to do where there is something. */
    readonly reason: string;
    /** By the common clock, in ms. */
    readonly at: number;
  }
  /** Flows were settled anew; all others live on as they were. */
  | {
    readonly kind: "resettled";
    readonly cause: "tunnel" | "reload" | "mode";
    readonly flows: number;
  }
  | {
    readonly kind: "resolver";
    /** The resolver's address as text. */
    readonly resolver: string;
    /** The tunnel that leads there; undefined for direct. */
    readonly tunnel: string | undefined;
    readonly now: "unreachable" | "answers";
  }
  /** The network is another one, or came back: what was done about it. */
  | {
    readonly kind: "network";
    readonly cause: "egress" | "offline" | "online" | "sleep" | "stopped";
    readonly text: string;
  }
  | {
    readonly kind: "reloaded";
    readonly lines: readonly string[];
  }
  | { readonly kind: "warning"; readonly text: string };

/** What the packet side and the system tell the control plane. */
export interface ControlInputs extends
  Pick<
    ClientEvents,
    "onAsk" | "onFlowEnded" | "onDnsAnswer" | "onHandshake"
  > {
  /** A burst of changes from the network monitor. */
  onNetworkChange(changes: readonly NetworkChange[]): void;
  /** The system's resolvers may be others now: they are read again. */
  onResolversChange(): void;
}

/** The control plane of a running client. */
export interface ClientControl extends ControlInputs {
  /** Connects the tunnels; flows that ask before get what is allowed while tunnels are down. */
  start(): void;
  /** Puts resolv.conf back, ends the tunnels and all timers. Flows asked about afterwards get nothing. */
  stop(): Promise<void>;
  status(): ControlStatus;
  flows(): readonly FlowView[];
  /** @throws {ClientPortError} where the process is not there. */
  explain(question: ExplainQuestion): ExplainAnswer;
  /** @throws {ClientPortError} where there is no such tunnel. */
  setTunnel(name: string, wanted: "up" | "down"): void;
  /** `paused`: everything goes direct, tunnels are down, nothing is probed. */
  setMode(wanted: "running" | "paused"): void;
  /**
   * Takes another configuration. Tunnels that are the same stay as they are,
   * flows with the same verdict too.
   * @returns what changed, a line each; empty where nothing did.
   */
  reload(plan: ClientPlan): readonly string[];
  /** Each event from now on, until disposed of. A listener must not throw. */
  subscribe(listener: (event: ClientEvent) => void): Disposable;
}
