//! Where a witness, or the log that is audited, is reached: an address as an operator types it.

use http::Uri;

use crate::exchange::Authority;

/// Longest address.
const LONGEST: usize = 2_000;

/// Where to, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) authority: Authority,
    pub(super) tls: bool,
    /// What stands before each path, without a slash at its end.
    pub(super) prefix: String,
    /// As the header `Host` has it.
    pub(super) host: String,
}

impl Target {
    /// Reads an address; the error says what would be right.
    ///
    /// # Errors
    /// When it is none, or says more than where.
    pub fn read(text: &str) -> Result<Self, String> {
        let form = || "write an address such as https://witness.auditor.example/".to_owned();
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
            return Err(form());
        }
        let uri: Uri = text.parse().map_err(|_source| form())?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(form)?;
        let (tls, port) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(form()),
        };
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(format!("a name, password or query has no place in it; {}", form()));
        }
        let parsed = Authority::parse(authority.as_str(), port).map_err(|_source| form())?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority: parsed, tls, prefix, host: authority.as_str().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_what_says_more_is_refused() {
        let target = Target::read("https://Witness.example:8443/a/b/").unwrap();
        assert_eq!((target.authority.host(), target.authority.port(), target.tls), ("witness.example", 8443, true));
        assert_eq!((target.prefix.as_str(), target.host.as_str()), ("/a/b", "Witness.example:8443"));
        let plain = Target::read("http://127.0.0.1:8490").unwrap();
        assert_eq!((plain.tls, plain.prefix.as_str()), (false, ""));
        for bad in [
            "",
            "witness.example",
            "ftp://w.example/",
            "https://u:p@w.example/",
            "https://w.example/?a",
            "https://w.example/#a",
            "https://w example/",
        ] {
            assert!(Target::read(bad).is_err(), "{bad}");
        }
    }
}
