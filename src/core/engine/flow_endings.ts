/** How flows end, and who hears of it: their programs, the relay, the control thread. */
import type { Batch } from "../columns/batch.ts";
import { DropReason } from "../columns/drop_reason.ts";
import { Verdict } from "../columns/verdict.ts";
import { emitFlowReset, FLOW_RESET_LENGTH } from "../flow/flow_reset.ts";
import { FREE, Way } from "../flow/flow_table.ts";
import { Protocol } from "../wire/protocol.ts";
import { FlowLife } from "./flow_life.ts";
import type { SplitParts } from "./split_parts.ts";
import { HOST } from "./tun_stack_parts.ts";

/** Flows that one tick looks at. */
const SWEPT_FLOWS = 8192;
const NOBODY = -1;

/** Ends flows. */
export class FlowEndings {
  readonly #parts: SplitParts;
  readonly #life: FlowLife;

  constructor(parts: SplitParts) {
    const { flows, redirects, config } = parts;
    this.#parts = parts;
    this.#life = new FlowLife(flows, redirects, config);
  }

  /** Ends what is over, idle, or undecided for too long: a bounded number of rows a call. */
  tick(batch: Batch, now: number): void {
    const { flows, held, config } = this.#parts;
    const before = now - config.heldMs;
    for (let row = held.overdue(before); row >= 0;) {
      this.#giveUp(batch, row);
      row = held.overdue(before);
    }
    const count = Math.min(SWEPT_FLOWS, flows.highWater);
    for (let n = 0; n < count; n++) {
      const row = flows.nextSwept();
      if (this.#life.isOver(row, now)) this.#release(row);
    }
  }

  /** Ends a flow, and tells its program where it has a connection. */
  end(batch: Batch, row: number, now: number): void {
    const { flows, flowOf, redirects, commands } = this.#parts;
    const isConnection = flows.protocol[row] === Protocol.Tcp;
    if (isConnection && flows.wayOf(row) !== Way.Waiting) {
      const reset = batch.append(FLOW_RESET_LENGTH, HOST);
      if (reset >= 0) {
        const at = batch.offset[reset];
        batch.length[reset] = emitFlowReset(batch.bytes, at, flows, row);
        batch.decide(reset, Verdict.ToHost, 0);
      }
    }
    const redirect = flows.redirect[row] - 1;
    if (redirect >= 0 && flowOf[redirect] === row) {
      const generation = redirects.generationOf(redirect);
      // By the direct way even a RST would leave that may be forbidden now.
      const outside = flows.wayOf(row) === Way.Direct ? "silent" : "reset";
      commands.end(redirect, generation, outside);
    }
    this.drop(row, now);
  }

  /** Ends a flow and what the relay has of it; its program hears nothing. */
  drop(row: number, now: number): void {
    const { flows, flowOf, tcp } = this.#parts;
    const redirect = flows.redirect[row] - 1;
    if (redirect >= 0 && flowOf[redirect] === row) tcp.abandon(redirect, now);
    this.#release(row);
  }

  /** Ends all flows that go by an outbound. */
  endAll(batch: Batch, outbound: number, now: number): void {
    const { flows } = this.#parts;
    for (let row = 0; row < flows.highWater; row++) {
      const way = flows.wayOf(row);
      if (way === FREE || way === Way.Waiting || way === Way.Drop) continue;
      if (flows.outbound[row] === outbound) this.end(batch, row, now);
    }
    this.#parts.commands.flush();
  }

  /** Nobody has decided about a flow in time. */
  #giveUp(batch: Batch, flow: number): void {
    const count = this.#parts.held.forget(flow);
    for (let left = count; left > 0; left--) {
      const row = batch.push(0, 0, NOBODY);
      if (row >= 0) batch.drop(row, DropReason.RuleTimeout);
    }
    this.#release(flow);
  }

  #release(row: number): void {
    const { flows, flowOf, held, listener } = this.#parts;
    const redirect = flows.redirect[row] - 1;
    if (redirect >= 0 && flowOf[redirect] === row) flowOf[redirect] = -1;
    held.forget(row);
    listener.ended(row, flows.generationOf(row));
    flows.release(row);
  }
}
