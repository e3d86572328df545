// Why a call or an event is refused, in the one shape that both have; and the checks of fields.

const STATUS = {
  MALFORMED_JSON: 400, VALIDATION_ERROR: 400, INVALID_STATUS: 400, INVALID_CURRENT_PASSWORD: 400, CANNOT_MESSAGE_SELF: 400, CHAT_MISMATCH: 400, ALREADY_AUTHENTICATED: 400,
  TOKEN_MISSING: 401, TOKEN_INVALID: 401, TOKEN_EXPIRED: 401, REFRESH_REUSED: 401, INVALID_CREDENTIALS: 401, UNAUTHENTICATED: 401,
  ACCOUNT_INACTIVE: 403, NOT_MESSAGE_SENDER: 403, NOT_MESSAGE_RECEIVER: 403,
  NOT_FOUND: 404, USER_NOT_FOUND: 404, CHAT_NOT_FOUND: 404, MESSAGE_NOT_FOUND: 404, UNKNOWN_EVENT: 404,
  METHOD_NOT_ALLOWED: 405, USERNAME_TAKEN: 409, EMAIL_TAKEN: 409, PAYLOAD_TOO_LARGE: 413, UNSUPPORTED_MEDIA_TYPE: 415, RATE_LIMITED: 429,
  INTERNAL_ERROR: 500, SERVICE_UNAVAILABLE: 503,
};

export class Refusal extends Error {
  constructor(code, message, more = {}) {
    super(message);
    Object.assign(this, { code, status: STATUS[code], more });
  }

  // `allow` is for a header and not for the body.
  get shape() {
    const { details, retryAfter } = this.more;
    return { message: this.message, code: this.code, ...(details && { details }), ...(retryAfter && { retryAfter }) };
  }
}

export const unforeseen = error => (error instanceof Refusal ? error : new Refusal('INTERNAL_ERROR', 'Something broke on our side'));

// Takes what is wrong with each field, '' where nothing is, and refuses all that is wrong at once.
export function check(fields) {
  const details = Object.entries(fields).filter(([, wrong]) => wrong).map(([field, wrong]) => ({ field, message: wrong }));
  if (details.length) throw new Refusal('VALIDATION_ERROR', 'Not every field is as it should be', { details });
}

export const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);
// A lone surrogate is no text: it could not be stored as it was sent.
export const isText = value => typeof value === 'string' && value.isWellFormed();
export const length = text => [...text].length;

const between = (least, most) => value => isText(value) && length(value) >= least && length(value) <= most;
const rule = (fits, wrong) => value => (fits(value) ? '' : wrong);

export const bad = {
  text: rule(value => isText(value) && value !== '', 'is needed, as a text'),
  // Any text may be an id: one of another form belongs to nothing, like one that nobody has.
  id: rule(isText, 'is needed, as an id'),
  username: rule(value => typeof value === 'string' && /^[A-Za-z0-9_.-]{3,30}$/.test(value), 'takes 3 to 30 of the letters A to Z, digits and _ . -'),
  email: rule(value => isText(value) && length(value) <= 254 && /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(value), 'is no email address'),
  password: rule(between(8, 128), 'takes 8 to 128 characters'),
  content: rule(value => between(1, 4096)(value) && !value.includes('\0') && /\P{White_Space}/u.test(value), 'takes 1 to 4096 characters, not blank and without NUL'),
  messageType: rule(value => ['text', 'image', 'file', 'audio'].includes(value), 'is text, image, file or audio'),
  clientMessageId: rule(value => typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value), 'takes 1 to 64 letters, digits, _ and -'),
  bio: rule(between(0, 500), 'takes up to 500 characters, or null'),
  profilePicture: rule(value => between(1, 2048)(value) && /^https:\/\/[^\s/]/.test(value) && URL.canParse(value), 'is an https address of up to 2048 characters, or null'),
  flag: rule(value => typeof value === 'boolean', 'is true or false'),
  query: most => rule(between(1, most), `is needed, with 1 to ${most} characters`),
};
