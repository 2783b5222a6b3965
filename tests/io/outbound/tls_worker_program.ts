/** A worker that blocks in calls while the main thread speaks TLS for it. */
import { openDialer } from "../../../src/io/outbound/open_dialer.ts";
import { openPlatform } from "../../../src/io/platform.ts";
import type { DialerSetup } from "../../../src/io/ports/dialer.ts";
import { SocketEvent } from "../../../src/io/ports.ts";

/** What the worker is told. */
export interface WorkerTask {
  readonly setup: DialerSetup;
  readonly words: Int32Array;
  readonly port: number;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<WorkerTask>) => void;
  postMessage(message: unknown): void;
  close(): void;
};

scope.onmessage = ({ data: { setup, words, port } }) => {
  using platform = openPlatform();
  using events = platform.openSocketEvents();
  const sockets = platform.openStreamSockets();
  const dialer = openDialer(setup, {
    sockets,
    bridgeTls: (bridge) => scope.postMessage({ bridge }),
  });
  const block = (descriptor: number, wants: number) => {
    events.add(descriptor, wants, 0);
    const count = events.wait(10_000);
    events.remove(descriptor);
    if (count !== 1) throw new Error("waited in vain");
  };
  using dial = dialer.dial({ words, port });
  while (dial.advance() === "pending") {
    block(
      dial.descriptor,
      dial.wants === "read" ? SocketEvent.Readable : SocketEvent.Writable,
    );
  }
  if (dial.failure !== undefined) {
    scope.postMessage({ failure: dial.failure });
    return scope.close();
  }
  const descriptor = dial.take();
  const hello = new TextEncoder().encode("hello from a blocked worker");
  sockets.send(descriptor, hello, hello.length);
  sockets.shutdownWrite(descriptor);
  let text = "";
  const room = new Uint8Array(4096);
  for (;;) {
    block(descriptor, SocketEvent.Readable);
    const count = sockets.receive(descriptor, room, room.length);
    if (count <= 0) break;
    text += new TextDecoder().decode(room.subarray(0, count));
  }
  sockets.close(descriptor);
  scope.postMessage({ text });
  scope.close();
};
