/**
 * The flows of a client and what was decided about each.
 *
 *     asked -> who owns it -> judged -> settled
 *                 |  ^                    ^ |
 *                 └──┘ the look-up is     └─┘ tunnels, rules, mode change
 *                      not finished
 *
 * A flow keeps what its judgement rests on, its owner and the names of its
 * destination, as it was when it began: judged again, only tunnels and rules may
 * make a difference. Those whose verdict stays the same are not touched. Others
 * are settled anew; a TCP connection can't be moved from one way out to another,
 * since the other end would see it come from elsewhere, and is ended. So is, by
 * the packet side, one that is dropped since its tunnel has fallen: its program
 * hears of it at once.
 */
import { type FlowVerdict, Way } from "../../core/flow/flow_table.ts";
import type { FlowOwner as RuleOwner } from "../../core/route/rules/facts.ts";
import { equalWords } from "../../core/wire/address.ts";
import { parseDns } from "../../core/wire/dns.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import type { FlowEnds, ProcessTable } from "../../io/ports/process_table.ts";
import type { ClientEngine, FlowAsk } from "../client_engine.ts";
import type { Clock } from "./clock.ts";
import type { FlowJudge, JudgedFlow, Judgement } from "./flow_judge.ts";
import { type OwnerFinding, ownerFinding } from "./flow_owner.ts";
import type { NamedCounters } from "./named_counters.ts";
import type { OwnFlows } from "./own_flows.ts";
import type { ProgramNames } from "./program_names.ts";
import type { ResolverWatch } from "./resolver_watch.ts";

/** What the decider works with. */
export interface DeciderOptions {
  readonly engine: Pick<ClientEngine, "settle" | "endFlows">;
  readonly processes: Pick<ProcessTable, "ownerOf">;
  /** The id of this process. */
  readonly ownProcessId: number;
  readonly judge: FlowJudge;
  /** Those that are in use now. */
  readonly names: () => ProgramNames;
  readonly ownFlows: OwnFlows;
  readonly watch: ResolverWatch;
  readonly counters: NamedCounters;
  readonly clock: Clock;
}

/** A flow that was asked about. */
export interface FlowRecord {
  readonly row: number;
  readonly generation: number;
  readonly flow: JudgedFlow;
  readonly finding: OwnerFinding;
  readonly judgement: Judgement;
  /** The name that it asks for, or that leads to its destination. */
  readonly name: string | undefined;
  /** The way out that has carried it; undefined where none has yet. */
  readonly carrier:
    | { readonly way: Way; readonly outbound: number }
    | undefined;
}

/** A look-up that takes long is asked for again so often, and after so long each time. */
const LOOKUPS = 8;
const LOOKUP_PAUSE_MS = 25;

/** Decides about flows, and again when something changes. */
export class Decider {
  readonly #options: DeciderOptions;
  /** By row; the newest generation of it. */
  readonly #records = new Map<number, FlowRecord>();
  /** Asks whose owner is still looked for, by row. */
  readonly #pending = new Map<
    number,
    { readonly ask: FlowAsk; readonly timer: Disposable }
  >();

  constructor(options: DeciderOptions) {
    this.#options = options;
  }

  /** The first packet of a flow waits. */
  handleAsk(ask: FlowAsk): void {
    this.#options.counters.add("asks");
    this.#drop(ask.row);
    this.#lookUp(ask, 1);
  }

  /** A flow has ended. */
  handleEnded(row: number, generation: number): void {
    if (this.#records.get(row)?.generation === generation) {
      this.#records.delete(row);
    }
    if (this.#pending.get(row)?.ask.generation === generation) this.#drop(row);
  }

  /** A datagram came back on a flow to a resolver: its owner learns names from it. */
  handleDnsAnswer(row: number, generation: number, message: Uint8Array): void {
    const { names, clock, watch, counters } = this.#options;
    const record = this.record(row, generation);
    if (record === undefined) return;
    const { finding, judgement } = record;
    if (judgement.resolver !== undefined) watch.noteAnswer(judgement.resolver);
    if (finding.kind === "unknown") return;
    const learned = names().learn(finding.owner, message, clock.now());
    if (learned > 0) counters.add("namesLearned", learned);
  }

  /** What is known of a flow; undefined where it is another one by now. */
  record(row: number, generation: number): FlowRecord | undefined {
    const record = this.#records.get(row);
    return record?.generation === generation ? record : undefined;
  }

  /** The owner of a flow by the id of its process, which may have ended. */
  ownerOfProcess(processId: number): RuleOwner | undefined {
    for (const { finding } of this.#records.values()) {
      if (finding.kind === "unknown") continue;
      if (finding.program.processId === processId) return finding.owner;
    }
    return undefined;
  }

  /** Asks that are not decided are not any more: the packet side holds their packets no longer. */
  clearPending(): void {
    for (const row of [...this.#pending.keys()]) this.#drop(row);
  }

  /**
   * Judges flows again, and settles those anew whose verdict is another one.
   * @param which only some of them.
   * @returns how many were settled.
   */
  settleAnew(which: (record: FlowRecord) => boolean = () => true): number {
    const { judge, clock, engine, counters } = this.#options;
    const now = clock.now();
    const ended = new Set<string>();
    let settled = 0;
    for (const record of [...this.#records.values()]) {
      if (!which(record)) continue;
      const { row, generation, flow, carrier } = record;
      const judgement = judge.judge(flow, now);
      const { settlement } = judgement;
      const isSame = sameSettlement(settlement, record.judgement.settlement);
      this.#keep({ ...record, judgement });
      if (isSame) continue;
      settled++;
      if (!engine.settle(row, generation, settlement)) {
        this.#records.delete(row);
      } else if (isMoved(flow.protocol, carrier, settlement)) {
        ended.add(`${row}.${generation}`);
      }
    }
    if (ended.size > 0) {
      engine.endFlows(({ row, generation }) =>
        ended.has(`${row}.${generation}`)
      );
      counters.add("flowsEnded", ended.size);
    }
    if (settled > 0) counters.add("flowsSettledAnew", settled);
    return settled;
  }

  /** Ends timers. */
  stop(): void {
    this.clearPending();
  }

  #lookUp(ask: FlowAsk, attempt: number): void {
    const finding = this.#ownerOf(ask);
    const isUnfinished = finding.kind === "unknown" &&
      finding.reason === "unfinished";
    if (isUnfinished && attempt < LOOKUPS) {
      const timer = this.#options.clock.after(LOOKUP_PAUSE_MS, () => {
        this.#pending.delete(ask.row);
        this.#lookUp(ask, attempt + 1);
      });
      this.#pending.set(ask.row, { ask, timer });
      return;
    }
    this.#decide(ask, finding);
  }

  #ownerOf({ protocol, local, remote }: FlowAsk): OwnerFinding {
    const ends: FlowEnds = {
      protocol: ownedAs(protocol),
      local: local.words,
      localPort: local.port,
      remote: remote.words,
      remotePort: remote.port,
    };
    return ownerFinding(this.#options.processes.ownerOf(ends));
  }

  #decide(ask: FlowAsk, finding: OwnerFinding): void {
    const { judge, clock, engine, watch, counters } = this.#options;
    const { row, generation } = ask;
    const now = clock.now();
    const { flow, name } = this.#flowOf(ask, finding, now);
    const judgement = judge.judge(flow, now);
    if (finding.kind === "unknown") counters.add(`unknown:${finding.reason}`);
    const { reason } = judgement;
    const by = reason.kind === "rules" ? reason.verdict.cause : reason.kind;
    if (by !== "action") counters.add(`decided:${by}`);
    if (judgement.resolver !== undefined) {
      counters.add("questionsRedirected");
      if (ask.query !== undefined) watch.noteQuestion(judgement.resolver, now);
    }
    if (!engine.settle(row, generation, judgement.settlement)) return;
    this.#keep({
      row,
      generation,
      flow,
      finding,
      judgement,
      name,
      carrier: undefined,
    });
  }

  #flowOf(ask: FlowAsk, finding: OwnerFinding, now: number): {
    flow: JudgedFlow;
    name: string | undefined;
  } {
    const { protocol, local, remote, query } = ask;
    const owner = finding.kind === "known" ? finding.owner : undefined;
    const question = query && parseDns(query)?.name;
    const names = question !== undefined
      ? [question]
      : owner === undefined
      ? []
      : this.#options.names().of(owner, remote.words, now);
    const hasPorts = protocol === Protocol.Tcp || protocol === Protocol.Udp;
    return {
      name: names[0],
      flow: {
        protocol,
        local,
        remote,
        origin: this.#originOf(ask, finding),
        facts: {
          protocol,
          words: remote.words,
          port: hasPorts ? remote.port : 0,
          names,
          owner,
          fragment: "none",
        },
      },
    };
  }

  #originOf(
    { protocol, local }: FlowAsk,
    { program }: { readonly program: OwnerFinding["program"] },
  ): JudgedFlow["origin"] {
    const { ownFlows, ownProcessId } = this.#options;
    const tunnel = ownFlows.tunnelOf(protocol, local.port);
    if (program?.processId === ownProcessId) return { kind: "own", tunnel };
    // A probe's echo is another program's: it is known by its identifier.
    const isEcho = protocol === Protocol.Icmp || protocol === Protocol.Icmpv6;
    return isEcho && tunnel !== undefined
      ? { kind: "own", tunnel }
      : { kind: "program" };
  }

  /** Remembers a flow, and by which way out it was carried last. */
  #keep(record: FlowRecord): void {
    const { way, outbound } = record.judgement.settlement;
    const carrier = way === Way.Drop ? record.carrier : { way, outbound };
    this.#records.set(record.row, { ...record, carrier });
  }

  #drop(row: number): void {
    this.#pending.get(row)?.timer[Symbol.dispose]();
    this.#pending.delete(row);
  }
}

/** Flows are of these protocols, and echoes. */
function ownedAs(protocol: number): FlowEnds["protocol"] {
  switch (protocol) {
    case Protocol.Tcp:
      return "tcp";
    case Protocol.Udp:
      return "udp";
    default:
      return "icmp";
  }
}

/** Whether a flow has gone by another way out than it is to go now, and can't follow. */
function isMoved(
  protocol: number,
  carrier: FlowRecord["carrier"],
  { way, outbound }: FlowVerdict,
): boolean {
  return protocol === Protocol.Tcp && way !== Way.Drop &&
    carrier !== undefined &&
    (carrier.way !== way || carrier.outbound !== outbound);
}

/** The number of the rule is for show: what is done is the same. */
function sameSettlement(one: FlowVerdict, other: FlowVerdict): boolean {
  if (one.way !== other.way || one.outbound !== other.outbound) return false;
  if (one.to === undefined || other.to === undefined) {
    return one.to === other.to;
  }
  return one.to.port === other.to.port &&
    equalWords(one.to.words, 0, other.to.words, 0);
}
