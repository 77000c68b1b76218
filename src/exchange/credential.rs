//! What is a credential: by the name of its header, cookie or field.
//!
//! Names are generic; what a single network calls its fields is not known here. When in doubt a value counts as a
//! credential: it is then replaced by its keyed digest, so equal values can still be told to be equal.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{self, HeaderMap, HeaderName};
use serde::Serialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::RequestHead;
use super::form;
use crate::record::Digest;

/// The key under which credentials are digested; without it a digest says nothing about its value.
#[derive(Clone)]
pub struct ScrubKey(Zeroizing<[u8; 32]>);

impl ScrubKey {
    /// Wraps 32 secret bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn digest(&self, value: &[u8]) -> Option<Digest> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).ok()?;
        mac.update(b"muniment redaction v1\0");
        mac.update(value);
        Some(Digest(mac.finalize().into_bytes().into()))
    }

    /// What stands in place of a credential. Made of letters that no place needs to escape.
    pub(crate) fn replacement(&self, sort: Sort, value: &[u8]) -> String {
        match sort {
            Sort::Password => DROPPED.to_owned(),
            // HMAC takes a key of any length, so there always is a digest; were there none, the value is dropped.
            Sort::Token => {
                self.digest(value).map_or_else(|| DROPPED.to_owned(), |digest| format!("{DIGESTED}{digest}"))
            }
        }
    }
}

impl fmt::Debug for ScrubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScrubKey")
    }
}

/// Stands in place of a password.
pub const DROPPED: &str = "redacted.dropped";
/// Stands before the keyed digest (64 hex digits) that stands in place of a token.
pub const DIGESTED: &str = "redacted.hmac-sha256.";

/// What becomes of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A person may have chosen it, so it could be guessed: dropped.
    Password,
    /// Replaced by its keyed digest.
    Token,
}

/// Whether a header is a credential.
pub(crate) fn header_sort(name: &HeaderName) -> Option<Sort> {
    if *name == header::WWW_AUTHENTICATE || *name == header::PROXY_AUTHENTICATE {
        return None;
    }
    // Browsers cannot set Authorization on a WebSocket, so clients send the token as a subprotocol.
    if *name == header::SEC_WEBSOCKET_PROTOCOL || name == "dpop" {
        return Some(Sort::Token);
    }
    let name = name.as_str();
    let parts = [
        "token",
        "secret",
        "authorization",
        "csrf",
        "xsrf",
        "session",
        "apikey",
        "api-key",
        "credential",
        "cookie",
        "jwt",
    ];
    if name.contains("password") || name.contains("passwd") {
        Some(Sort::Password)
    } else if parts.iter().any(|part| name.contains(part)) || name.split('-').any(|word| word == "auth") {
        Some(Sort::Token)
    } else {
        None
    }
}

/// Whether a field of a query, form, multipart body or JSON object is a credential.
pub(crate) fn field_sort(name: &str, value: &[u8], login: bool) -> Option<Sort> {
    if value.is_empty() {
        return None;
    }
    let flat: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if ["password", "passwd", "passphrase", "passcode"].iter().any(|part| flat.contains(part))
        || matches!(flat.as_str(), "pwd" | "pass" | "otp" | "totp" | "otpattempt" | "pincode" | "mfacode" | "otpcode")
    {
        return Some(Sort::Password);
    }
    let parts = ["token", "secret", "jwt", "apikey", "csrf", "xsrf", "sessionid", "cookie", "credential", "bearer"];
    let words = ["sid", "sessid", "auth", "authorization", "codeverifier", "assertion", "samlresponse", "dpop"];
    if parts.iter().any(|part| flat.contains(part)) || words.contains(&flat.as_str()) {
        return Some(Sort::Token);
    }
    // `code` is an authorisation code on a login path and a product, country or source code elsewhere.
    if flat == "code" && login {
        return Some(Sort::Token);
    }
    // Misskey and its kin send the token as `i`, in bodies and queries.
    let token_like = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name == "i" && value.len() >= 16 && value.iter().all(|b| token_like(*b)) {
        return Some(Sort::Token);
    }
    None
}

/// Whole segments (or their words) only: `/tokenize/posts` is no login.
const LOGIN_SEGMENTS: &[&str] = &[
    "login",
    "logon",
    "log_in",
    "log-in",
    "signin",
    "sign_in",
    "sign-in",
    "signup",
    "sign_up",
    "sign-up",
    "password",
    "passwords",
    "passwd",
    "passcode",
    "token",
    "tokens",
    "oauth",
    "oauth2",
    "otp",
    "2fa",
    "mfa",
    "totp",
    "webauthn",
    "passkey",
    "authenticate",
    "authorize",
    "sso",
    "saml",
    "credentials",
];
const LOGIN_WORDS: &[&str] = &["password", "passwd", "otp"];

/// Whether a path on a host that no rule knows looks like a login.
#[must_use]
pub fn looks_like_login(path: &str) -> bool {
    path.split('/').any(|segment| {
        let (stem, _extension) = segment.split_once('.').unwrap_or((segment, ""));
        is_one_of(stem, LOGIN_SEGMENTS) || stem.split(['_', '-']).any(|word| is_one_of(word, LOGIN_WORDS))
    })
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// What a request's credentials say about who acts, taken out before they are redacted. No secret is in it, and no proof: until
/// the origin has taken the credential it is a claim of the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hints {
    /// `sub` of a token in `Authorization` that is a JWT (not verified: the origin does that).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its `iss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Cookies that rule files name as account ids.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub cookies: std::collections::BTreeMap<String, String>,
}

/// A digest of the redacted credential that a request shows: the same for all requests of one login, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub Digest);

impl SessionKey {
    /// The key of the requests that will carry a token which stands, redacted, in a response: a page or a login that hands
    /// it out. None when the text is no redacted token.
    #[must_use]
    pub fn of_redacted(host: &str, redacted: &str) -> Option<Self> {
        let digest = redacted.strip_prefix(DIGESTED).filter(|digest| digest.parse::<Digest>().is_ok())?;
        Some(Self(Digest::of(&[b"muniment session v1", &[0], host.as_bytes(), &[0], digest.as_bytes()])))
    }
}

/// The account hints of a request.
pub(crate) fn hints(head: &RequestHead, account_cookies: &[&str]) -> Hints {
    let bearer = authorization(head).filter(|(scheme, _token)| is_one_of(scheme, &["bearer", "dpop"]));
    let claims = bearer.and_then(|(_scheme, token)| jwt_claims(token));
    let claim = |name: &str| {
        let text = claims.as_ref()?.get(name)?.as_str()?;
        (text.len() <= 512).then(|| text.to_owned())
    };
    Hints {
        subject: claim("sub"),
        issuer: claim("iss"),
        cookies: cookies(&head.headers)
            .filter(|(name, value)| account_cookies.contains(name) && value.len() <= 512)
            .map(|(name, value)| {
                (name.to_owned(), {
                    let (bytes, _origins) = form::decode(value.as_bytes());
                    String::from_utf8_lossy(&bytes).into_owned()
                })
            })
            .collect(),
    }
}

/// The key of the session that a request belongs to; none when it shows no credential.
pub(crate) fn session_key(head: &RequestHead, key: &ScrubKey) -> Option<SessionKey> {
    let credential = bearer(head).map(String::into_bytes).or_else(|| {
        let mut cookies: Vec<_> = cookies(&head.headers).filter(|(name, _value)| is_session_cookie(name)).collect();
        cookies.sort_unstable();
        let joined = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";");
        (!joined.is_empty()).then(|| joined.into_bytes())
    })?;
    SessionKey::of_redacted(head.authority.host(), &key.replacement(Sort::Token, &credential))
}

fn is_session_cookie(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["sess", "sid", "auth", "token", "login"].iter().any(|part| name.contains(part))
}

/// The token of `Authorization`, a token in the query, or a WebSocket subprotocol that carries one.
fn bearer(head: &RequestHead) -> Option<String> {
    let shown = authorization(head).and_then(|(scheme, token)| {
        // OAuth 1.0 signs each request anew; only its token stays.
        if is_one_of(scheme, &["oauth"]) { parameter_of(token, "oauth_token") } else { Some(token.to_owned()) }
    });
    let query = || {
        let pairs = form::pairs(head.query().unwrap_or("").as_bytes(), 256);
        let token = pairs.into_iter().find(|pair| {
            matches!(pair.name.as_str(), "access_token" | "i") && field_sort(&pair.name, &pair.value, false).is_some()
        })?;
        String::from_utf8(token.value).ok()
    };
    let subprotocol = || {
        let value = head.header(header::SEC_WEBSOCKET_PROTOCOL.as_str())?;
        value.split(',').map(str::trim).find(|word| word.len() >= 16).map(str::to_owned)
    };
    shown.or_else(query).or_else(subprotocol).filter(|token| !token.is_empty())
}

/// The scheme of `Authorization`, and what stands behind it.
fn authorization(head: &RequestHead) -> Option<(&str, &str)> {
    let (scheme, token) = head.header("authorization")?.trim().split_once(' ')?;
    Some((scheme, token.trim()))
}

fn parameter_of(parameters: &str, wanted: &str) -> Option<String> {
    parameters.split(',').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn jwt_claims(token: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if payload.len() > 16 << 10 || parts.next().is_some() {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Name and value of every cookie of a request.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_make_a_path_a_login() {
        for path in
            ["/login", "/oauth/token", "/oauth2/token.json", "/users/sign_in", "/account/reset-password", "/api/2fa"]
        {
            assert!(looks_like_login(path), "{path}");
        }
        for path in ["/2/tweets", "/tokenize/posts", "/api/v1/statuses", "/authors/1", "/blog/loginless"] {
            assert!(!looks_like_login(path), "{path}");
        }
    }

    #[test]
    fn names_of_content_are_no_credentials() {
        for name in [
            "text",
            "status",
            "author",
            "note",
            "code",
            "comment",
            "display_name",
            "i",
            "key",
            "spoiler_text",
            "passage",
        ] {
            assert_eq!(field_sort(name, b"a value", false), None, "{name}");
        }
        for name in ["password", "user[password]", "newPassword", "otp_attempt"] {
            assert_eq!(field_sort(name, b"a value", false), Some(Sort::Password), "{name}");
        }
        for name in [
            "access_token",
            "accessJwt",
            "refreshJwt",
            "client_secret",
            "authenticity_token",
            "refresh_token",
            "X-Api-Key",
        ] {
            assert_eq!(field_sort(name, b"a value", false), Some(Sort::Token), "{name}");
        }
        assert_eq!(field_sort("code", b"abcd", true), Some(Sort::Token));
        assert_eq!(field_sort("i", b"0123456789abcdef", false), Some(Sort::Token));
    }
}
