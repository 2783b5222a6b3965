/**
 * The kill switch by the Windows Filtering Platform: filters of a provider and a
 * sublayer of our own.
 *
 * Filters that last as long as the process belong to a dynamic session: the
 * engine removes them with it, however it ends. Those that stay are persistent,
 * with twins for the time before the engine runs; they are made and removed in a
 * session of their own. Provider and sublayer are always persistent, since a
 * filter can't outlive where it stands: without filters they do nothing.
 *
 * Our own program is told by its path: whoever may replace the file, or run it,
 * may send as we do.
 */
import {
  checkWfp,
  type Fwpuclnt,
  openFwpuclnt,
  WfpError,
} from "../../../../ffi/windows/fwpuclnt.ts";
import {
  fwpmFilter0,
  fwpmProvider0,
  fwpmSession0,
  fwpmSublayer0,
} from "../../../../ffi/windows/layouts/fwpuclnt.ts";
import { MissingLibraryError } from "../../../../ffi/windows/missing_library.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import {
  type KillSwitch,
  KillSwitchError,
  type KillSwitchPolicy,
  type KillSwitchProblem,
  type KillSwitchState,
} from "../../ports.ts";
import { type Filter, killSwitchFilters } from "./kill_switch_filters.ts";
import {
  encodeFilter,
  type FilterFacts,
  PROVIDER,
  SUBLAYER,
} from "./wfp_filter.ts";
import { StructMemory } from "./wfp_memory.ts";

const RPC_C_AUTHN_DEFAULT = 0xffff_ffff;
const SESSION_DYNAMIC = 1;
const PERSISTENT = 1;
/** Ours comes first: what it blocks nobody below can permit again. */
const SUBLAYER_WEIGHT = 0xffff;
const TRANSACTION_WAIT_MS = 5000;
const ENTRIES = 256;
const KEY_BYTES = 16;

/** What a kill switch works with. */
export interface KillSwitchOptions {
  /** NET_LUID of an interface by its name; undefined where there is none. */
  luid(name: string): bigint | undefined;
  /** Full path of this program. */
  readonly program: string;
}

/** @throws {KillSwitchError} where the system's filter engine can't be used. */
export function openKillSwitch(options: KillSwitchOptions): KillSwitch {
  return attempt(() => new WfpKillSwitch(options));
}

class WfpKillSwitch implements KillSwitch {
  readonly #options: KillSwitchOptions;
  readonly #resources = new DisposableStack();
  readonly #library: Fwpuclnt;
  /** For what stays. */
  readonly #engine: bigint;
  /** For what goes with the process; open while we have engaged. */
  #session: bigint | undefined;

  constructor(options: KillSwitchOptions) {
    this.#options = options;
    using guard = new DisposableStack();
    const library = this.#library = guard.use(openFwpuclnt());
    const engine = this.#engine = this.#open(0);
    guard.defer(() => library.call.FwpmEngineClose0(engine));
    this.#resources.use(guard.move());
  }

  engage(policy: KillSwitchPolicy): void {
    attempt(() => {
      const filters = killSwitchFilters(policy);
      const old = this.#ownFilters().map(({ id }) => id);
      this.#transaction(this.#engine, () => this.#addPlace());
      const session = this.#session ??= this.#open(SESSION_DYNAMIC);
      // What may comes before what may not: nothing of ours is cut off, and
      // at no moment may more than before or after.
      this.#transaction(session, () => {
        this.#add(session, filters.filter(({ life }) => life === "session"));
      });
      this.#transaction(this.#engine, () => {
        this.#add(
          this.#engine,
          filters.filter(({ life }) => life !== "session"),
        );
        for (const id of old) this.#delete(id);
      });
    });
  }

  lift(): void {
    attempt(() => {
      this.#transaction(this.#engine, () => {
        for (const { id } of this.#ownFilters()) this.#delete(id);
      });
      this.#endSession();
      this.#transaction(this.#engine, () => this.#removePlace());
    });
  }

  state(): KillSwitchState {
    return attempt(() => {
      if (this.#ownFilters().length === 0) return { kind: "off" };
      const by = this.#session === undefined ? "other" : "ours";
      return { kind: "on", by, dropped: undefined };
    });
  }

  [Symbol.dispose](): void {
    this.#endSession();
    this.#resources.dispose();
  }

  #endSession(): void {
    if (this.#session === undefined) return;
    this.#library.call.FwpmEngineClose0(this.#session);
    this.#session = undefined;
  }

  #open(flags: number): bigint {
    const memory = new StructMemory();
    const { bytes, view } = memory.struct(fwpmSession0);
    const { at } = fwpmSession0;
    const name = memory.copy(wideText("sluice"));
    view.setBigUint64(at.displayData, name.address, true);
    view.setUint32(at.flags, flags, true);
    view.setUint32(at.txnWaitTimeoutInMSec, TRANSACTION_WAIT_MS, true);
    const handle = new BigUint64Array(1);
    checkWfp(
      "FwpmEngineOpen0",
      this.#library.call.FwpmEngineOpen0(
        null,
        RPC_C_AUTHN_DEFAULT,
        null,
        bytes,
        new Uint8Array(handle.buffer),
      ),
    );
    return handle[0];
  }

  #transaction(engine: bigint, work: () => void): void {
    const { call } = this.#library;
    checkWfp("FwpmTransactionBegin0", call.FwpmTransactionBegin0(engine, 0));
    try {
      work();
      checkWfp("FwpmTransactionCommit0", call.FwpmTransactionCommit0(engine));
    } catch (error) {
      call.FwpmTransactionAbort0(engine);
      throw error;
    }
  }

  #addPlace(): void {
    const { call } = this.#library;
    const memory = new StructMemory();
    const name = memory.copy(wideText("sluice"));
    const provider = memory.struct(fwpmProvider0);
    provider.bytes.set(PROVIDER, fwpmProvider0.at.providerKey);
    provider.view.setBigUint64(
      fwpmProvider0.at.displayData,
      name.address,
      true,
    );
    provider.view.setUint32(fwpmProvider0.at.flags, PERSISTENT, true);
    checkWfp(
      "FwpmProviderAdd0",
      call.FwpmProviderAdd0(this.#engine, provider.bytes, null),
      WfpError.AlreadyExists,
    );
    const sublayer = memory.struct(fwpmSublayer0);
    const { at } = fwpmSublayer0;
    sublayer.bytes.set(SUBLAYER, at.subLayerKey);
    sublayer.view.setBigUint64(at.displayData, name.address, true);
    sublayer.view.setUint16(at.flags, PERSISTENT, true);
    const key = memory.copy(PROVIDER);
    sublayer.view.setBigUint64(at.providerKey, key.address, true);
    sublayer.view.setUint16(at.weight, SUBLAYER_WEIGHT, true);
    checkWfp(
      "FwpmSubLayerAdd0",
      call.FwpmSubLayerAdd0(this.#engine, sublayer.bytes, null),
      WfpError.AlreadyExists,
    );
  }

  #removePlace(): void {
    const { call } = this.#library;
    checkWfp(
      "FwpmSubLayerDeleteByKey0",
      call.FwpmSubLayerDeleteByKey0(this.#engine, SUBLAYER),
      WfpError.SublayerNotFound,
    );
    checkWfp(
      "FwpmProviderDeleteByKey0",
      call.FwpmProviderDeleteByKey0(this.#engine, PROVIDER),
      WfpError.ProviderNotFound,
    );
  }

  #add(engine: bigint, filters: readonly Filter[]): void {
    const { call } = this.#library;
    const memory = new StructMemory();
    const name = wideText(this.#options.program);
    const blob = new BigUint64Array(1);
    const blobBytes = new Uint8Array(blob.buffer);
    checkWfp(
      "FwpmGetAppIdFromFileName0",
      call.FwpmGetAppIdFromFileName0(name, blobBytes),
    );
    try {
      const facts: FilterFacts = {
        program: blob[0],
        luid: (name) => this.#options.luid(name),
      };
      for (const filter of filters) {
        const piece = encodeFilter(memory, filter, facts);
        if (piece === undefined) continue;
        checkWfp(
          "FwpmFilterAdd0",
          call.FwpmFilterAdd0(engine, piece.bytes, null, new Uint8Array(8)),
        );
      }
    } finally {
      call.FwpmFreeMemory0(blobBytes);
    }
  }

  #delete(id: bigint): void {
    checkWfp(
      "FwpmFilterDeleteById0",
      this.#library.call.FwpmFilterDeleteById0(this.#engine, id),
      WfpError.FilterNotFound,
    );
  }

  /** All filters of our provider, whoever made them. */
  #ownFilters(): { readonly id: bigint }[] {
    const { call } = this.#library;
    const handle = new BigUint64Array(1);
    checkWfp(
      "FwpmFilterCreateEnumHandle0",
      call.FwpmFilterCreateEnumHandle0(
        this.#engine,
        null,
        new Uint8Array(handle.buffer),
      ),
    );
    try {
      const found: { id: bigint }[] = [];
      while (this.#readFilters(handle[0], found) === ENTRIES);
      return found;
    } finally {
      call.FwpmFilterDestroyEnumHandle0(this.#engine, handle[0]);
    }
  }

  /** Reads some filters. @returns how many there were, ours or not. */
  #readFilters(handle: bigint, found: { id: bigint }[]): number {
    const { call } = this.#library;
    const entries = new BigUint64Array(1);
    const entriesBytes = new Uint8Array(entries.buffer);
    const count = new Uint32Array(1);
    checkWfp(
      "FwpmFilterEnum0",
      call.FwpmFilterEnum0(
        this.#engine,
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
        const key = filter.getBigUint64(fwpmFilter0.at.providerKey);
        if (key !== 0n && isProvider(key)) {
          found.push({ id: filter.getBigUint64(fwpmFilter0.at.filterId) });
        }
      }
    }
    call.FwpmFreeMemory0(entriesBytes);
    return count[0];
  }
}

function viewAt(address: bigint): Deno.UnsafePointerView {
  return new Deno.UnsafePointerView(Deno.UnsafePointer.create(address)!);
}

function isProvider(address: bigint): boolean {
  const key = new Uint8Array(viewAt(address).getArrayBuffer(KEY_BYTES));
  return key.every((byte, i) => byte === PROVIDER[i]);
}

function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw explain(error);
  }
}

const EXPLANATIONS: Readonly<
  Record<number, readonly [KillSwitchProblem, string]>
> = {
  [WfpError.AccessDenied]: [
    "denied",
    "only an administrator may change the filters of Windows",
  ],
  [WfpError.CannotSupport]: [
    "unsupported",
    "this system has no Windows Filtering Platform",
  ],
  [WfpError.NotRegistered]: [
    "unsupported",
    "the service «Base Filtering Engine» (BFE) does not run: sc start BFE",
  ],
  [WfpError.TransactionTimedOut]: [
    "busy",
    "another program changes the filters of Windows; try again",
  ],
};

function explain(error: unknown): unknown {
  if (error instanceof MissingLibraryError) {
    return new KillSwitchError("unsupported", error.message, { cause: error });
  }
  if (!(error instanceof Win32Error)) return error;
  const [problem, message] = EXPLANATIONS[error.code] ??
    ["refused", error.message] as const;
  return new KillSwitchError(problem, message, { cause: error });
}
