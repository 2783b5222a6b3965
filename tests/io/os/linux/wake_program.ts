/** A worker that blocks in a poller until it is woken, for poller_test.ts. */
import type { PollerAttachment } from "../../../../src/io/ports.ts";
import { openLibc } from "../../../../ffi/libc.ts";
import { attachPoller } from "../../../../src/io/os/linux/poller.ts";

const port = self as unknown as {
  onmessage: (event: MessageEvent<PollerAttachment>) => void;
  postMessage(message: unknown): void;
};

port.onmessage = ({ data }) => {
  using libc = openLibc();
  using poller = attachPoller(libc, data);
  port.postMessage("blocks");
  port.postMessage(poller.wait(-1));
};
