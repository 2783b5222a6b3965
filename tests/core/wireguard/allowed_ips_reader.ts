/** A worker that looks addresses up while the test changes the trie. */
import { AllowedIps } from "../../../src/core/wireguard/allowed_ips.ts";

/** What the reader is given. */
export interface ReaderTask {
  readonly buffer: SharedArrayBuffer;
  readonly nodes: number;
  /** Cell 0: stop; cell 1: the reader runs. */
  readonly control: Int32Array;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<ReaderTask>) => void;
  postMessage: (result: { wrong: number; lookups: number }) => void;
};

scope.onmessage = ({ data: { buffer, nodes, control } }) => {
  const ips = new AllowedIps(buffer, { nodes });
  let wrong = 0;
  let lookups = 0;
  Atomics.store(control, 1, 1);
  Atomics.notify(control, 1);
  while (Atomics.load(control, 0) === 0) {
    for (let i = 0; i < 100; i++, lookups += 2) {
      if (ips.lookup4(0x0a000001) !== 1) wrong++;
      const moving = ips.lookup4(0x0a800000 + i * 65536);
      if (moving !== 1 && moving !== 2) wrong++;
    }
  }
  scope.postMessage({ wrong, lookups });
};
