/** The way out through the translator's sockets, as each engine's worker needs it. */
import type { Batch } from "../core/columns/batch.ts";
import type { SendFailure } from "../core/engine/outside_error.ts";
import type { NatTable } from "../core/flow/nat.ts";
import type { OutsideSender } from "../datapath/dispatcher.ts";
import type { WorkerPlatform } from "../io/worker_platform.ts";
import type { OutsidePort } from "../io/ports.ts";

/** Drops what could not be sent, and tells its sender where an error is due. */
interface SendingEngine {
  sendFailed(
    batch: Batch,
    row: number,
    failure: SendFailure,
    mtu: number,
  ): void;
}

/** Sends by a port; failures go to the engine, in its own terms. */
export function outsideSender(
  platform: WorkerPlatform,
  engine: SendingEngine,
  { port, nat }: { readonly port: OutsidePort; readonly nat: NatTable },
): OutsideSender {
  return {
    port,
    nat,
    failed(batch, row, errno) {
      const failure = platform.sendFailure(errno);
      engine.sendFailed(batch, row, failure, port.pathMtu(batch, row));
    },
  };
}
