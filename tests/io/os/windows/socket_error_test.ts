import assert from "node:assert/strict";
import { WSA } from "../../../../ffi/windows/ws2_32.ts";
import { SendFailure } from "../../../../src/core/engine/outside_error.ts";
import { sendFailure as linuxSendFailure } from "../../../../src/io/os/linux/send_failure.ts";
import { sendFailure } from "../../../../src/io/os/windows/send_failure.ts";
import { socketError } from "../../../../src/io/os/windows/socket_error.ts";
import { SocketError } from "../../../../src/io/ports/stream_sockets.ts";

Deno.test("codes of Winsock have Linux's numbers, unknown ones that of «invalid»", () => {
  const known: [number, number][] = [
    [WSA.EWOULDBLOCK, 11],
    [WSA.EACCES, 13],
    [WSA.EMSGSIZE, 90],
    [WSA.EADDRINUSE, 98],
    [WSA.EADDRNOTAVAIL, 99],
    [WSA.ENETUNREACH, 101],
    [WSA.ECONNRESET, 104],
    [WSA.ENOBUFS, 105],
    [WSA.ETIMEDOUT, 110],
    [WSA.ECONNREFUSED, 111],
    [WSA.EHOSTUNREACH, 113],
  ];
  for (const [code, number] of known) assert.equal(socketError(code), number);
  assert.equal(socketError(0), 0);
  assert.equal(socketError(12_345), SocketError.Invalid);
  for (const code of Object.values(WSA)) {
    assert.ok(Object.values(SocketError).includes(socketError(code) as never));
  }
});

Deno.test("failed sends mean the same on both systems", () => {
  for (const number of Object.values(SocketError)) {
    assert.equal(sendFailure(number), linuxSendFailure(number), `${number}`);
  }
  assert.equal(
    sendFailure(socketError(WSA.EMSGSIZE)),
    SendFailure.TooBig,
  );
});
