/**
 * What our Wintun device gets out of wintun.dll, run under Wine; the twin of
 * wintun_loop.c, with the same arguments but for the library.
 *
 *     wine_wintun_program.ts ADAPTER BYTES MILLISECONDS
 */
import { openKernel32 } from "../../ffi/windows/kernel32.ts";
import { Batch } from "../../src/core/columns/batch.ts";
import { Verdict } from "../../src/core/columns/verdict.ts";
import * as ipv4 from "../../src/core/wire/ipv4.ts";
import { tunEvent, WintunDevices } from "../../src/io/os/windows/wintun.ts";

const TURN = 256;
const ECHOES = 64;
const ECHO_LENGTH = 84;
const ARENA = 1 << 20;
const MTU = 1420;

const [name, bytesText, timeText] = Deno.args;
const length = Number(bytesText);
const time = Number(timeText);

const kernel32 = openKernel32();
const devices = new WintunDevices(kernel32);
const tun = devices.create({ name, offload: "none" });
const bytes = new Uint8Array(2 * ARENA);
const device = devices.attach({
  descriptor: tun.descriptor,
  name,
  mtu: MTU,
  offload: tun.offload,
  bytes,
  readArea: { start: 0, end: ARENA },
  writeArea: { start: 0, end: 0 },
  headroom: 16,
  tailroom: 16,
  padLimit: MTU,
});
const event = tunEvent(tun.descriptor);
const batch = new Batch({
  bytes,
  capacity: TURN,
  spareStart: ARENA,
  spareEnd: bytes.length,
  headroom: 16,
  tailroom: 16,
});

function readTurn(): number {
  batch.clear();
  const packets = device.read(batch);
  if (packets === 0) kernel32.call.WaitForSingleObject(event, 100);
  return packets;
}

function writeTurn(packets: number, packetLength: number): number {
  batch.clear();
  for (let i = 0; i < packets; i++) {
    const row = batch.append(packetLength, -1);
    const at = batch.offset[row];
    ipv4.emit(bytes, at, packetLength, 1, 64, 0x0a580002, 0x0a580001);
    bytes[at + 20] = 8; // the rest of the echo request is zeros
    bytes[at + 22] = 0xf7;
    bytes[at + 23] = 0xff;
    batch.decide(row, Verdict.ToHost, 0);
  }
  return packets - device.write(batch);
}

function echoTurn(): number {
  writeTurn(ECHOES, ECHO_LENGTH);
  const patience = performance.now() + 1000;
  let answers = 0;
  while (answers < ECHOES && performance.now() < patience) {
    answers += readTurn();
  }
  return answers;
}

/** Packets a second of turns. */
function rate(turn: () => number): number {
  const begin = performance.now();
  let packets = 0;
  while (performance.now() < begin + time) packets += turn();
  return Math.round(packets / (performance.now() - begin) * 1000);
}

const result = name.startsWith("standin-flood-")
  ? { read: rate(readTurn), write: rate(() => writeTurn(TURN, length)) }
  : { echo: rate(echoTurn) };
console.log(JSON.stringify(result));
tun[Symbol.dispose]();
