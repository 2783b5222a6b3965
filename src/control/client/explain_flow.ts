/** Answers what would become of a flow that need not exist. */
import type { FlowFacts, FlowOwner } from "../../core/route/rules/facts.ts";
import { explain } from "../../core/route/rules/explain.ts";
import type { RuleProtocol } from "../../core/route/rules/rule.ts";
import {
  formatAddress,
  formatEndpoint,
  isMappedIpv4,
  parseAddress,
} from "../../core/wire/address.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import type { ProcessTable } from "../../io/ports/process_table.ts";
import {
  ClientPortError,
  type ExplainAnswer,
  type ExplainedProgram,
  type ExplainQuestion,
} from "../client_port.ts";
import type { FlowJudge } from "./flow_judge.ts";
import { ruleOwner } from "./flow_owner.ts";
import type { ProgramNames } from "./program_names.ts";

/** What the answer rests on. */
export interface ExplainOptions {
  readonly judge: FlowJudge;
  readonly processes: Pick<ProcessTable, "process">;
  readonly names: ProgramNames;
  /** The owner of a flow that is known still, by the id of a process that has ended. */
  readonly remembered: (processId: number) => FlowOwner | undefined;
  readonly now: number;
}

/** Why a program's flow would get its verdict. @throws {ClientPortError} */
export function explainFlow(
  question: ExplainQuestion,
  options: ExplainOptions,
): ExplainAnswer {
  const { judge, names, now } = options;
  const { program, address, port, name } = question;
  const parsed = parseAddress(address);
  if (parsed === undefined) {
    throw new ClientPortError(`"${address}" is not an address`);
  }
  const words = Int32Array.from(parsed);
  const owner = ownerOf(program, options);
  const protocol = protocolNumber(question.protocol, words);
  const facts: FlowFacts = {
    protocol,
    words,
    port,
    names: name === undefined
      ? owner === undefined ? [] : names.of(owner, words, now)
      : [name],
    owner,
    fragment: "none",
  };
  const tunnels = judge.tunnelsFor({ protocol, remote: { words, port } });
  const shown = port === 0
    ? formatAddress(words)
    : formatEndpoint(words, 0, port);
  return {
    program: owner === undefined ? "unknown" : `${owner.path} (${owner.user})`,
    ancestors: owner?.ancestors.map(({ path }) => path) ?? [],
    destination: name === undefined ? shown : `${name}, ${shown}`,
    explanation: explain(judge.engine, facts, tunnels),
  };
}

/** Undefined where the system does not tell what the process runs. */
function ownerOf(
  program: ExplainedProgram,
  { processes, remembered }: ExplainOptions,
): FlowOwner | undefined {
  if (program.kind === "unknown") return undefined;
  if (program.kind === "program") {
    const { path, user, ancestors } = program;
    return {
      ...programAt(path),
      user,
      ancestors: ancestors.map(programAt),
    };
  }
  const { processId } = program;
  const process = processes.process(processId);
  if (process !== undefined) return ruleOwner(process);
  const owner = remembered(processId);
  if (owner !== undefined) return owner;
  throw new ClientPortError(
    `there is no process ${processId}`,
    "name the program by its path",
  );
}

function programAt(path: string): { path: string; name: string } {
  return { path, name: path.slice(path.lastIndexOf("/") + 1) };
}

function protocolNumber(protocol: RuleProtocol, words: Int32Array): number {
  switch (protocol) {
    case "tcp":
      return Protocol.Tcp;
    case "udp":
      return Protocol.Udp;
    case "icmp":
      return isMappedIpv4(words) ? Protocol.Icmp : Protocol.Icmpv6;
  }
}
