/** Changes by netlink whose result may be there already. */
import { tolerating } from "../shared/tolerate.ts";
import { NetlinkError } from "./netlink.ts";

/** See {@linkcode tolerating}. */
export const tolerate = tolerating(NetlinkError);
