/**
 * Tells everybody the address that it sees them come from: by TCP, where the
 * connection stays until something is sent; by UDP for each datagram.
 *
 *     whoami.ts '{"ports": [7001, 53], "addresses": ["198.51.100.10"]}'
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

interface Options {
  readonly ports: readonly number[];
  readonly addresses: readonly string[];
}

const { ports, addresses }: Options = JSON.parse(Deno.args[0]);
const waiting: Promise<void>[] = [];
for (const address of addresses) {
  for (const port of ports) {
    waiting.push(serveTcp(address, port), serveUdp(address, port));
  }
}
await Promise.all(waiting);
console.log("whoami is ready");

function serveTcp(address: string, port: number): Promise<void> {
  const server = createServer((socket) => {
    const from = `${socket.remoteAddress} at ${address}\n`;
    socket.write(from);
    socket.on("data", () => socket.end());
    socket.on("error", () => {});
  });
  return new Promise((resolve) => server.listen(port, address, resolve));
}

function serveUdp(address: string, port: number): Promise<void> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (_data, from) => {
    const text = `${from.address} at ${address}\n`;
    socket.send(text, from.port, from.address);
  });
  return new Promise((resolve) => socket.bind(port, address, () => resolve()));
}
