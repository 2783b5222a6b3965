/** A program for wintun_windows.ts: makes an adapter and keeps it. */
import { openKernel32 } from "../../../ffi/windows/kernel32.ts";
import { WintunDevices } from "../../../src/io/os/windows/wintun.ts";

const devices = new WintunDevices(openKernel32());
devices.create({ name: Deno.args[0], offload: "none" });
console.log("made");
setInterval(() => {}, 1000);
