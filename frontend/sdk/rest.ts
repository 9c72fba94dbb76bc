import { refusalOf, type Refusal } from './outbox'

export interface RestOptions {
  /** Where the site is, without a slash at the end; '' on its own pages. */
  base?: string
  csrf?: () => string
  fetch?: typeof fetch
  timeoutMs?: number
}

/** A request that was refused, or did not come through (status 0). */
export class RestError extends Error {
  constructor(
    readonly status: number,
    readonly refusal: Refusal,
    readonly data: any = null,
  ) {
    super(refusal.message || refusal.code)
  }
  get code(): string {
    return this.refusal.code
  }
}

/** `/api/v1/` and the sign-in API, with the session cookie. */
export class Rest {
  constructor(private options: RestOptions = {}) {}

  get = (path: string): Promise<any> => this.call('GET', `/api/v1/${path}`)
  post = (path: string, body: unknown = {}, headers?: Record<string, string>): Promise<any> =>
    this.call('POST', `/api/v1/${path}`, body, headers)
  patch = (path: string, body: unknown): Promise<any> => this.call('PATCH', `/api/v1/${path}`, body)

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<any> {
    const form = typeof FormData !== 'undefined' && body instanceof FormData
    const fetcher = this.options.fetch ?? fetch
    let response: Response
    try {
      response = await fetcher((this.options.base ?? '') + path, {
        method,
        credentials: 'same-origin',
        headers: {
          Accept: 'application/json',
          ...(body !== undefined && !form && { 'Content-Type': 'application/json' }),
          ...(method !== 'GET' && { 'X-CSRFToken': this.options.csrf?.() ?? '' }),
          ...headers,
        },
        body: body === undefined ? undefined : form ? (body as FormData) : JSON.stringify(body),
        signal: AbortSignal.timeout(this.options.timeoutMs ?? (form ? 60_000 : 15_000)),
      })
    } catch {
      throw new RestError(0, refusalOf({ code: 'network.lost', temporary: true }))
    }
    const data = await response.json().catch(() => null)
    if (!response.ok) {
      const temporary = data?.temporary ?? (response.status >= 500 || response.status === 429)
      const refusal = refusalOf({ code: data?.code ?? `http.${response.status}`, ...data, temporary })
      throw new RestError(response.status, refusal, data)
    }
    return data
  }
}
