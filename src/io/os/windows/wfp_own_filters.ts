/**
 * The filters of our provider, whoever made them: layer by layer, since only a
 * template asks for those of the system's start as well.
 */
import {
  checkWfp,
  type Fwpuclnt,
  WfpError,
} from "../../../../ffi/windows/fwpuclnt.ts";
import {
  fwpmFilter0,
  fwpmFilterEnumTemplate0,
} from "../../../../ffi/windows/layouts/fwpuclnt.ts";
import { LAYER_KEYS, PROVIDER } from "./wfp_filter.ts";
import { StructMemory } from "./wfp_memory.ts";

const ENTRIES = 256;
/** FWP_FILTER_ENUM_FLAG_INCLUDE_BOOTTIME, FWP_FILTER_ENUM_FLAG_INCLUDE_DISABLED. */
const INCLUDE_ALL = 0x8 | 0x10;
const EVERY_ACTION = 0xffff_ffff;
/** FWPM_FILTER_FLAG_PERSISTENT, FWPM_FILTER_FLAG_BOOTTIME. */
const LASTING = 1 | 2;

/** A filter as the engine has it. */
export interface OwnFilter {
  readonly id: bigint;
  /** Whether it outlives the session that made it; else only that session removes it. */
  readonly isLasting: boolean;
}

/** Lists them. @throws {Win32Error} */
export function ownFilters(library: Fwpuclnt, engine: bigint): OwnFilter[] {
  return LAYER_KEYS.flatMap((layer) => filtersOf(library, engine, layer));
}

function filtersOf(
  library: Fwpuclnt,
  engine: bigint,
  layer: Uint8Array,
): OwnFilter[] {
  const { call } = library;
  const memory = new StructMemory();
  const { bytes, view } = memory.struct(fwpmFilterEnumTemplate0);
  const { at } = fwpmFilterEnumTemplate0;
  view.setBigUint64(at.providerKey, memory.copy(PROVIDER).address, true);
  bytes.set(layer, at.layerKey);
  view.setUint32(at.flags, INCLUDE_ALL, true);
  view.setUint32(at.actionMask, EVERY_ACTION, true);
  const handle = new BigUint64Array(1);
  const code = call.FwpmFilterCreateEnumHandle0(
    engine,
    bytes,
    new Uint8Array(handle.buffer),
  );
  if (code === WfpError.ProviderNotFound) return [];
  checkWfp("FwpmFilterCreateEnumHandle0", code);
  try {
    const found: OwnFilter[] = [];
    while (readSome(library, { engine, handle: handle[0], found }) === ENTRIES);
    return found;
  } finally {
    call.FwpmFilterDestroyEnumHandle0(engine, handle[0]);
  }
}

/** @returns how many there were. */
function readSome(
  { call }: Fwpuclnt,
  { engine, handle, found }: {
    engine: bigint;
    handle: bigint;
    found: OwnFilter[];
  },
): number {
  const entries = new BigUint64Array(1);
  const entriesBytes = new Uint8Array(entries.buffer);
  const count = new Uint32Array(1);
  checkWfp(
    "FwpmFilterEnum0",
    call.FwpmFilterEnum0(
      engine,
      handle,
      ENTRIES,
      entriesBytes,
      new Uint8Array(count.buffer),
    ),
  );
  if (count[0] > 0) {
    const pointers = viewAt(entries[0]);
    for (let i = 0; i < count[0]; i++) {
      const filter = viewAt(pointers.getBigUint64(8 * i));
      const flags = filter.getUint32(fwpmFilter0.at.flags);
      found.push({
        id: filter.getBigUint64(fwpmFilter0.at.filterId),
        isLasting: (flags & LASTING) !== 0,
      });
    }
  }
  call.FwpmFreeMemory0(entriesBytes);
  return count[0];
}

function viewAt(address: bigint): Deno.UnsafePointerView {
  return new Deno.UnsafePointerView(Deno.UnsafePointer.create(address)!);
}
