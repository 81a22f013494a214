// A person with a browser: follows redirects, keeps cookies, fills in the forms of the hub's pages.
import assert from 'node:assert/strict'

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', '#34': '"', '#39': "'" }
const unescape = (text) => text.replace(/&(amp|lt|gt|quot|#34|#39);/g, (_, name) => ENTITIES[name])
const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\s${name}="([^"]*)"`))
  return found ? unescape(found[1]) : undefined
}

/** The forms of a page: where each goes, and what it says as it stands. */
export function formsOf(html) {
  return [...html.matchAll(/<form\b[^>]*>[\s\S]*?<\/form>/g)].map(([form]) => {
    const fields = {}
    for (const [input] of form.matchAll(/<input\b[^>]*>/g)) {
      const name = attribute(input, 'name')
      if (name) fields[name] = attribute(input, 'value') ?? ''
    }
    return { action: attribute(form.match(/<form\b[^>]*>/)[0], 'action'), fields }
  })
}

export class Person {
  constructor(hub, { email, password }) {
    this.hub = hub
    this.email = email
    this.password = password
    this.cookies = new Map()
  }

  /** Follow redirects inside the hub: a page, or the address outside to which it leads. */
  async open(address, form) {
    let url = new URL(address, this.hub)
    let body = form && new URLSearchParams(form)
    for (let hops = 0; hops < 10; hops++) {
      if (url.origin !== new URL(this.hub).origin) return { outside: url }
      const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const answer = await fetch(url, {
        method: body ? 'POST' : 'GET',
        body,
        redirect: 'manual',
        headers: { cookie, origin: new URL(this.hub).origin },
      })
      for (const set of answer.headers.getSetCookie()) {
        const [pair] = set.split(';')
        const at = pair.indexOf('=')
        this.cookies.set(pair.slice(0, at), pair.slice(at + 1))
      }
      if (answer.status !== 303) return { status: answer.status, html: await answer.text() }
      await answer.arrayBuffer()
      url = new URL(answer.headers.get('location'), url)
      body = undefined
    }
    throw new Error(`too many redirects: ${url}`)
  }

  async submit(page, action, changed) {
    const form = formsOf(page.html).find((one) => one.action.startsWith(action))
    assert(form, `no form goes to ${action}: ${page.html}`)
    return this.open(form.action, { ...form.fields, ...changed })
  }

  async signedIn(page) {
    if (!formsOf(page.html ?? '').some((form) => form.action === '/sign-in')) return page
    return this.submit(page, '/sign-in', { email: this.email, password: this.password })
  }

  /** From an authorization request to the address that the program is called back at. */
  async authorize(address, decision = 'allow') {
    let page = await this.signedIn(await this.open(address))
    if (!page.outside) page = await this.submit(page, '/oauth/authorize', { decision })
    assert(page.outside, `not sent back: ${page.status} ${page.html}`)
    return page.outside
  }

  /** Type a device's code, and decide. */
  async decide(address, code, decision = 'allow') {
    const page = await this.signedIn(await this.open(address))
    const asked = await this.submit(page, '/device', { user_code: code })
    assert.match(asked.html, new RegExp(code))
    const done = await this.submit(asked, '/device', { decision })
    assert.equal(done.status, 200, done.html)
  }
}
