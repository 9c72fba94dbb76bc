import { Rest, RestError, CommandRefused } from '../sdk'
import { csrf } from './boot'
import { maybe, t } from './i18n'

export const rest = new Rest({ csrf })

/** A sentence for whatever went wrong. The server's own sentence is in the person's language already. */
export function sentence(error: unknown): string {
  if (error instanceof CommandRefused || error instanceof RestError) {
    const { code, message, params } = error.refusal
    const own = maybe(`error.${code}`, { ...params, n: params.limit ?? params.n ?? 0 })
    return own || message || t('error.other')
  }
  console.error(error)
  return t('error.other')
}

// --- sign-in: allauth's browser API ---------------------------------------------------------------------------------

export class SignInError extends Error {
  constructor(
    message: string,
    readonly field: string = '',
  ) {
    super(message)
  }
}

async function auth(method: string, path: string, body?: unknown): Promise<any> {
  try {
    return await rest.call(method, `/_allauth/browser/v1/${path}`, body)
  } catch (error) {
    if (!(error instanceof RestError)) throw error
    // 401 with pending flows means "one more step"; after signing out it is the expected answer
    const flows = error.data?.data?.flows as { id: string; is_pending?: boolean }[] | undefined
    const pending = flows?.find((flow) => flow.is_pending)
    if (pending?.id === 'verify_email') throw new SignInError(t('account.verify'))
    if (method === 'DELETE' && error.status === 401) return null
    if (error.status === 409) return null // signed in already
    const first = error.data?.errors?.[0]
    throw new SignInError(first?.message ?? sentence(error), first?.param ?? '')
  }
}

export async function signIn(email: string, password: string): Promise<void> {
  await auth('POST', 'auth/login', { email, password })
}

export async function signUp(name: string, email: string, password: string): Promise<void> {
  await auth('POST', 'auth/signup', { email, password })
  if (name) await rest.patch('me/', { name }).catch(() => {})
}

export async function signOut(): Promise<void> {
  await auth('DELETE', 'auth/session')
}

/** Give the password once more: the server wants to know who is sitting here. */
export async function confirmPassword(password: string): Promise<void> {
  await auth('POST', 'auth/reauthenticate', { password })
}

export async function askPasswordReset(email: string): Promise<void> {
  await auth('POST', 'auth/password/request', { email })
}

export async function resetPassword(key: string, password: string): Promise<void> {
  await auth('POST', 'auth/password/reset', { key, password })
}

export async function verifyEmail(key: string): Promise<void> {
  await auth('POST', 'auth/email/verify', { key })
}

/** The address of this account, as long as nobody has shown that it is theirs; else ''. */
export async function unconfirmedAddress(): Promise<string> {
  const found: { email: string; primary: boolean; verified: boolean }[] = (await auth('GET', 'account/email'))?.data ?? []
  return found.find((address) => address.primary && !address.verified)?.email ?? ''
}

/** Send the mail with the link once more; false when one has gone out a moment ago. */
export async function sendConfirmation(email: string): Promise<boolean> {
  try {
    await rest.call('PUT', '/_allauth/browser/v1/account/email', { email })
    return true
  } catch (error) {
    if (error instanceof RestError && error.status === 403) return false
    throw error
  }
}
