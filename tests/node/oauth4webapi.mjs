// oauth4webapi walks the same grants with nothing done behind its back, and validates the access
// tokens as a resource server does (RFC 9068).
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { JWT_BEARER, REDIRECT, app, assertionOf, hub, machine, person, walk } from './world.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }
const publicApp = { client_id: app('vega-desktop').client_id }
const webApp = app('okabe-web')
const issuer = new URL(hub)
let as, held

const refused = (error) => (caught) => {
  assert.equal(caught.error, error, caught)
  return true
}
const validate = (token) => {
  const request = new Request(hub, { headers: { authorization: `Bearer ${token}` } })
  return oauth.validateJwtAccessToken(as, request, hub, insecure)
}
const refresh = async (client, auth, token) => {
  const answer = await oauth.refreshTokenGrantRequest(as, client, auth, token, insecure)
  return oauth.processRefreshTokenResponse(as, client, answer)
}

async function codeGrant(client, auth, scope) {
  const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()]
  const asked = new URL(as.authorization_endpoint)
  for (const [name, value] of Object.entries({
    client_id: client.client_id,
    redirect_uri: REDIRECT,
    response_type: 'code',
    scope,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  }))
    asked.searchParams.set(name, value)
  const back = await person.authorize(asked)
  const parameters = oauth.validateAuthResponse(as, client, back, state)
  const answer = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, REDIRECT, verifier, insecure)
  return oauth.processAuthorizationCodeResponse(as, client, answer)
}

await walk({
  async discovery() {
    for (const algorithm of ['oidc', 'oauth2']) {
      const answer = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
      as = await oauth.processDiscoveryResponse(issuer, answer)
    }
    assert.equal(as.authorization_response_iss_parameter_supported, true)
  },
  async 'client credentials'() {
    const auth = oauth.ClientSecretBasic(machine.client_secret)
    const answer = await oauth.clientCredentialsGrantRequest(as, machine, auth, { scope: 'orders' }, insecure)
    const tokens = await oauth.processClientCredentialsResponse(as, machine, answer)
    const claims = await validate(tokens.access_token)
    assert.equal(claims.client_id, machine.client_id)
    assert.equal(claims.scope, 'orders')
  },
  async 'code, PKCE and iss'() {
    held = await codeGrant(publicApp, oauth.None(), 'openid offline_access entitlements')
    const claims = await validate(held.access_token)
    assert.equal(claims.client_id, publicApp.client_id)
    assert.equal(oauth.getValidatedIdTokenClaims(held).sub, claims.sub)
    const answer = await oauth.userInfoRequest(as, publicApp, held.access_token, insecure)
    assert((await oauth.processUserInfoResponse(as, publicApp, claims.sub, answer)).sub)
    // An ID token is no access token.
    await assert.rejects(validate(held.id_token))
    assert.equal((await fetch(`${hub}/oauth/userinfo`, { headers: { authorization: `Bearer ${held.id_token}` } })).status, 401)
  },
  async 'a program with a secret'() {
    const auth = oauth.ClientSecretPost(webApp.client_secret)
    assert.deepEqual((await codeGrant(webApp, auth, 'orders')).scope, 'orders')
  },
  async 'refresh with rotation, and reuse'() {
    const next = await refresh(publicApp, oauth.None(), held.refresh_token)
    await validate(next.access_token)
    await assert.rejects(refresh(publicApp, oauth.None(), held.refresh_token), refused('invalid_grant'))
    await assert.rejects(refresh(publicApp, oauth.None(), next.refresh_token), refused('invalid_grant'))
  },
  async 'device, with one poll too early'() {
    const asked = { scope: 'entitlements offline_access' }
    const begun = await oauth.processDeviceAuthorizationResponse(
      as,
      publicApp,
      await oauth.deviceAuthorizationRequest(as, publicApp, oauth.None(), asked, insecure),
    )
    const poll = async () =>
      oauth.processDeviceCodeResponse(
        as,
        publicApp,
        await oauth.deviceCodeGrantRequest(as, publicApp, oauth.None(), begun.device_code, insecure),
      )
    await assert.rejects(poll(), refused('authorization_pending'))
    await assert.rejects(poll(), refused('slow_down'))
    await person.decide(begun.verification_uri_complete, begun.user_code)
    await new Promise((done) => setTimeout(done, (begun.interval + 5) * 1000 + 100))
    held = await poll()
    await validate(held.access_token)
    await assert.rejects(poll(), refused('invalid_grant'))
  },
  async 'introspection and revocation'() {
    const auth = oauth.ClientSecretBasic(webApp.client_secret)
    const tokens = await codeGrant(webApp, auth, 'orders offline_access')
    const introspect = async () =>
      oauth.processIntrospectionResponse(
        as,
        webApp,
        await oauth.introspectionRequest(as, webApp, auth, tokens.access_token, insecure),
      )
    assert.equal((await introspect()).active, true)
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, webApp, auth, tokens.refresh_token, insecure),
    )
    assert.equal((await introspect()).active, false)
    await assert.rejects(refresh(webApp, auth, tokens.refresh_token), refused('invalid_grant'))
  },
  async 'JWT bearer assertion'() {
    const signer = app('harbour-signer')
    const assertion = assertionOf(signer, 'products')
    const answer = await oauth.genericTokenEndpointRequest(as, signer, oauth.None(), JWT_BEARER, { assertion }, insecure)
    const tokens = await oauth.processGenericTokenEndpointResponse(as, signer, answer)
    assert.equal((await validate(tokens.access_token)).scope, 'products')
  },
})
