//! Every place that a credential may stand in is searched, or the body is lost.

use super::*;

#[test]
fn a_query_is_searched_to_its_end_whatever_stands_in_it() {
    for target in [
        "/x?fields=id,name&access_token=hunter2",
        "/x?a=b;access_token=hunter2",
        "/x?a=<b>\"c d&access_token=hunter2",
        "/x?a=?b&access_token=hunter2",
        "/x?to=https%3A%2F%2Fy.example%2F%3Faccess_token%3Dhunter2",
        "/x?to=https%253A%252F%252Fy.example%252F%253Faccess_token%253Dhunter2",
        "/x?to=%7B%22url%22%3A%22%2F%3Faccess_token%3Dhunter2%22%7D",
        "/x#/cb?access_token=hunter2",
        "https://ada:hunter2@y.example/x?u=1",
    ] {
        let referer = format!("https://social.example{target}, and more");
        let scrubbed = Sent::new(target, &[("referer", &referer), ("link", &format!("<{target}>; rel=\"a,b\""))], b"");
        let bytes = all(&scrubbed.scrub());
        assert!(!contains(&bytes, "hunter2"), "{target}: {}", String::from_utf8_lossy(&bytes));
    }
    let many = format!("/x?{}access_token=hunter2", "a=1&".repeat(5000));
    assert!(!contains(&all(&Sent::new(&many, &[], b"").scrub()), "hunter2"));
    let scrubbed = Sent::new("/x?fields=id,name&limit=20&q=a%3Db;c=d&text=1+1=2", &[], b"").scrub();
    assert_eq!(scrubbed.request.head.target, "/x?fields=id,name&limit=20&q=a%3Db;c=d&text=1+1=2");
    assert_eq!(scrubbed.redactions, []);
}

#[test]
fn urls_and_forms_inside_strings_are_searched() {
    for body in [
        r#"{"next":"https:\/\/y.example\/?a=1,2&access_token=hunter2"}"#,
        r#"{"body":"grant_type=x\u0026refresh_token\u003dhunter2"}"#,
        r#"{"a":"{\"b\":\"x=1&refresh_token=hunter2\"}"}"#,
        r#"{"clone":"https://ada:hunter2@y.example/a.git"}"#,
        r#"{"a":"to=https%3A%2F%2Fy%2F%3Faccess_token%3Dhunter2"}"#,
        r#"a=1&to=https%3A%2F%2Fy%2F%3Faccess_token%3Dhunter2&b=2"#,
        r#"see https://y.example/?to=%2F%3Ftoken%3Dhunter2 there"#,
    ] {
        let scrubbed = Sent::new("/x", &[], body.as_bytes()).scrub();
        assert!(!contains(&all(&scrubbed), "hunter2"), "{body}: {}", kept(&scrubbed));
        assert!(scrubbed.request.body.kept.size() > 0);
        let as_part = format!("--b\r\ncontent-disposition:form-data; name=x\r\n\r\n{body}\r\n--b--\r\n{body}");
        let headers = [("content-type", "multipart/form-data; boundary=b")];
        let scrubbed = Sent::new("/x", &headers, as_part.as_bytes()).scrub();
        assert!(!contains(&all(&scrubbed), "hunter2"), "{}", kept(&scrubbed));
    }
    let deep = (0..9).fold("a=1&password=hunter2".to_owned(), |text, _| format!("{{\"a\":{}}}", escaped(&text)));
    assert!(!contains(&all(&Sent::new("/x", &[], deep.as_bytes()).scrub()), "hunter2"));
}

#[test]
fn a_form_is_searched_beyond_what_rules_see_of_it() {
    let body = format!("{}access_token=hunter2", "a=1&".repeat(Limits::default().pairs + 10));
    let scrubbed = Sent::new("/x", &[("content-type", "application/x-www-form-urlencoded")], body.as_bytes()).scrub();
    assert!(!contains(&all(&scrubbed), "hunter2"));
    assert_eq!(scrubbed.request.body.lost, None);
    assert!(kept(&scrubbed).starts_with("a=1&a=1"));
}

#[test]
fn a_multipart_body_that_passes_a_limit_is_lost_rather_than_kept_unsearched() {
    let part = |head: &str, value: &str| format!("--b\r\n{head}\r\n\r\n{value}\r\n");
    let named = |name: &str, value: &str| part(&format!("content-disposition: form-data; name={name}"), value);
    let secret = named("access_token", "hunter2");
    let many: String = (0..300).map(|number| named(&format!("n{number}"), "v")).collect();
    let typed = "multipart/form-data; boundary=b";
    for (content_type, body) in [
        (typed, format!("{many}{secret}--b--\r\n")),
        (typed, format!("{}{secret}--b--\r\n", part(&"x: y\r\n".repeat(2000), "v"))),
        (typed, format!("{}--b{}\r\n{secret}--b--\r\n", named("a", "v"), " ".repeat(600))),
        (typed, format!("{}--b--\r\n", named("a", &format!("access_token=hunter2 {}", "x".repeat(2 << 20))))),
        ("multipart/form-data; boundary=other", format!("{secret}--b--\r\n").replace("--b", "..b")),
        ("multipart/form-data", format!(" {secret}--b--\r\n")),
    ] {
        for coding in ["identity", "gzip"] {
            let sent = if coding == "gzip" { gzip(body.as_bytes()) } else { body.clone().into_bytes() };
            let headers = [("content-type", content_type), ("content-encoding", coding)];
            let scrubbed = Sent::new("/x", &headers, &sent).scrub();
            let start: String = body.chars().take(120).collect();
            // What is large and dull is a bomb when it is coded.
            let lost = scrubbed.request.body.lost;
            assert!(matches!(lost, Some(Unread::Parts | Unread::Bomb)), "{lost:?} {coding} {start}");
            assert_eq!(scrubbed.request.body.kept.size(), 0);
            assert!(!contains(&all(&scrubbed), "hunter2"), "{coding} {start}");
        }
    }
    let upload = part("content-type: video/mp4", &"x".repeat(2 << 20));
    let scrubbed = Sent::new("/x", &[("content-type", typed)], format!("{upload}--b--\r\n").as_bytes()).scrub();
    assert_eq!(scrubbed.request.body.lost, None, "an upload without a file name is as large as it likes");
}

#[test]
fn a_file_in_a_coded_multipart_body_is_searched_for_the_credentials_of_the_head() {
    let longer = format!("{SECRET}and-more-of-it");
    let body = format!(
        "--b\r\ncontent-disposition:form-data; name=f; filename=a.bin\r\n\r\n\u{1}{SECRET}\u{2}{longer}\r\n--b--\r\n"
    );
    for coding in ["identity", "gzip"] {
        let sent = if coding == "gzip" { gzip(body.as_bytes()) } else { body.clone().into_bytes() };
        let headers = [
            ("content-type", "multipart/form-data; boundary=b"),
            ("content-encoding", coding),
            ("cookie", &format!("s={longer}")),
            ("authorization", &format!("Bearer {SECRET}")),
        ];
        let scrubbed = Sent::new("/x", &headers, &sent).scrub();
        let bytes = all(&scrubbed);
        assert!(!contains(&bytes, "hunter2") && !contains(&bytes, "and-more-of-it"), "{coding}: {}", kept(&scrubbed));
        assert_eq!(scrubbed.request.body.lost, None);
    }
}

#[test]
fn a_body_that_is_far_larger_than_its_coding_is_lost_whole() {
    let body = gzip(format!("{}access_token=hunter2", "a".repeat(40 << 20)).as_bytes());
    let scrubbed = Sent::new("/x", &[("content-encoding", "gzip")], &body).scrub();
    assert_eq!(scrubbed.request.body.lost, Some(Unread::Bomb));
    assert_eq!(scrubbed.request.body.kept.size(), 0);
}
#[test]
fn p3_a_login_is_taken_out_of_every_place_of_a_multipart_body() {
    let login = ("authorization", "Bearer hunter2/very+secret==");
    let content = ("content-type", "multipart/form-data; boundary=b");
    let long = "x".repeat(1 << 20);
    for body in [
        // A part's head, what stands before and after the parts, a file, a field that is too large to be read.
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{SECRET}\"; filename=\"{SECRET}\"\r\n\r\nx\r\n--b--\r\n"
        ),
        format!("{SECRET}\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n{SECRET}"),
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n{long}{SECRET}{long}\r\n--b--\r\n"
        ),
        format!("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{long}{SECRET}\r\n--b--\r\n"),
        // No parts at all, whatever the content type says.
        format!("{{\"password\": \"{SECRET}\", \"a\": \"b\"}}"),
    ] {
        let scrubbed = Sent::new("/x", &[login, content], body.as_bytes()).scrub();
        assert!(!contains(&all(&scrubbed), SECRET), "{:.200}", kept(&scrubbed));
        // What has no parts that can be told apart, or one that is too large to be searched, is not kept at all.
        let replaced = kept(&scrubbed).matches(&digest(SECRET)).count();
        assert!(
            scrubbed.request.body.lost.is_some() || replaced == body.matches(SECRET).count(),
            "{:.200}",
            kept(&scrubbed)
        );
    }
}

#[test]
fn a_credential_that_is_repeated_without_end_costs_no_more_than_its_length() {
    let login = ("authorization", "Bearer hunter2/very+secret==");
    let body = format!("{SECRET} ").repeat(200_000);
    let scrubbed = Sent::new("/x", &[login, ("content-type", "text/plain")], body.as_bytes()).scrub();
    assert_eq!(kept(&scrubbed).matches(&digest(SECRET)).count(), 200_000);
}
