/** Wine's filter engine: a stand-in that tells what it is given. */
import { buildForWindows } from "./standins.ts";

const SOURCE = new URL("../standins/fwpuclnt.c", import.meta.url).pathname;

/** Builds it. @returns the path of the library, for SLUICE_TEST_FWPUCLNT. */
export function buildFwpuclnt(): Promise<string> {
  return buildForWindows({ name: "fwpuclnt_standin.dll", sources: [SOURCE] });
}
