//! Whatever cannot be meant is refused with file, line and what would be right.

use super::Given;

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    let shown = Given::new("[proxy]\n\nlisen = \"127.0.0.1:1\"\n").refusal();
    assert_eq!(
        shown,
        "muniment.toml:3:1: unknown key `lisen`; did you mean `listen`? known here: listen, plain_networks, tls, limits"
    );
    let shown = Given::new("[archve]\n").refusal();
    assert!(shown.starts_with("muniment.toml:1:2: unknown key `archve`; did you mean `archive`?"), "{shown}");
    let shown = Given::new("[log]\nzzz = 1\n").refusal();
    assert_eq!(shown, "muniment.toml:2:1: unknown key `zzz`; known here: filter, format");
}

#[test]
fn a_bad_value_is_refused_with_its_line_and_what_would_be_right() {
    for (text, expected) in [
        ("[proxy]\nlisten = \"localhost\"", "2:10: not an address with a port; write 127.0.0.1:8470 or [::1]:8470"),
        (
            "[proxy.limits]\nidle_timeout = 30",
            "2:16: invalid type: integer `30`, expected a length of time in quotes, such as \"30s\"",
        ),
        (
            "[proxy.limits]\nhead = \"64 KB\"",
            "2:8: `64 KB` is not a size; write a whole number with B, KiB, MiB, GiB or TiB, such as \"64 MiB\"",
        ),
        ("[proxy.limits]\nhead = \"1 KiB\"", "2:1: `proxy.limits.head`: between \"4 KiB\" and \"1 MiB\""),
        (
            "[proxy.limits]\nheld_disk = \"1 GiB\"",
            "2:1: `proxy.limits.held_disk`: between \"1026 MiB\" and \"1024 TiB\"",
        ),
        (
            "[proxy.limits]\nheld_memory = \"100 KiB\"",
            "2:1: `proxy.limits.held_memory`: between \"256 KiB\" and \"1 TiB\"",
        ),
        ("[proxy.limits]\nread = \"1 KiB\"", "2:1: `proxy.limits.read`: between \"64 KiB\" and \"4 GiB\""),
        ("[proxy.limits]\nquery = \"1 GiB\"", "2:1: `proxy.limits.query`: between \"4 KiB\" and \"64 MiB\""),
        ("[proxy.limits]\nanswer = \"0 B\"", "2:1: `proxy.limits.answer`: between \"4 KiB\" and \"64 MiB\""),
        ("[proxy.limits]\nconnections = 0", "2:1: `proxy.limits.connections`: between 1 and 1000000"),
        (
            "[intercept]\nextra_hosts = [\n  \"a.example\",\n  \"https://b.example\",\n]",
            "4:3: `https://b.example` is not a host name; write it bare, such as social.example, without scheme, port, path or wildcard",
        ),
        ("[archive]\nwhen_unavailable = \"buffer\"", "2:20: unknown variant `buffer`, expected `spool` or `refuse`"),
        (
            "[archive]\nurl = \"mysql://h/d\"",
            "2:1: `archive.url`: write postgres://user@host/database, with sslmode=verify-full off this machine",
        ),
        ("[archive]\nappend_timeout = \"10ms\"", "2:1: `archive.append_timeout`: at least \"1s\""),
        (
            "[upstream]\nproxy = \"socks5://h:1\"",
            "2:9: `socks5://h:1` is not a parent proxy; write http://proxy.example:3128",
        ),
        (
            "[upstream]\nallow_networks = [\"10/8\"]",
            "2:19: `10/8` is not an address range; write 10.0.0.0/8, fd00::/8 or a single address",
        ),
        (
            "[upstream.resolve]\n\"a.example\" = \"10.0.0.1\"",
            "2:15: not an address with a port; write 127.0.0.1:8470 or [::1]:8470",
        ),
        (
            "[firm]\nlog_origin = \"https://a.example/l\"",
            "2:1: `firm.log_origin`: write a host and a path without scheme, such as archive.firm.example/ledger",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:8470\"",
            "2:1: `api.listen`: is the address of proxy.listen too; take another port",
        ),
        ("[proxy.tls]\nlisten = \"0.0.0.0:8443\"\nkey = \"k\"", "1:1: missing field `certificate`"),
        (
            "[log]\nfilter = \"a=b=c\"",
            "2:1: `log.filter`: `a=b=c` is not a log filter; write a level such as `info`, or `info,muniment::proxy=debug`",
        ),
        ("[log]\nformat = \"xml\"", "2:10: unknown variant `xml`, expected `json` or `pretty`"),
        (
            "[backup]\nretention = 35",
            "2:13: invalid type: integer `35`, expected a length of time in quotes, such as \"30s\"",
        ),
        ("[log", "1:5: unclosed table, expected `]`"),
        ("[log]\n[log]", "2:2: duplicate key"),
    ] {
        let shown = Given::new(text).refusal();
        assert_eq!(shown, format!("muniment.toml:{expected}"), "for {text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_refused_with_a_hint() {
    let given = Given::new("");
    std::fs::remove_file(given.file()).unwrap();
    assert_eq!(given.refusal(), "settings file muniment.toml cannot be read; check --config and MUNIMENT_CONFIG");
}

#[test]
fn a_file_without_end_is_not_read_into_memory() {
    let environment = std::collections::BTreeMap::new();
    let zero = std::path::Path::new("/dev/zero");
    assert!(muniment::settings::load(Some(zero), &environment).is_err());
}
