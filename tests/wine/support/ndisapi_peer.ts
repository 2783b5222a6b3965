/** The other end of a line that a test captures: gives back what it gets, by TCP and UDP at port 7. */
import { accepted } from "../../../src/io/accepted.ts";

const PORT = 7;

const HOSTNAME = "::";

void serveTcp(Deno.listen({ hostname: HOSTNAME, port: PORT }));
void serveUdp(
  Deno.listenDatagram({ transport: "udp", hostname: HOSTNAME, port: PORT }),
);
console.log("ready");

async function serveTcp(listener: Deno.Listener): Promise<void> {
  for await (const connection of accepted(listener)) {
    connection.readable.pipeTo(connection.writable).catch(() => {});
  }
}

async function serveUdp(socket: Deno.DatagramConn): Promise<void> {
  for (;;) {
    // Somebody who has gone meanwhile is no reason to end.
    await socket.receive().then(([bytes, from]) => socket.send(bytes, from))
      .catch(() => {});
  }
}
