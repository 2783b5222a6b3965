/** The kill switch under Wine, whose filter engine a stand-in takes the place of. */
import { buildFwpuclnt } from "./support/fwpuclnt.ts";
import { insideTests } from "./support/inside.ts";

const FILE = new URL("./inside/io/os/kill_switch_windows.ts", import.meta.url);

await insideTests([FILE.pathname], {
  async prepare({ lab }) {
    return {
      env: {
        SLUICE_TEST_FWPUCLNT: await buildFwpuclnt(),
        SLUICE_TEST_WFP_LOG: `${lab.directory}/wfp.log`,
      },
    };
  },
});
