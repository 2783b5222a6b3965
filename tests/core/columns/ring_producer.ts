/**
 * A worker that fills a ring: message n has kind n % 5, a = n, b = ~n and the
 * bytes n, n + 1, ... modulo 256. Where the ring is full it sleeps until the
 * consumer has read.
 */
import { Ring } from "../../../src/core/columns/ring.ts";
import {
  messageLength,
  type ProducerOrder,
  READ,
  WRITTEN,
} from "./ring_messages.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<ProducerOrder>) => void;
};

scope.onmessage = ({ data }) => {
  const ring = new Ring(data.buffer, data.capacity);
  const bells = new Int32Array(data.bells);
  const bytes = new Uint8Array(data.capacity);
  for (let n = 0; n < data.count; n++) {
    const length = messageLength(n, ring.maxLength);
    for (let i = 0; i < length; i++) bytes[3 + i] = n + i;
    for (;;) {
      const seen = Atomics.load(bells, READ);
      if (ring.tryWrite(n % 5, n, ~n, bytes, 3, length)) break;
      Atomics.wait(bells, READ, seen);
    }
    Atomics.add(bells, WRITTEN, 1);
    Atomics.notify(bells, WRITTEN);
  }
  close();
};
