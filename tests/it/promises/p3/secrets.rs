//! What must be found nowhere: planted secrets, and every way of writing them that the search knows.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Secrets to look for, each with a name for the message.
#[derive(Default)]
pub(crate) struct Wanted {
    names: Vec<String>,
    values: Vec<String>,
}

/// All spellings of all secrets as one automaton.
pub(crate) struct Search {
    automaton: AhoCorasick,
    /// Per pattern: which secret, and how it is spelled.
    patterns: Vec<(String, &'static str)>,
}

impl Wanted {
    /// Makes up a secret, and remembers it. The characters are such that most encodings change them.
    pub(crate) fn plant(&mut self, name: &str) -> String {
        let value = format!("{name}/Planted+{:02}&sec\"ret~Zq9", self.values.len());
        self.add(name, &value);
        value
    }

    /// The same, of characters that may stand in a header, a cookie or a path.
    pub(crate) fn plant_token(&mut self, name: &str) -> String {
        let value = format!("{name}.planted-{:02}_0x7Zq9TtB4", self.values.len());
        self.add(name, &value);
        value
    }

    /// One that was made elsewhere.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.names.push(name.to_owned());
        self.values.push(value.to_owned());
    }

    pub(crate) fn values(&self) -> &[String] {
        &self.values
    }

    pub(crate) fn search(&self) -> Search {
        let mut all: Vec<Vec<u8>> = Vec::new();
        let mut patterns = Vec::new();
        for (name, value) in self.names.iter().zip(&self.values) {
            for (how, spelled) in spellings(value.as_bytes()) {
                assert!(spelled.len() >= 16, "{name} is too short to be no chance");
                all.push(spelled);
                patterns.push((name.clone(), how));
            }
        }
        Search { automaton: AhoCorasick::new(all).unwrap(), patterns }
    }
}

impl Search {
    /// What is found in these bytes, and in whatever gzip and zlib streams lie in them.
    pub(crate) fn found(&self, bytes: &[u8]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        self.look(bytes, "", &mut found);
        for at in memchr::memmem::find_iter(bytes, &[0x1f, 0x8b, 8]) {
            self.look(&inflated(flate2::read::GzDecoder::new(&bytes[at..])), " in gzip", &mut found);
        }
        for header in [[0x78, 0x9c], [0x78, 0x01], [0x78, 0xda]] {
            for at in memchr::memmem::find_iter(bytes, &header).take(4096) {
                self.look(&inflated(flate2::read::ZlibDecoder::new(&bytes[at..])), " in zlib", &mut found);
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn look(&self, bytes: &[u8], within: &str, found: &mut Vec<String>) {
        for hit in self.automaton.find_overlapping_iter(bytes) {
            let (name, how) = &self.patterns[hit.pattern().as_usize()];
            let around = &bytes[hit.start().saturating_sub(120)..(hit.end() + 40).min(bytes.len())];
            found.push(format!("{name} ({how}{within}): …{}…", String::from_utf8_lossy(around).escape_debug()));
            if found.len() > 200 {
                return;
            }
        }
    }
}

/// What a stream gives until it ends or breaks, within a bound.
fn inflated(decoder: impl std::io::Read) -> Vec<u8> {
    use std::io::Read as _;
    let mut out = Vec::new();
    // What came before the break was read; most places only look like a beginning.
    let _broken = decoder.take(16 << 20).read_to_end(&mut out);
    out
}

fn spellings(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![("in the clear", value.to_vec())];
    all.push(("hex", hex::encode(value).into_bytes()));
    all.push(("hex", hex::encode_upper(value).into_bytes()));
    for lead in 0..3 {
        all.push(("base64", aligned(value, lead, |bytes| STANDARD_NO_PAD.encode(bytes))));
        all.push(("base64url", aligned(value, lead, |bytes| URL_SAFE_NO_PAD.encode(bytes))));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let per_byte =
        |write: &dyn Fn(u8) -> String| value.iter().map(|byte| write(*byte)).collect::<String>().into_bytes();
    let kept = |byte: u8, written: String| if plain(byte) { char::from(byte).to_string() } else { written };
    all.push(("percent", per_byte(&|byte| kept(byte, format!("%{byte:02X}")))));
    all.push(("percent", per_byte(&|byte| kept(byte, format!("%{byte:02x}")))));
    all.push(("form", form_urlencoded::byte_serialize(value).collect::<String>().into_bytes()));
    all.push(("percent, all", per_byte(&|byte| format!("%{byte:02X}"))));
    all.push(("percent, all", per_byte(&|byte| format!("%{byte:02x}"))));
    all.push(("json", serde_json::to_string(std::str::from_utf8(value).unwrap()).unwrap().trim_matches('"').into()));
    all.push((
        "json, slashes",
        per_byte(&|byte| match byte {
            b'/' | b'"' => format!("\\{}", char::from(byte)),
            _ => char::from(byte).to_string(),
        }),
    ));
    all.push(("json, some \\u", per_byte(&|byte| kept(byte, format!("\\u{byte:04x}")))));
    all.push(("json, all \\u", per_byte(&|byte| format!("\\u{byte:04x}"))));
    all.push(("json, all \\u", per_byte(&|byte| format!("\\u{byte:04X}"))));
    all.push(("utf-16", value.iter().flat_map(|byte| [*byte, 0]).collect()));
    all.sort();
    all.dedup_by(|one, other| one.1 == other.1);
    all
}

/// The characters of a base64 text that depend on nothing but the value, when `lead` other bytes stand before it.
fn aligned(value: &[u8], lead: usize, encode: impl Fn(Vec<u8>) -> String) -> Vec<u8> {
    let text = encode([&[0; 2][..lead], value].concat());
    let whole = (lead + value.len()) * 8 / 6;
    text.as_bytes()[(lead * 8).div_ceil(6)..whole].to_vec()
}

#[test]
fn the_search_finds_a_secret_however_it_is_written() {
    let mut wanted = Wanted::default();
    let value = wanted.plant("password");
    let search = wanted.search();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, format!("x{value}").as_bytes()).unwrap();
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut haystacks = vec![
        value.clone().into_bytes(),
        form.into_bytes(),
        hex::encode(&value).into_bytes(),
        serde_json::json!({ "a": value }).to_string().into_bytes(),
        [b"some bytes".to_vec(), gzip.finish().unwrap()].concat(),
    ];
    for user in ["a", "ab", "abc"] {
        haystacks.push(base64::engine::general_purpose::STANDARD.encode(format!("{user}:{value}:")).into_bytes());
    }
    for haystack in haystacks {
        assert!(!search.found(&haystack).is_empty(), "{}", String::from_utf8_lossy(&haystack));
    }
    assert!(search.found(&value.as_bytes()[1..]).is_empty());
}
