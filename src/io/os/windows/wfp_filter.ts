/**
 * A filter as the struct that the filter engine takes. Keys of layers and fields
 * are those of fwpmu.h; numbers of types and actions those of fwptypes.h.
 */
import {
  fwpmFilter0,
  fwpmFilterCondition0,
  fwpV4AddrAndMask,
  fwpV6AddrAndMask,
} from "../../../../ffi/windows/layouts/fwpuclnt.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { writeWords } from "../../../core/wire/address.ts";
import type { AllowedNetwork } from "../../ports.ts";
import { parseGuid } from "./guid.ts";
import type {
  Filter,
  FilterCondition,
  FilterLayer,
  FilterLife,
} from "./kill_switch_filters.ts";
import type { Piece, StructMemory } from "./wfp_memory.ts";

/** Ours: who filters, and where. */
export const PROVIDER = parseGuid("5e9c27a1-6f0d-4b8e-9d35-51f0c6a2b7e4");
export const SUBLAYER = parseGuid("a8d0f3b6-2c47-4e19-8f62-7b94e10d5c38");

/** FWPM_LAYER_ALE_AUTH_CONNECT, FWPM_LAYER_ALE_AUTH_RECV_ACCEPT, FWPM_LAYER_IPFORWARD. */
const LAYERS: Record<FilterLayer, Record<4 | 6, Uint8Array>> = {
  connect: {
    4: parseGuid("c38d57d1-05a7-4c33-904f-7fbceee60e82"),
    6: parseGuid("4a72393b-319f-44bc-84c3-ba54dcb3b6b4"),
  },
  accept: {
    4: parseGuid("e1cd9fe7-f4b5-4273-96c0-592e487b8650"),
    6: parseGuid("a3b42c97-9f04-4672-b87e-cee9c483257f"),
  },
  forward: {
    4: parseGuid("a82acc24-4ee1-4ee1-b465-fd1d25cb10a4"),
    6: parseGuid("7b964818-19c7-493a-b71f-832c3684d28c"),
  },
};

/** All layers that filters of ours may stand in. */
export const LAYER_KEYS: readonly Uint8Array[] = Object.values(LAYERS)
  .flatMap((keys) => [keys[4], keys[6]]);

/** FWPM_CONDITION_*. */
const FIELDS: Record<FilterCondition["kind"], Uint8Array> = {
  loopback: parseGuid("632ce23b-5167-435c-86d7-e903684aa80c"), // FLAGS
  "own-program": parseGuid("d78e1e87-8644-4ea5-9437-d809ecefc971"), // ALE_APP_ID
  interface: parseGuid("4cd62a49-59c3-4969-b7f3-bda5d32890a4"), // IP_LOCAL_INTERFACE
  network: parseGuid("b235ae9a-1d64-49b8-a44c-5ff3d9095045"), // IP_REMOTE_ADDRESS
  protocol: parseGuid("3971ef2b-623e-4f9a-8cb1-6e79b806b9a7"), // IP_PROTOCOL
  "local-port": parseGuid("0c1ba1af-5765-453f-af22-a8f791ac775b"), // IP_LOCAL_PORT
  "remote-port": parseGuid("c35a604d-d22b-4e1a-91b4-68f674ee674b"), // IP_REMOTE_PORT
};

const FilterFlag: Record<FilterLife, number> = {
  session: 0,
  persistent: 1,
  boot: 2,
};
const Action = { block: 0x1001, permit: 0x1002 } as const;
const Match = { Equal: 0, FlagsAllSet: 6 } as const;
/** FWP_DATA_TYPE. */
const Type = {
  Uint8: 1,
  Uint16: 2,
  Uint32: 3,
  Uint64: 4,
  ByteBlob: 12,
  V4AddressMask: 0x100,
  V6AddressMask: 0x101,
} as const;
const FLAG_IS_LOOPBACK = 1;
const VALUE_AT = 8;

/** What a filter can't say by itself. */
export interface FilterFacts {
  /** Where the FWP_BYTE_BLOB of this program's path lies. */
  readonly program: bigint;
  /** NET_LUID of an interface; undefined where there is none of that name. */
  luid(name: string): bigint | undefined;
}

/**
 * Writes a filter. @returns undefined where it speaks of an interface that there
 * isn't: then nothing can leave by it, and nothing is to be permitted.
 */
export function encodeFilter(
  memory: StructMemory,
  filter: Filter,
  facts: FilterFacts,
): Piece | undefined {
  const { size, at } = fwpmFilterCondition0;
  const conditions = memory.piece(size * filter.conditions.length);
  for (const [i, condition] of filter.conditions.entries()) {
    const from = size * i;
    conditions.bytes.set(FIELDS[condition.kind], from + at.fieldKey);
    const match = condition.kind === "loopback"
      ? Match.FlagsAllSet
      : Match.Equal;
    conditions.view.setUint32(from + at.matchType, match, true);
    const value = valueOf(memory, condition, facts);
    if (value === undefined) return undefined;
    const [type, bits] = value;
    conditions.view.setUint32(from + at.conditionValue, type, true);
    conditions.view.setBigUint64(
      from + at.conditionValue + VALUE_AT,
      bits,
      true,
    );
  }
  const piece = memory.struct(fwpmFilter0);
  const { bytes, view } = piece;
  const place = fwpmFilter0.at;
  const name = memory.copy(wideText(`sluice: ${filter.name}`));
  view.setBigUint64(place.displayData, name.address, true);
  view.setUint32(place.flags, FilterFlag[filter.life], true);
  view.setBigUint64(place.providerKey, memory.copy(PROVIDER).address, true);
  bytes.set(LAYERS[filter.layer][filter.family], place.layerKey);
  bytes.set(SUBLAYER, place.subLayerKey);
  view.setUint32(place.weight, Type.Uint8, true);
  view.setUint8(place.weight + VALUE_AT, filter.weight);
  view.setUint32(place.numFilterConditions, filter.conditions.length, true);
  view.setBigUint64(place.filterCondition, conditions.address, true);
  view.setUint32(place.action, Action[filter.action], true);
  return piece;
}

/** Type and bits of a condition's value: a number, or the address of a struct. */
function valueOf(
  memory: StructMemory,
  condition: FilterCondition,
  { program, luid }: FilterFacts,
): readonly [type: number, bits: bigint] | undefined {
  switch (condition.kind) {
    case "loopback":
      return [Type.Uint32, BigInt(FLAG_IS_LOOPBACK)];
    case "own-program":
      return [Type.ByteBlob, program];
    case "interface": {
      const number = luid(condition.name);
      if (number === undefined) return undefined;
      const piece = memory.piece(8);
      piece.view.setBigUint64(0, number, true);
      return [Type.Uint64, piece.address];
    }
    case "network":
      return prefixValue(memory, condition.network);
    case "protocol":
      return [Type.Uint8, BigInt(condition.protocol)];
    case "local-port":
    case "remote-port":
      return [Type.Uint16, BigInt(condition.port)];
  }
}

function prefixValue(
  memory: StructMemory,
  { family, words, prefixLength }: AllowedNetwork,
): readonly [type: number, bits: bigint] {
  if (family === 4) {
    const piece = memory.struct(fwpV4AddrAndMask);
    const mask = prefixLength === 0 ? 0 : -1 << (32 - prefixLength) >>> 0;
    const address = words[3] & mask;
    piece.view.setUint32(fwpV4AddrAndMask.at.addr, address >>> 0, true);
    piece.view.setUint32(fwpV4AddrAndMask.at.mask, mask, true);
    return [Type.V4AddressMask, piece.address];
  }
  const piece = memory.struct(fwpV6AddrAndMask);
  writeWords(piece.bytes, fwpV6AddrAndMask.at.addr, words, 0);
  piece.bytes[fwpV6AddrAndMask.at.prefixLength] = prefixLength;
  return [Type.V6AddressMask, piece.address];
}
