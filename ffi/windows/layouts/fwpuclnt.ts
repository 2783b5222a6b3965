/** Structs of fwpuclnt.dll (x64), as data; see ffi/layout.ts. */
import { struct } from "../../layout.ts";

const HEADER = "fwpmu.h";

/** A session of the engine; `flags` 1 makes it dynamic. */
export const fwpmSession0 = struct("FWPM_SESSION0", HEADER, 72, [
  ["sessionKey", "bytes", 0],
  ["displayData", "bytes", 16],
  ["flags", "u32le", 32],
  ["txnWaitTimeoutInMSec", "u32le", 36],
]);

/** Who filters. */
export const fwpmProvider0 = struct("FWPM_PROVIDER0", HEADER, 64, [
  ["providerKey", "bytes", 0],
  ["displayData", "bytes", 16],
  ["flags", "u32le", 32],
]);

/** Where his filters are weighed against each other. */
export const fwpmSublayer0 = struct("FWPM_SUBLAYER0", HEADER, 72, [
  ["subLayerKey", "bytes", 0],
  ["displayData", "bytes", 16],
  ["flags", "u16le", 32],
  ["providerKey", "pointer", 40],
  ["weight", "u16le", 64],
]);

/** A filter. Its weight is an FWP_VALUE0. */
export const fwpmFilter0 = struct("FWPM_FILTER0", HEADER, 200, [
  ["filterKey", "bytes", 0],
  ["displayData", "bytes", 16],
  ["flags", "u32le", 32],
  ["providerKey", "pointer", 40],
  ["layerKey", "bytes", 64],
  ["subLayerKey", "bytes", 80],
  ["weight", "bytes", 96],
  ["numFilterConditions", "u32le", 112],
  ["filterCondition", "pointer", 120],
  ["action", "bytes", 128],
  ["filterId", "u64le", 176],
]);

/** Which filters are enumerated: those of a layer. */
export const fwpmFilterEnumTemplate0 = struct(
  "FWPM_FILTER_ENUM_TEMPLATE0",
  HEADER,
  72,
  [
    ["providerKey", "pointer", 0],
    ["layerKey", "bytes", 8],
    ["enumType", "u32le", 24],
    ["flags", "u32le", 28],
    ["providerContextTemplate", "pointer", 32],
    ["numFilterConditions", "u32le", 40],
    ["filterCondition", "pointer", 48],
    ["actionMask", "u32le", 56],
    ["calloutKey", "pointer", 64],
  ],
);

/** A condition of a filter; its value is an FWP_CONDITION_VALUE0. */
export const fwpmFilterCondition0 = struct(
  "FWPM_FILTER_CONDITION0",
  HEADER,
  40,
  [
    ["fieldKey", "bytes", 0],
    ["matchType", "u32le", 16],
    ["conditionValue", "bytes", 24],
  ],
);

/** An IPv4 prefix, both numbers in the host's order. */
export const fwpV4AddrAndMask = struct("FWP_V4_ADDR_AND_MASK", HEADER, 8, [
  ["addr", "u32le", 0],
  ["mask", "u32le", 4],
]);

/** An IPv6 prefix. */
export const fwpV6AddrAndMask = struct("FWP_V6_ADDR_AND_MASK", HEADER, 17, [
  ["addr", "bytes", 0],
  ["prefixLength", "u8", 16],
]);
