// openid-client walks every grant that it knows of ours.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { ENTITLEMENTS, JWT_BEARER, REDIRECT, app, assertionOf, hub, machine, person, walk } from './world.mjs'

const insecure = { execute: [client.allowInsecureRequests] }
const as = (one, auth) =>
  client.discovery(new URL(hub), one.client_id, one.client_secret || undefined, auth, insecure)
const publicApp = app('vega-desktop')
const webApp = app('okabe-web')
const legacy = app('harbour-legacy')
const refused = (error) => (caught) => {
  assert.equal(caught.error, error, caught)
  return true
}
let held

async function codeGrant(config, extra = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const [state, nonce] = [client.randomState(), client.randomNonce()]
  const asked = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT,
    scope: 'openid profile email offline_access entitlements',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...extra,
  })
  const back = await person.authorize(asked)
  assert.equal(back.searchParams.get('iss'), hub)
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
  return { back, checks, tokens: await client.authorizationCodeGrant(config, back, checks) }
}

await walk({
  async discovery() {
    const oidc = (await as(publicApp, client.None())).serverMetadata()
    const plain = await client.discovery(new URL(hub), 'x', undefined, client.None(), {
      ...insecure,
      algorithm: 'oauth2',
    })
    assert.deepEqual(plain.serverMetadata().issuer, oidc.issuer)
    assert(oidc.supportsPKCE())
  },
  async 'client credentials'() {
    for (const auth of [client.ClientSecretBasic, client.ClientSecretPost]) {
      const config = await as(machine, auth(machine.client_secret))
      const tokens = await client.clientCredentialsGrant(config, { scope: 'entitlements' })
      assert.equal(tokens.scope, 'entitlements')
      assert.equal(tokens.refresh_token, undefined)
      const answer = await client.fetchProtectedResource(config, tokens.access_token, new URL(ENTITLEMENTS), 'GET')
      assert.equal(answer.status, 200)
    }
    const wrong = await as(machine, client.ClientSecretBasic('wrong'))
    await assert.rejects(client.clientCredentialsGrant(wrong), { status: 401 })
  },
  async 'code and PKCE'() {
    const config = await as(publicApp, client.None())
    held = { config, ...(await codeGrant(config)) }
    const claims = held.tokens.claims()
    assert.equal(claims.aud, publicApp.client_id)
    const info = await client.fetchUserInfo(config, held.tokens.access_token, claims.sub)
    assert.equal(info.email, person.email)
    const answer = await client.fetchProtectedResource(config, held.tokens.access_token, new URL(ENTITLEMENTS), 'GET')
    assert.equal(answer.status, 200)
  },
  async 'a code used twice ends what it gave'() {
    const { back, checks, tokens } = await codeGrant(held.config)
    await assert.rejects(client.authorizationCodeGrant(held.config, back, checks), refused('invalid_grant'))
    await assert.rejects(client.refreshTokenGrant(held.config, tokens.refresh_token), refused('invalid_grant'))
  },
  async 'refresh with rotation, and reuse'() {
    const first = held.tokens.refresh_token
    const second = await client.refreshTokenGrant(held.config, first)
    assert.notEqual(second.refresh_token, first)
    const third = await client.refreshTokenGrant(held.config, second.refresh_token)
    await assert.rejects(client.refreshTokenGrant(held.config, second.refresh_token), refused('invalid_grant'))
    await assert.rejects(client.refreshTokenGrant(held.config, third.refresh_token), refused('invalid_grant'))
  },
  async 'a person says no'() {
    const config = await as(webApp, client.ClientSecretBasic(webApp.client_secret))
    const verifier = client.randomPKCECodeVerifier()
    const asked = client.buildAuthorizationUrl(config, {
      redirect_uri: REDIRECT,
      scope: 'orders',
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: 'chosen',
    })
    const back = await person.authorize(asked, 'deny')
    const checks = { pkceCodeVerifier: verifier, expectedState: 'chosen' }
    await assert.rejects(client.authorizationCodeGrant(config, back, checks), refused('access_denied'))
  },
  async 'an old program without PKCE'() {
    const config = await as(legacy, client.ClientSecretPost(legacy.client_secret))
    const asked = client.buildAuthorizationUrl(config, { redirect_uri: REDIRECT, scope: 'products', state: 's' })
    const back = await person.authorize(asked)
    const tokens = await client.authorizationCodeGrant(config, back, { expectedState: 's' })
    assert(tokens.access_token)
  },
  async device() {
    const config = await as(publicApp, client.None())
    const begun = await client.initiateDeviceAuthorization(config, { scope: 'entitlements offline_access' })
    const polled = client.pollDeviceAuthorizationGrant(config, begun)
    await person.decide(begun.verification_uri, begun.user_code)
    const tokens = await polled
    assert(tokens.refresh_token)
    held = { config, tokens }
  },
  async 'introspection and revocation'() {
    const config = await as(machine, client.ClientSecretBasic(machine.client_secret))
    const { access_token: own } = await client.clientCredentialsGrant(config)
    const told = await client.tokenIntrospection(config, own)
    assert.equal(told.active, true)
    assert.equal(told.client_id, machine.client_id)
    await client.tokenRevocation(config, own)
    assert.equal((await client.tokenIntrospection(config, own)).active, false)
    await client.tokenRevocation(held.config, held.tokens.refresh_token)
    await assert.rejects(client.refreshTokenGrant(held.config, held.tokens.refresh_token), refused('invalid_grant'))
  },
  async 'JWT bearer assertion'() {
    const signer = app('harbour-signer')
    const config = await as(signer, client.None())
    const assertion = assertionOf(signer, 'products.readonly')
    const tokens = await client.genericGrantRequest(config, JWT_BEARER, { assertion })
    assert.equal(tokens.scope, 'products.readonly')
    await assert.rejects(client.genericGrantRequest(config, JWT_BEARER, { assertion }), refused('invalid_grant'))
  },
})
