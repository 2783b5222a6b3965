/** A worker that blocks in a poller until it is woken, for poller.ts. */
import { openPlatform } from "../../src/io/platform.ts";
import type { PollerAttachment } from "../../src/io/ports.ts";

const port = self as unknown as {
  onmessage: (event: MessageEvent<PollerAttachment>) => void;
  postMessage(message: unknown): void;
};

port.onmessage = ({ data }) => {
  const ready = waitOnce(data);
  // Told when nothing of it is in use any more.
  port.postMessage(ready);
};

function waitOnce(attachment: PollerAttachment): number {
  using platform = openPlatform();
  using poller = platform.attachPoller(attachment);
  port.postMessage("blocks");
  return poller.wait(-1);
}
