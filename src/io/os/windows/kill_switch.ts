/**
 * The kill switch by the Windows Filtering Platform: filters of a provider and a
 * sublayer of our own.
 *
 * Filters that last as long as the process belong to a dynamic session: the
 * engine removes them with it, however it ends. Those that stay are persistent,
 * with twins for the time before the engine runs; they are made and removed in a
 * session of their own, which may not remove a dynamic one's. Provider and sublayer are always persistent, since a
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
import { ownFilters } from "./wfp_own_filters.ts";

const RPC_C_AUTHN_DEFAULT = 0xffff_ffff;
const SESSION_DYNAMIC = 1;
const PERSISTENT = 1;
/** Ours comes first: what it blocks nobody below can permit again. */
const SUBLAYER_WEIGHT = 0xffff;
const TRANSACTION_WAIT_MS = 5000;

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
  /** Filters of that session. */
  #inSession: readonly bigint[] = [];

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
      const old = this.#lasting();
      const before = this.#inSession;
      this.#transaction(this.#engine, () => this.#addPlace());
      const session = this.#session ??= this.#open(SESSION_DYNAMIC);
      // What may comes before what may not: nothing of ours is cut off, and
      // at no moment may more than before or after.
      const added = this.#transaction(
        session,
        () =>
          this.#add(session, filters.filter(({ life }) => life === "session")),
      );
      this.#inSession = [...before, ...added];
      this.#transaction(this.#engine, () => {
        this.#add(
          this.#engine,
          filters.filter(({ life }) => life !== "session"),
        );
        for (const id of old) this.#delete(this.#engine, id);
      });
      this.#transaction(session, () => {
        for (const id of before) this.#delete(session, id);
      });
      this.#inSession = added;
    });
  }

  /** Another process's session keeps its filters until that process ends. */
  lift(): void {
    attempt(() => {
      this.#transaction(this.#engine, () => {
        for (const id of this.#lasting()) this.#delete(this.#engine, id);
      });
      this.#endSession();
      this.#transaction(this.#engine, () => this.#removePlace());
    });
  }

  state(): KillSwitchState {
    return attempt(() => {
      const filters = ownFilters(this.#library, this.#engine);
      if (filters.length === 0) return { kind: "off" };
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
    this.#inSession = [];
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

  #transaction<T>(engine: bigint, work: () => T): T {
    const { call } = this.#library;
    checkWfp("FwpmTransactionBegin0", call.FwpmTransactionBegin0(engine, 0));
    try {
      const result = work();
      checkWfp("FwpmTransactionCommit0", call.FwpmTransactionCommit0(engine));
      return result;
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
      WfpError.InUse,
    );
    checkWfp(
      "FwpmProviderDeleteByKey0",
      call.FwpmProviderDeleteByKey0(this.#engine, PROVIDER),
      WfpError.ProviderNotFound,
      WfpError.InUse,
    );
  }

  /** @returns numbers of the filters. */
  #add(engine: bigint, filters: readonly Filter[]): bigint[] {
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
      const added: bigint[] = [];
      const id = new BigUint64Array(1);
      const idBytes = new Uint8Array(id.buffer);
      for (const filter of filters) {
        const piece = encodeFilter(memory, filter, facts);
        if (piece === undefined) continue;
        checkWfp(
          "FwpmFilterAdd0",
          call.FwpmFilterAdd0(engine, piece.bytes, null, idBytes),
        );
        added.push(id[0]);
      }
      return added;
    } finally {
      call.FwpmFreeMemory0(blobBytes);
    }
  }

  #delete(engine: bigint, id: bigint): void {
    checkWfp(
      "FwpmFilterDeleteById0",
      this.#library.call.FwpmFilterDeleteById0(engine, id),
      WfpError.FilterNotFound,
    );
  }

  /** Those that outlive us, or that somebody has left. */
  #lasting(): bigint[] {
    return ownFilters(this.#library, this.#engine)
      .filter(({ isLasting }) => isLasting)
      .map(({ id }) => id);
  }
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
