/**
 * The flows of a split tunnel on the control thread: it reads the table that the
 * stack worker writes, and what becomes of a flow goes there as a command.
 */
import { ClientMessage } from "../core/columns/client_message.ts";
import type { FlowTable } from "../core/flow/flow_table.ts";
import {
  PostedVerdict,
  VERDICT_LENGTH,
  writeVerdict,
} from "../core/flow/posted_verdict.ts";
import type { FlowSnapshot, FlowVerdict } from "../control/client_engine.ts";
import type { PendingMessages } from "./pending_messages.ts";

const NO_BYTES = new Uint8Array(0);

/** See the module header. */
export class ClientFlows {
  readonly #table: FlowTable;
  readonly #commands: PendingMessages;
  readonly #verdict = new PostedVerdict();
  readonly #verdictBytes = new Uint8Array(VERDICT_LENGTH);

  /** @param commands to the stack worker. */
  constructor(table: FlowTable, commands: PendingMessages) {
    this.#table = table;
    this.#commands = commands;
  }

  /** All flows as they are now. */
  all(): FlowSnapshot[] {
    const found: FlowSnapshot[] = [];
    for (const row of this.#table.rows()) {
      const flow = this.#table.snapshot(row);
      if (flow !== undefined) found.push(flow);
    }
    return found;
  }

  /** The flow of a row. */
  at(row: number): FlowSnapshot | undefined {
    return this.#table.snapshot(row);
  }

  /**
   * Decides about a flow, or decides anew.
   * @returns false where the row has another flow by now
   */
  settle(row: number, generation: number, verdict: FlowVerdict): boolean {
    const table = this.#table;
    if (!table.has(row, generation)) return false;
    const posted = this.#verdict;
    const { way, outbound, rule, to } = verdict;
    posted.way = way;
    posted.outbound = outbound;
    posted.rule = rule;
    const at = row * 4;
    posted.to.set(to?.words ?? table.remote.subarray(at, at + 4));
    posted.toPort = to?.port ?? table.remotePort[row];
    const bytes = this.#verdictBytes;
    writeVerdict(bytes, posted);
    this.#commands.post(ClientMessage.Settle, row, generation, bytes);
    return true;
  }

  /** Ends flows. @returns how many. */
  end(predicate: (flow: FlowSnapshot) => boolean): number {
    const ended = this.all().filter(predicate);
    for (const { row, generation } of ended) {
      this.#commands.post(ClientMessage.End, row, generation, NO_BYTES);
    }
    return ended.length;
  }
}
