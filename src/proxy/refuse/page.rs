//! A refusal as the device gets it: a page for people, JSON for programs.
//!
//! Invariant: it repeats nothing that the request carried but the host it asked for, and nothing of our own state.

use http::StatusCode;

use super::{Blame, Refuse, Refused};

/// What the device is sent.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// Makes the answer: a page for people, JSON (RFC 9457) for programs, as `Accept` says.
pub(crate) fn page(refused: &Refused, accept: Option<&[u8]>) -> Page {
    let why = refused.why;
    let status = refused.status;
    // What the library says about our own state is for the log; about the device's request or the origin it helps here.
    let detail = refused.detail.as_deref().filter(|_detail| why.blame() != Blame::Us);
    let mut fields = vec![
        ("Cache-Control", "no-store".to_owned()),
        ("Proxy-Status", format!("muniment; error={}", why.proxy_status())),
        ("Muniment-Refusal", why.as_str().to_owned()),
    ];
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        fields.push(("Proxy-Authenticate", "Basic realm=\"muniment\", charset=\"UTF-8\"".to_owned()));
    }
    if why.may_pass() {
        fields.push(("Retry-After", if why == Refuse::TooManyFailures { "60" } else { "5" }.to_owned()));
    }
    let body = if wants_html(accept) {
        fields.push(("Content-Type", "text/html; charset=utf-8".to_owned()));
        // Nothing but this style may act in the page, whatever the detail says.
        fields.push(("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'".to_owned()));
        html(why, status, detail)
    } else {
        fields.push(("Content-Type", "application/problem+json".to_owned()));
        json(why, status, detail)
    };
    Page { status, fields, body }
}

fn wants_html(accept: Option<&[u8]>) -> bool {
    let accept = accept.unwrap_or_default();
    let position = |wanted: &[u8]| {
        accept.split(|b| *b == b',').position(|range| {
            range.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().eq_ignore_ascii_case(wanted)
        })
    };
    match (position(b"text/html"), position(b"application/json")) {
        (Some(html), Some(json)) => html < json,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn json(why: Refuse, status: StatusCode, detail: Option<&str>) -> String {
    let mut problem = serde_json::json!({
        "type": format!("urn:muniment:refusal:{why}"),
        "title": why.text(),
        "status": status.as_u16(),
        "refusal": why.as_str(),
        "fault": why.blame().as_str(),
    });
    if let (Some(detail), Some(problem)) = (detail, problem.as_object_mut()) {
        problem.insert("detail".to_owned(), detail.into());
    }
    problem.to_string()
}

fn html(why: Refuse, status: StatusCode, detail: Option<&str>) -> String {
    let whose = match why.blame() {
        Blame::Device => "The cause lies with this device or how it is set up.",
        Blame::Network => "The cause lies with the site or the way to it, not with your firm's recording.",
        Blame::Us => "The cause lies with your firm's recording proxy, not with the site or your device.",
    };
    let detail = detail.map(|detail| format!("<p><small>{}</small></p>", escape(detail))).unwrap_or_default();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;\
         padding:0 1rem}}small{{color:#666}}</style><h1>{title}</h1><p>{whose}</p>{detail}\
         <p><small>muniment: {why} ({status})</small></p></html>\n",
        title = why.text(),
        status = status.as_u16(),
    )
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_gets_a_page_and_a_program_gets_json() {
        let refused = Refused::with(Refuse::UpstreamCertificate, "<expired>");
        let page_of = |accept: &str| page(&refused, Some(accept.as_bytes())).body;
        assert!(page_of("text/html,application/xhtml+xml,*/*;q=0.8").contains("&lt;expired&gt;"));
        for accept in ["*/*", "application/json", "application/json, text/html;q=0.5", ""] {
            let body: serde_json::Value = serde_json::from_str(&page_of(accept)).unwrap();
            assert_eq!(body["refusal"], "upstream_certificate");
            assert_eq!(body["fault"], "network");
        }
    }

    #[test]
    fn our_own_state_is_for_the_log_and_not_for_the_device() {
        let refused = Refused::with(Refuse::NotKept, "connection to postgres refused");
        assert!(!page(&refused, None).body.contains("postgres"));
    }

    #[test]
    fn every_refusal_has_an_error_status() {
        for why in Refuse::ALL {
            assert!(why.status().is_client_error() || why.status().is_server_error(), "{why}");
        }
    }
}
