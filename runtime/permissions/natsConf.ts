/** Permissions and accounts as text of nats-server's configuration. */
import type { Account, Export, Import, User } from './accounts.ts'
import type { Permissions } from './roles.ts'

/** The block of one user: `permissions: { … }`. */
export function permissionsText(permissions: Permissions, indent = ''): string {
  return [
    `${indent}permissions: {`,
    listText('publish', permissions.publish, `${indent}  `),
    listText('subscribe', permissions.subscribe, `${indent}  `),
    `${indent}}`,
  ].join('\n')
}

/** The whole block of accounts; passwords come from the environment of nats-server (`passwordOf`). */
export function accountsText(accounts: readonly Account[]): string {
  return ['accounts {', ...accounts.map(accountText), SYSTEM, '}', 'system_account: SYS', ''].join('\n')
}

/** The environment variable that nats-server takes a user's password from. */
export function passwordOf(user: string): string {
  return `NATS_PASSWORD_${user.replaceAll(/[^a-zA-Z0-9]/g, '_').toUpperCase()}`
}

const SYSTEM = `  # For "nats server report" and the like; nothing of Troupe's uses it.
  SYS {
    users: [
      { user: sys, password: $NATS_PASSWORD_SYS }
    ]
  }`

function accountText({ name, isHome, users, exports, imports }: Account): string {
  return [
    `  ${name} {`,
    ...(isHome ? ['    jetstream: enabled'] : []),
    '    users: [',
    ...users.map(userText),
    '    ]',
    ...sectionText('exports', exports.map(exportText)),
    ...sectionText('imports', imports.map(importText)),
    '  }',
  ].join('\n')
}

function userText({ party, permissions }: User): string {
  return [
    '      {',
    `        user: ${JSON.stringify(party.user)}`,
    `        password: $${passwordOf(party.user)}`,
    permissionsText(permissions, '        '),
    '      }',
  ].join('\n')
}

function sectionText(name: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`    ${name}: [`, ...lines.map((line) => `      ${line}`), '    ]']
}

/** A service may answer more than once: batches of direct gets, and all the systems that control asks at once. */
function exportText({ kind, subject, accounts }: Export): string {
  const answers = kind === 'service' ? ', response_type: Stream' : ''
  return `{ ${kind}: ${JSON.stringify(subject)}, accounts: [${accounts.join(', ')}]${answers} }`
}

function importText({ kind, subject, from }: Import): string {
  return `{ ${kind}: { account: ${from}, subject: ${JSON.stringify(subject)} } }`
}

function listText(name: string, subjects: readonly string[], indent: string): string {
  if (subjects.length === 0) return `${indent}${name}: { deny: ">" }`
  return [
    `${indent}${name}: {`,
    `${indent}  allow: [`,
    ...subjects.map((subject) => `${indent}    ${JSON.stringify(subject)}`),
    `${indent}  ]`,
    `${indent}}`,
  ].join('\n')
}
