//! Secrets planted anywhere, found nowhere.

use super::*;

/// A place where a client could put a secret.
#[derive(Debug, Clone, Copy)]
enum Place {
    JsonField,
    JsonInJson,
    JsonInForm,
    FormField,
    MultipartField,
    MultipartJson,
    UrlInJson,
    UrlInForm,
    Query,
    QueryAfterComma,
    Bearer,
    Cookie,
    ResponseField,
}

fn planted(place: Place, name: &str, secret: &str, around: &str, coding: &str) -> Sent {
    let object = format!("{{\"text\":{},{}:{},\"end\":[1]}}", escaped(around), escaped(name), escaped(secret));
    let body = match place {
        Place::JsonField => object,
        Place::JsonInJson => format!("{{\"a\":{}}}", escaped(&format!("[{},{}]", escaped(&object), object))),
        Place::JsonInForm => format!("x=1&variables={}&y=2", percent(&object)),
        Place::FormField => format!("text={}&{}={}&z=1", percent(around), percent(name), percent(secret)),
        Place::MultipartField => {
            format!("--b\r\ncontent-disposition:form-data; name={name}\r\n\r\n{secret}\r\n--b--\r\n")
        }
        Place::MultipartJson => {
            format!("--b\r\ncontent-disposition:form-data; name=payload_json\r\n\r\n{object}\r\n--b--\r\n")
        }
        Place::UrlInJson => {
            let url = format!("https://a.example/?b=1,2&{}={}", percent(name), percent(secret));
            format!("{{\"text\":{},\"url\":{}}}", escaped(around), escaped(&url))
        }
        Place::UrlInForm => {
            let url = format!("https://a.example/?b=1,2&{}={}", percent(name), percent(secret));
            format!("text={}&url={}&z=1", percent(around), percent(&url))
        }
        Place::Query | Place::QueryAfterComma | Place::Bearer | Place::Cookie | Place::ResponseField => String::new(),
    };
    let body = match coding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(body.as_bytes()).unwrap();
            gzip.finish().unwrap()
        }
        "zstd" => zstd::stream::encode_all(body.as_bytes(), 1).unwrap(),
        _ => body.into_bytes(),
    };
    let authorization = format!("Bearer {}", percent(secret));
    let cookie = format!("a=1; s={}", percent(secret));
    let mut headers = vec![(CONTENT_ENCODING.as_str(), coding)];
    match place {
        Place::MultipartField | Place::MultipartJson => {
            headers.push((CONTENT_TYPE.as_str(), "multipart/form-data; boundary=b"))
        }
        Place::Bearer => headers.push(("authorization", &authorization)),
        Place::Cookie => headers.push(("cookie", &cookie)),
        _ => {}
    }
    let target = match place {
        Place::Query => format!("/x?{}={}", percent(name), percent(secret)),
        Place::QueryAfterComma => format!("/x?fields=a,b&{}={}", percent(name), percent(secret)),
        _ => "/x".to_owned(),
    };
    let sent = Sent::new(&target, &headers, &body);
    if matches!(place, Place::ResponseField) {
        let object = format!("{{\"text\":{},{}:{}}}", escaped(around), escaped(name), escaped(secret));
        return sent.answered(&[], object.as_bytes());
    }
    sent
}

proptest! {
    #[test]
    fn a_planted_secret_is_gone_from_everything_that_leaves(
        place in prop::sample::select(vec![
            Place::JsonField, Place::JsonInJson, Place::JsonInForm, Place::FormField, Place::MultipartField,
            Place::MultipartJson, Place::UrlInJson, Place::UrlInForm, Place::Query, Place::QueryAfterComma, Place::Bearer, Place::Cookie, Place::ResponseField,
        ]),
        name in prop::sample::select(vec!["password", "access_token", "accessJwt", "client_secret", "refresh_token", "otp", "csrf_token", "X-Api-Key"]),
        secret in "S3CR[ -~]{0,6}3T[A-Za-z0-9/+=\"\\\\&é ]{0,12}",
        around in ".{0,20}",
        coding in prop::sample::select(vec!["identity", "gzip", "zstd"]),
    ) {
        let scrubbed = planted(place, name, &secret, &around, coding).scrub();
        let bytes = all(&scrubbed);
        prop_assert!(!contains(&bytes, "S3CR"), "{}", String::from_utf8_lossy(&bytes));
        prop_assert!(!contains(&bytes, &percent("S3CR")));
        let view = serde_json::from_slice::<serde_json::Value>(&scrubbed.json(&serde_json::json!([]), &Limits::default()));
        prop_assert!(view.is_ok(), "{view:?}");
    }

    #[test]
    fn no_bytes_make_it_panic_and_the_view_is_always_json(
        body in prop::collection::vec(prop::num::u8::ANY, 0..120),
        text in "[{}\\[\\]\":,a-d=&%\\\\0-9-]{0,60}",
        content_type in prop::sample::select(vec!["application/json", "text/plain", "multipart/form-data; boundary=d", "application/x-www-form-urlencoded", "*/*"]),
        coding in prop::sample::select(vec!["identity", "gzip", "deflate", "br", "zstd", "gzip, br", "odd"]),
    ) {
        for body in [body, text.into_bytes()] {
            let headers = [("content-type", content_type), ("content-encoding", coding)];
            let scrubbed = Sent::new("/x?%zz=%&&=&a", &headers, &body).answered(&headers, &body).scrub();
            let view = scrubbed.json(&serde_json::json!([]), &Limits::default());
            prop_assert!(crate::exchange::check_json(&view, 200).is_ok(), "{}", String::from_utf8_lossy(&view));
        }
    }
}
