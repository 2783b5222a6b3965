/**
 * Composes a relay worker: sockets, way out, redirect table, answers. The setup
 * comes from the control thread and is plain data.
 */
import { ControlMessage } from "../core/columns/control_message.ts";
import { Ring } from "../core/columns/ring.ts";
import type { RelayEnds } from "../core/flow/redirect.ts";
import {
  RedirectTable,
  type RedirectTableOptions,
} from "../core/flow/redirect_table.ts";
import type { AnswerSource } from "../datapath/relay/dial_answer.ts";
import type { AnswerClient } from "../datapath/relay/dial_refusals.ts";
import { RelayCounters } from "../datapath/relay/relay_counters.ts";
import type { RelayGuest, RelayHost } from "../datapath/relay/relay_guest.ts";
import { runRelay } from "../datapath/relay/relay_loop.ts";
import { RedirectRows } from "../datapath/relay/relay_rows.ts";
import type { RelayLimits } from "../datapath/relay/relay_settings.ts";
import { openDialer } from "../io/outbound/open_dialer.ts";
import type {
  Dialer,
  DialerSetup,
  TlsBridgeRequest,
} from "../io/ports/dialer.ts";
import type { PacketWriter, PacketWriterAttachment } from "../io/ports.ts";
import type { StreamSockets } from "../io/ports/stream_sockets.ts";
import type { WorkerPlatform } from "../io/worker_platform.ts";

/** A ring as it is posted. */
export interface SharedRing {
  readonly buffer: SharedArrayBuffer;
  /** Its capacity, a power of two. */
  readonly bytes: number;
}

/** How clients hear of failed dials. */
export type AnswerSetup =
  /** They are this host's programs: by the TUN interface. */
  | { readonly kind: "host" }
  /** They are peers: the control thread seals. */
  | {
    readonly kind: "peers";
    readonly ring: SharedRing;
    readonly bell: Int32Array;
  };

/** All that a relay worker needs; survives structured cloning. */
export interface RelaySetup {
  readonly ends: RelayEnds;
  readonly limits: RelayLimits;
  readonly dialer: DialerSetup;
  readonly redirects: {
    readonly buffer: SharedArrayBuffer;
    readonly options: RedirectTableOptions;
  };
  /** From the worker that has the engine. */
  readonly ring: SharedRing;
  /** From the control thread, for guests that take commands. */
  readonly commands?: SharedRing;
  readonly answers: AnswerSetup;
  /** Who sends ICMP errors. */
  readonly answerSource: AnswerSource;
  /** `refuse`: connections to this host itself are refused. */
  readonly ownHost: "allow" | "refuse";
  /** RelayCounters. */
  readonly counters: SharedArrayBuffer;
  /** A shared cell: not 0 when the worker is to end. */
  readonly stop: Int32Array;
  readonly tun: PacketWriterAttachment;
  /** Listening sockets. */
  readonly listeners: readonly number[];
  /** Descriptor of the worker's wake. */
  readonly wake: number;
}

/** What a relay worker tells. */
export type RelayNotice =
  /** A line for the log. */
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "tls"; readonly request: TlsBridgeRequest }
  | { readonly kind: "dns"; readonly answer: DnsNotice };

/** The payload of a datagram from a resolver, for a flow. */
export interface DnsNotice {
  readonly row: number;
  readonly generation: number;
  readonly payload: Uint8Array;
}

/** What a guest of the worker may use. */
export interface GuestParts {
  readonly host: RelayHost;
  readonly platform: WorkerPlatform;
  readonly sockets: StreamSockets;
  readonly dialer: Dialer;
}

/** What ways out may use. */
export interface DialerParts {
  readonly sockets: StreamSockets;
  readonly table: RedirectTable;
  /** The workers' clock, ms. */
  readonly now: () => number;
  /** Gives a connection to the thread that speaks TLS. */
  readonly bridgeTls: (request: TlsBridgeRequest) => void;
}

/** What a worker has in place of the usual. */
export interface RelayParts {
  readonly openGuest?: (parts: GuestParts) => RelayGuest;
  /** In place of the setup's dialer. */
  readonly openDialer?: (parts: DialerParts) => Dialer;
}

/** Runs a relay until its stop cell is set. Blocks the calling thread. */
export function runRelayWorker(
  setup: RelaySetup,
  platform: WorkerPlatform,
  tell: (notice: RelayNotice) => void,
  { openGuest, openDialer: openOwn }: RelayParts = {},
): void {
  const sockets = platform.openStreamSockets({ reserve: "kept" });
  using events = platform.openSocketEvents();
  using wake = platform.attachWake(setup.wake);
  const { redirects, ring, commands, ends } = setup;
  const now = platform.openClock();
  const table = new RedirectTable(redirects.buffer, redirects.options);
  const host = platform.attachPacketWriter(setup.tun);
  const bridgeTls = (request: TlsBridgeRequest) =>
    tell({ kind: "tls", request });
  const dialer = openOwn?.({ sockets, table, now, bridgeTls }) ??
    openDialer(setup.dialer, { sockets, bridgeTls });
  runRelay({
    sockets,
    events,
    dialer,
    rows: new RedirectRows(ends, table, host),
    answer: openAnswers(setup.answers, table, host),
    answerSource: setup.answerSource,
    ownHost: setup.ownHost,
    counters: new RelayCounters(setup.counters),
    limits: setup.limits,
    listeners: setup.listeners,
    ring: new Ring(ring.buffer, ring.bytes),
    commands: commands && new Ring(commands.buffer, commands.bytes),
    wake,
    now,
    stop: setup.stop,
    tell: (text) => tell({ kind: "line", text }),
    guest: openGuest &&
      ((guestHost) =>
        openGuest({ host: guestHost, platform, sockets, dialer })),
  });
}

function openAnswers(
  setup: AnswerSetup,
  table: RedirectTable,
  host: PacketWriter,
): AnswerClient {
  if (setup.kind === "host") {
    return (bytes, at, length) => host.write(bytes, at, length);
  }
  const ring = new Ring(setup.ring.buffer, setup.ring.bytes);
  const { bell } = setup;
  return (bytes, at, length, row) => {
    if (row < 0) return false;
    const peer = table.peer[row];
    if (!ring.tryWrite(ControlMessage.Stage, peer, 0, bytes, at, length)) {
      return false;
    }
    Atomics.add(bell, 0, 1);
    Atomics.notify(bell, 0);
    return true;
  };
}
