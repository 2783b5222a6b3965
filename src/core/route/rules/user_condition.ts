/** The condition on users: by name, or by number where the system has them. */
import {
  type ConditionOutcome,
  outcome,
  type OwnerCondition,
} from "./condition.ts";
import type { FlowOwner } from "./facts.ts";
import type { PathStyle } from "./rule.ts";

/** The condition of a rule on users. */
export class UserCondition implements OwnerCondition {
  readonly #wanted: readonly string[];
  readonly #compared: ReadonlySet<string>;
  readonly #style: PathStyle;

  constructor(users: readonly string[], style: PathStyle) {
    this.#wanted = users;
    this.#style = style;
    this.#compared = new Set(users.map((user) => comparedUser(user, style)));
  }

  matches(owner: FlowOwner): boolean {
    return userForms(owner, this.#style).some((form) =>
      this.#compared.has(form)
    );
  }

  outcomes(owner: FlowOwner | undefined): ConditionOutcome[] {
    const { userId } = owner ?? {};
    const actual = owner === undefined
      ? []
      : userId === undefined
      ? [owner.user]
      : [owner.user, String(userId)];
    return [outcome("user", owner && this.matches(owner), {
      wanted: this.#wanted,
      actual,
    })];
  }
}

/** A user of a rule in the form that is compared. */
export function comparedUser(user: string, style: PathStyle): string {
  return style === "windows" ? user.toLowerCase() : user;
}

/** Every text that names the owner's user: `DOMAIN\name`, `name`, number. */
export function userForms(owner: FlowOwner, style: PathStyle): string[] {
  const name = comparedUser(owner.user, style);
  const forms = [name];
  if (style === "windows" && name.includes("\\")) {
    forms.push(name.slice(name.lastIndexOf("\\") + 1));
  }
  if (owner.userId !== undefined) forms.push(String(owner.userId));
  return forms;
}
