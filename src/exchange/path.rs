//! Tokens in a path: the segments that stand where tokens stand, or that have the form of one.
//!
//! Ids of items stand in paths as well and are evidence, so a long segment alone is no token: its form (a signed JWT, a bot's
//! number with its key), the segment before it or a parameter's name must say so.

use std::ops::Range;

use super::credential::field_sort;

/// Segments after which a token comes, as whole words.
const BEFORE: &[&str] = &[
    "token",
    "tokens",
    "secret",
    "secrets",
    "jwt",
    "apikey",
    "password",
    "passwords",
    "passwd",
    "otp",
    "sid",
    "sessionid",
    "credential",
    "credentials",
    "magic",
    "reset",
    "invite",
    "invites",
    "invitation",
    "invitations",
    "verify",
    "verification",
    "confirm",
    "confirmation",
    "activate",
    "activation",
    "unlock",
    "recover",
    "recovery",
    "session",
    "sessions",
    "bearer",
    "login",
];
/// How tokens begin that say of themselves that they are one.
const PREFIXES: &[&str] =
    &["xoxb-", "xoxp-", "xoxa-", "xoxe.", "ya29.", "ghp_", "gho_", "ghu_", "ghs_", "glpat-", "sk_live_", "github_pat_"];
/// Segments somewhere after which a token comes.
const HOOKS: &[&str] = &["hook", "hooks", "webhook", "webhooks"];
/// A token has at least as many characters, a digit or letters of both cases among them.
const SHORTEST: usize = 16;
/// One that stands in a hook's address.
const SHORTEST_IN_HOOK: usize = 24;
/// The key behind a bot's number.
const SHORTEST_BOT_KEY: usize = 30;

/// Where tokens stand in the path of a URL or request target.
pub(crate) fn tokens(url: &[u8]) -> Vec<Range<usize>> {
    let end = url.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len());
    let path = url.get(..end).unwrap_or_default();
    let mut found = Vec::new();
    let (mut at, mut before, mut in_hook) = (0, &b""[..], false);
    for whole in path.split(|byte| *byte == b'/') {
        let begin = at;
        at += whole.len() + 1;
        let segment = whole.split(|byte| *byte == b';').next().unwrap_or_default();
        let after_name = is_one_of(before, BEFORE) && is_token(segment, SHORTEST);
        let says_so = is_jwt(segment) || is_bot(segment) || has_prefix(segment);
        if after_name || (in_hook && is_token(segment, SHORTEST_IN_HOOK)) || says_so {
            found.push(begin..begin + segment.len());
        }
        found.extend(parameters(whole, begin));
        before = segment;
        in_hook |= is_one_of(segment, HOOKS);
    }
    found
}

/// `;jsessionid=…` behind a segment.
fn parameters(segment: &[u8], begin: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = begin;
    for (number, parameter) in segment.split(|byte| *byte == b';').enumerate() {
        let start = at;
        at += parameter.len() + 1;
        let Some(equals) = parameter.iter().position(|byte| *byte == b'=').filter(|_equals| number > 0) else {
            continue;
        };
        let (name, value) = parameter.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        if field_sort(&String::from_utf8_lossy(name), value, false).is_some() {
            found.push(start + equals + 1..start + parameter.len());
        }
    }
    found
}

fn is_one_of(segment: &[u8], words: &[&str]) -> bool {
    let Ok(text) = std::str::from_utf8(segment) else { return false };
    let flat: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let same = |text: &str| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    same(&flat) || text.split(['-', '_', '.']).next_back().is_some_and(same)
}

const fn of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%' | b':' | b'=' | b'+')
}

fn is_token(segment: &[u8], shortest: usize) -> bool {
    let any = |is: fn(&u8) -> bool| segment.iter().any(is);
    segment.len() >= shortest
        && segment.iter().all(|b| of_token(*b))
        && (any(u8::is_ascii_digit) || (any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase)))
}

fn has_prefix(segment: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| segment.strip_prefix(prefix.as_bytes()).is_some_and(|rest| is_token(rest, SHORTEST)))
}

/// Header, claims and signature, the first two JSON objects in base64url.
fn is_jwt(segment: &[u8]) -> bool {
    let mut parts = segment.split(|byte| *byte == b'.');
    let object = |part: Option<&[u8]>| part.is_some_and(|part| part.len() >= 8 && part.starts_with(b"ey"));
    object(parts.next()) && object(parts.next()) && parts.next().is_some_and(|part| part.len() >= SHORTEST)
}

/// `bot<number>:<key>`, as programs that act for an account write it.
fn is_bot(segment: &[u8]) -> bool {
    let Some(colon) = segment.iter().position(|byte| *byte == b':') else { return false };
    let (name, key) = segment.split_at(colon);
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits >= 5 && key.len() > SHORTEST_BOT_KEY && is_token(key, SHORTEST_BOT_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(url: &str) -> Vec<&str> {
        tokens(url.as_bytes()).into_iter().map(|range| url.get(range).unwrap()).collect()
    }

    #[test]
    fn tokens_are_found_where_tokens_stand() {
        for (url, token) in [
            ("/password/reset/3f9a0b1c2d3e4f5a6b7c?x=1", "3f9a0b1c2d3e4f5a6b7c"),
            ("/api/token/abcdefghijklmno1/renew", "abcdefghijklmno1"),
            ("/services/hooks/T024F/abcdefghijklmnopqrstuvw1", "abcdefghijklmnopqrstuvw1"),
            (
                "/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/send",
                "bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
            ),
            ("/v/eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJlLXRoYXQ/x", "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJlLXRoYXQ"),
            ("/shop;jsessionid=1A2B3C/cart", "1A2B3C"),
            ("https://a.example/magic/abcdefgh12345678#top", "abcdefgh12345678"),
            ("/invite/QWxsIGxldHRlcnNObw", "QWxsIGxldHRlcnNObw"),
            ("/auth/confirmation/3f9a0b1c2d3e4f5a6b7c", "3f9a0b1c2d3e4f5a6b7c"),
            ("/x/ghp_0123456789abcdefghij/y", "ghp_0123456789abcdefghij"),
        ] {
            assert_eq!(taken(url), [token], "{url}");
        }
    }

    #[test]
    fn ids_of_items_and_words_are_left_alone() {
        for url in [
            "/api/v1/statuses/110201543000000000/context",
            "/profile/did:plc:ewvi7nxzyoun6zhxrhs64oiz/post/3k44deefqdk2g",
            "/2/tweets/1890000000000000000",
            "/permalink/pfbid02abcDEF0123456789abcDEF0123456789abcDEF",
            "/tokenize/posts-of-the-year-2026",
            "/xrpc/com.atproto.server.createSession",
            "/reset/short1",
            "/reset/instructions-for-everybody",
            "/watch;v=1/abcdefghijklmnopqrst1",
            "?token=abcdefghijklmnop1",
        ] {
            assert_eq!(taken(url), [""; 0], "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_and_places_are_apart_and_inside(url in proptest::collection::vec(0_u8..=255, 0..200)) {
            let mut end = 0;
            let mut found = tokens(&url);
            found.sort_by_key(|range| range.start);
            for range in found {
                proptest::prop_assert!(range.start >= end && range.end <= url.len());
                end = range.end;
            }
        }
    }
}
