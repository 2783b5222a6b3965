/** A worker that opens sockets of the outside and ends, for outside.ts. */
import { openPlatform } from "../../src/io/platform.ts";
import type { OutsideShared } from "../../src/io/ports.ts";

/** What it is told: a port for each row from 0 on. */
export interface OpenedElsewhere {
  readonly shared: OutsideShared;
  readonly ports: readonly number[];
}

const port = self as unknown as {
  onmessage: (event: MessageEvent<OpenedElsewhere>) => void;
  postMessage(message: unknown): void;
  close(): void;
};

port.onmessage = ({ data: { shared, ports } }) => {
  // Not disposed of: that would close them.
  const outside = openPlatform().attachOutside({
    shared,
    bytes: new Uint8Array(1 << 16),
    receiveArea: { start: 0, end: 0 },
    headroom: 128,
  });
  port.postMessage(
    ports.map((wanted, row) => outside.open(17, 4, wanted, row)),
  );
  port.close();
};
