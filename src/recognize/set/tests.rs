//! Planning from the head, and what loading says about bad files.

use http::{HeaderMap, Version};

use super::*;
use crate::exchange::Scheme;
use crate::recognize::Tee;

fn head(method: &str, url: &str) -> RequestHead {
    let (authority, path) = url.split_once('/').unwrap();
    RequestHead {
        method: method.parse().unwrap(),
        scheme: Scheme::Https,
        authority: authority.parse().unwrap(),
        target: format!("/{path}"),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
    }
}

fn listed(hosts: &[&str]) -> ListedHosts {
    hosts.iter().map(|host| host.parse::<HostPattern>().unwrap()).collect()
}

fn set(text: &str) -> Result<RuleSet, RuleErrors> {
    RuleSet::load(&[Source { file: "rules.toml".to_owned(), text: text.to_owned() }])
}

#[test]
fn rules_for_any_host_apply_to_listed_hosts_only() {
    let set = RuleSet::embedded().unwrap();
    let status = head("POST", "social.example/api/v1/statuses");
    let Plan::Hold(hold) = set.plan(&status, &listed(&["social.example"])) else { panic!("a status is held") };
    assert_eq!(hold.network.as_deref(), Some("mastodon"));
    let Plan::Hold(hold) = set.plan(&status, &listed(&[])) else { panic!("an unknown write is held") };
    assert_eq!(hold.network, None);
    assert!(!set.claims("social.example", &listed(&["other.example"])));
    assert!(set.claims("social.example", &listed(&["*.example"].map(|_| "social.example"))));
    assert!(set.claims("morel.us-east.host.bsky.network", &listed(&[])));
}

#[test]
fn on_a_host_without_rules_every_write_shape_is_held_and_nothing_else() {
    let set = RuleSet::embedded().unwrap();
    let none = listed(&[]);
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH", "CONNECT"] {
        let plan = set.plan(&head(method, "api.x.example/2/tweets"), &none);
        assert_eq!(plan, Plan::Hold(Hold { network: None, release: Release::Whole, keep: Keep::Whole }), "{method}");
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(set.plan(&head(method, "api.x.example/2/tweets"), &none), Plan::Forward, "{method}");
    }
    for path in ["login", "oauth2/token.json", "users/sign_in", "account/reset-password"] {
        let plan = set.plan(&head("POST", &format!("api.x.example/{path}")), &none);
        assert_eq!(plan, Plan::Hold(Hold { network: None, release: Release::Whole, keep: Keep::Head }), "{path}");
    }
    let mut socket = head("GET", "api.x.example/stream");
    socket.headers.insert("upgrade", "WebSocket".parse().unwrap());
    let channel = Channel { network: None, outbound: Outbound::Hold, inbound: false, read: None };
    assert_eq!(set.plan(&socket, &none), Plan::Messages(channel));
}

#[test]
fn p1_a_rule_is_not_believed_where_the_origin_may_read_another_path() {
    let set = set(r#"
        name = "n"
        title = "N"
        hosts = ["n.example"]
        [[rule]]
        id = "translate"
        method = "POST"
        path = "/statuses/{id}/translate"
        plan = "ignore"
        [[rule]]
        id = "login"
        method = "POST"
        path = "/login"
        plan = "credential"
        [[rule]]
        id = "upload"
        method = "POST"
        path = "/upload/{name}"
        plan = "write"
        hold = "tail"
        extract = "empty"
    "#)
    .unwrap();
    let none = listed(&[]);
    let whole = |network: Option<&str>| {
        Plan::Hold(Hold { network: network.map(Into::into), release: Release::Whole, keep: Keep::Whole })
    };
    for (path, network) in [
        ("statuses/1%2f2/translate", Some("n")),
        ("statuses/../translate", Some("n")),
        ("statuses/1\\2/translate", Some("n")),
        ("statuses//translate", Some("n")),
        ("statuses/1#/translate", Some("n")),
        ("./login", None),
        ("%6Cogin/", Some("n")),
        ("upload/a%5Cb", Some("n")),
        ("posts/%2E%2e/login", None),
        ("posts#/login", None),
    ] {
        let plan = set.plan(&head("POST", &format!("n.example/{path}")), &none);
        if path.starts_with("%6C") {
            assert_eq!(plan, Plan::Credential, "an escaped letter is that letter");
        } else {
            assert_eq!(plan, whole(network), "{path}");
        }
    }
    assert_eq!(set.plan(&head("POST", "x.example/a/../login"), &none), whole(None), "nor a word in an unknown path");
    assert_eq!(set.plan(&head("GET", "n.example/a/../b"), &none), Plan::Forward, "a read is none the less");
}

#[test]
fn p1_a_websocket_is_held_unless_a_rule_about_messages_says_otherwise() {
    let set = set(r#"
        name = "n"
        title = "N"
        hosts = ["n.example"]
        [[rule]]
        id = "feed"
        method = "GET"
        path = "/feed"
        plan = "read"
        extract = "empty"
        [[rule]]
        id = "vote"
        method = ["GET", "POST"]
        path = "/vote"
        plan = "write"
        extract = "empty"
        [[rule]]
        id = "beacon"
        path = "/beacon"
        plan = "ignore"
        [[rule]]
        id = "live"
        path = "/live/{id}"
        plan = "messages"
        direction = "inbound"
        extract = "empty"
    "#)
    .unwrap();
    let none = listed(&[]);
    let held = Plan::Messages(Channel { network: None, outbound: Outbound::Hold, inbound: false, read: None });
    let socket = |method: &str, path: &str, values: &[&'static str]| {
        let mut head = head(method, &format!("n.example/{path}"));
        for value in values {
            head.headers.append("upgrade", http::HeaderValue::from_static(value));
        }
        head
    };
    for (path, values) in [
        ("beacon", &["h2c, WebSocket"][..]),
        ("beacon", &["x", "websocket/13"]),
        ("live/a%2fb", &["websocket"]),
        ("other", &["websocket"]),
    ] {
        assert_eq!(set.plan(&socket("GET", path, values), &none), held, "{path} {values:?}");
    }
    let channel = Channel { network: Some("n".into()), outbound: Outbound::Relay, inbound: true, read: None };
    let live = Plan::Messages(channel);
    assert_eq!(set.plan(&socket("GET", "live/1", &["websocket"]), &none), live);
    let written = Plan::Hold(Hold { network: None, release: Release::Whole, keep: Keep::Whole });
    assert_eq!(set.plan(&socket("POST", "other", &["websocket"]), &none), written, "only a GET opens one");
    let read = Some(Tee { network: "n".into() });
    let feed = Plan::Messages(Channel { network: None, outbound: Outbound::Hold, inbound: false, read });
    assert_eq!(set.plan(&socket("GET", "feed", &["websocket"]), &none), feed, "a read unless a channel is opened");
    let vote = Plan::Hold(Hold { network: Some("n".into()), release: Release::Whole, keep: Keep::Whole });
    assert_eq!(set.plan(&socket("GET", "vote", &["websocket"]), &none), vote, "a write is a write");
    assert_eq!(set.plan(&socket("GET", "beacon", &["web"]), &none), Plan::Forward);
}

#[test]
fn conditions_on_the_head_choose_between_rules_of_one_path() {
    let set = set(r#"
        name = "n"
        title = "N"
        hosts = ["n.example"]
        [[rule]]
        id = "quiet"
        path = "/act"
        plan = "ignore"
        when = [{ query = "name", one_of = ["a b", "seen"] }, { header = "X-Mode", starts_with = "quiet" }]
        [[rule]]
        id = "look"
        method = "GET"
        path = "/act"
        plan = "read"
        extract = "empty"
        [[rule]]
        id = "say"
        method = ["POST", "PUT"]
        path = "/act"
        plan = "write"
        hold = "tail"
        extract = "empty"
    "#)
    .unwrap();
    let mut request = head("POST", "n.example/act?x=1&name=a+b");
    let held = Plan::Hold(Hold { network: Some("n".into()), release: Release::Tail, keep: Keep::Whole });
    assert_eq!(set.plan(&request, &listed(&[])), held);
    request.headers.insert("x-mode", "QUIETly".parse().unwrap());
    assert_eq!(set.plan(&request, &listed(&[])), Plan::Forward);
    assert_eq!(set.plan(&head("GET", "n.example/act"), &listed(&[])), Plan::Tee(Tee { network: "n".into() }));
}

#[test]
fn a_bad_file_names_every_fault_with_its_line_and_what_would_be_right() {
    let text = r#"name = "n"
title = "N"
hosts = ["*"]
[[rule]]
id = "a"
method = "post"
path = "x"
plan = "write"
[[rule]]
id = "b"
path = "/y"
plan = "ignore"
[[rule]]
id = "b"
method = "POST"
path = "/y"
plan = "ignore"
when = [{ query = "a", header = "b", exists = true }]
"#;
    let errors = set(text).unwrap_err().to_string();
    insta::assert_snapshot!(errors, @r#"
    rules.toml:3: `*` is not a host pattern: write a name such as social.example, or *.social.example for every name below it
    rules.toml:6: rule `a`: `post` is not a method: write it in upper case, such as POST
    rules.toml:7: rule `a`: begin the path with `/`, such as /api/v1/statuses/{id}
    rules.toml:8: rule `a`: a write needs `extract`; for requests kept raw say `plan = "unclassified"`
    rules.toml:14: rule `b`: a rule called `b` is already there; give each rule its own id
    rules.toml:18: rule `b`: a condition has one place (`query`, `header`, `form` or `json`) and one test (`exists`, `equals`, `one_of` or `starts_with`)
    rules.toml:14: rule `b`: `b` stands before it, takes the same requests and has no condition, so this rule can never speak: give `b` a `when`, or put this rule first
    "#);
    let unknown =
        set("name = \"n\"\ntitle = \"N\"\nhosts = []\n[[rule]]\nid = \"a\"\npat = \"/\"\nplan = \"ignore\"\n");
    insta::assert_snapshot!(
        unknown.unwrap_err().to_string(),
        @"rules.toml:6: unknown field `pat`, expected one of `id`, `method`, `path`, `plan`, `hold`, `direction`, `when`, `decoder`, `extract`, `outcome`, `authenticated`, `account`, `session`"
    );
}

#[test]
fn a_read_shows_an_account_only_if_it_says_that_the_origin_took_the_credential() {
    let rule = |more: &str| {
        format!(
            "name = \"n\"\ntitle = \"N\"\nhosts = [\"n.example\"]\n[[rule]]\nid = \"me\"\npath = \"/me\"\n{more}\nextract = \"empty\"\n"
        )
    };
    let read = "plan = \"read\"\naccount = \"{id: .response.json.id}\"";
    let errors = set(&rule(read)).unwrap_err().to_string();
    assert!(errors.contains("say `authenticated = true`"), "{errors}");
    assert!(set(&rule(&format!("{read}\nauthenticated = true"))).is_ok());
    let errors = set(&rule("plan = \"write\"\nauthenticated = true")).unwrap_err().to_string();
    assert!(errors.contains("`authenticated` belongs to a read"), "{errors}");
}

#[test]
fn comments_and_layout_do_not_change_the_digest_and_content_does() {
    let base = "name = \"n\"\ntitle = \"N\"\nhosts = [\"n.example\"]\n";
    let digest = |text: &str| set(text).unwrap().digest();
    assert_eq!(digest(base), digest(&format!("# note\n{}", base.replace(" = ", "="))));
    assert_ne!(digest(base), digest(&base.replace("\"N\"", "\"M\"")));
}

#[test]
fn the_example_in_the_documentation_is_a_rule_file() {
    let text = include_str!("../../../docs/RULES.md");
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let set = set(example).unwrap_or_else(|errors| panic!("{errors}"));
    let mut comment = head("POST", "www.social.example/api/posts/7/comments?act=create");
    comment.headers.insert("x-mode", "Quick".parse().unwrap());
    let rule = set.first_rule(&comment, &listed(&[])).map(|(_network, rule)| rule.id.to_string());
    assert_eq!(rule.as_deref(), Some("example/comment"));
}
