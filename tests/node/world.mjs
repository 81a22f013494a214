// What the test hands over (the sandbox's description, and a person), and the account of what ran.
import { createHmac, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Person } from './person.mjs'

const told = JSON.parse(readFileSync(0, 'utf8'))
export const hub = told.url
export const machine = told.clients.find((one) => one.client_id === 'halden-ci')
export const app = (id) => told.apps.find((one) => one.client_id === id)
export const person = new Person(hub, told.user)
export const REDIRECT = 'http://127.0.0.1:49152/callback'
export const ENTITLEMENTS = `${hub}/e-product-entitlement-customer/v1/entitlements`
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/** A JWT, HS256 by a program's secret (RFC 7523), as the vendor's documentation has it. */
export function assertionOf({ client_id, client_secret }, scope) {
  const now = Math.floor(Date.now() / 1000)
  const parts = [
    { alg: 'HS256', typ: 'JWT' },
    {
      iss: client_id,
      sub: client_id,
      aud: `${hub}/oauth/token`,
      iat: now,
      exp: now + 60,
      jti: randomUUID(),
      scope,
    },
  ]
  const signed = parts.map((one) => Buffer.from(JSON.stringify(one)).toString('base64url')).join('.')
  return `${signed}.${createHmac('sha256', client_secret).update(signed).digest('base64url')}`
}

/** Run each step in its order and say so; the first that fails ends the script with code 1. */
export async function walk(steps) {
  for (const [name, step] of Object.entries(steps)) {
    await step()
    console.log(name)
  }
}
