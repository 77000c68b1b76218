//! HTML as networks write it: to plain text, and the JSON that pages carry in script elements.
//!
//! No general parser: what cannot be understood stays in the text rather than being lost.

/// The words of a fragment of HTML. Paragraphs are parted by an empty line, `<br>` is a line end, images give their alt text.
pub(crate) fn text(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        rest = if special.starts_with('<') { tag(special, &mut out) } else { entity(special, &mut out) };
    }
    out.push_str(rest);
    out.trim().to_owned()
}

/// Consumes a tag, and what it does to the text.
fn tag<'a>(html: &'a str, out: &mut String) -> &'a str {
    let letter = html.chars().nth(1).unwrap_or(' ');
    let Some(end) = tag_end(html).filter(|_end| letter.is_ascii_alphabetic() || matches!(letter, '/' | '!')) else {
        out.push('<');
        return html.strip_prefix('<').unwrap_or("");
    };
    let (inside, rest) = html.split_at_checked(end).unwrap_or((html, ""));
    let inside = inside.trim_start_matches('<').trim_end_matches('>');
    let name: String =
        inside.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').map(|c| c.to_ascii_lowercase()).collect();
    match name.as_str() {
        "br" | "br/" => out.push('\n'),
        "p" | "/p" | "blockquote" | "/blockquote" | "ul" | "/ul" | "ol" | "/ol" | "pre" | "/pre" | "h1" | "/h1"
        | "h2" | "/h2" | "h3" | "/h3" | "h4" | "/h4" | "h5" | "/h5" | "h6" | "/h6" => break_lines(out, 2),
        "div" | "/div" | "li" | "/li" | "tr" | "/tr" => break_lines(out, 1),
        "img" => out.push_str(&attribute(inside, "alt").map(|alt| text(&alt)).unwrap_or_default()),
        "script" | "style" => {
            let close = format!("</{name}");
            let lower = rest.to_ascii_lowercase();
            return lower.find(&close).and_then(|at| rest.get(at..)).unwrap_or("");
        }
        _ => {}
    }
    rest
}

fn break_lines(out: &mut String, wanted: usize) {
    let have = out.chars().rev().take_while(|c| *c == '\n').count();
    if !out.is_empty() {
        out.extend(std::iter::repeat_n('\n', wanted.saturating_sub(have)));
    }
}

/// Offset after the `>` that closes a tag; quoted attribute values may hold `>`.
fn tag_end(html: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in html.char_indices() {
        match (quote, character) {
            (None, '>') => return Some(at + 1),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    None
}

/// An attribute's value as written.
fn attribute(tag: &str, wanted: &str) -> Option<String> {
    let mut rest = tag.split_once(char::is_whitespace)?.1;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let name_end = rest.find(|c: char| c.is_whitespace() || c == '=' || c == '/').unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(name_end)?;
        if name.is_empty() && after.is_empty() {
            return None;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            rest = if name.is_empty() { after.get(1..).unwrap_or("") } else { after };
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, tail) = match quote {
            Some(quote) => {
                let inner = value.get(1..).unwrap_or("");
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            None => value.split_at_checked(value.find(char::is_whitespace).unwrap_or(value.len()))?,
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.to_owned());
        }
        rest = tail;
    }
}

/// Consumes a character reference.
fn entity<'a>(html: &'a str, out: &mut String) -> &'a str {
    let decoded = html.get(1..).and_then(|rest| {
        let end = rest.bytes().take(12).position(|byte| byte == b';')?;
        let (name, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
        let character = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            "hellip" => '…',
            _ => {
                let number = name.strip_prefix('#')?;
                let hex = number.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16).ok());
                char::from_u32(hex.unwrap_or_else(|| number.parse().ok())?)?
            }
        };
        Some((character, rest))
    });
    if let Some((character, rest)) = decoded {
        out.push(character);
        return rest;
    }
    out.push('&');
    html.get(1..).unwrap_or("")
}

/// More script elements than this are no page of a network.
const MAX_SCRIPTS: usize = 64;

/// The contents of every `<script type="application/json">`, each with its `id`.
pub(crate) fn json_scripts(html: &str) -> Vec<(Option<String>, &str)> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find("<script") {
        let Some(element) = rest.get(at..) else { break };
        let Some(end) = tag_end(element) else { break };
        let (tag, content) = element.split_at_checked(end).unwrap_or((element, ""));
        let Some(close) = content.find("</script") else { break };
        let json = attribute(tag.trim_end_matches('>'), "type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
        if json {
            let id = attribute(tag.trim_end_matches('>'), "id");
            found.push((id, content.get(..close).unwrap_or("").trim()));
        }
        if found.len() >= MAX_SCRIPTS {
            break;
        }
        rest = content.get(close..).unwrap_or("");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_reads_as_it_looks() {
        let html = r#"<p>Hello <span class="h-card"><a href="https://s.example/@bob" class="u-url mention">@<span>bob</span></a></span>,<br />line two &amp; &lt;three&gt;&#39;&#x1F680;</p><p>See <a href="https://long.example/path"><span class="invisible">https://</span><span class="ellipsis">long.example/pa</span><span class="invisible">th</span></a> <img alt=":blob:" title=">"/></p>"#;
        assert_eq!(text(html), "Hello @bob,\nline two & <three>'🚀\n\nSee https://long.example/path :blob:");
        assert_eq!(text("1 < 2 & 3 &bogus; <"), "1 < 2 & 3 &bogus; <");
        assert_eq!(text("a<script>var x = '<p>';</script>b<ul><li>c</li><li>d</li></ul>"), "ab\n\nc\nd");
    }

    #[test]
    fn pages_give_their_json() {
        let html = r#"<html><script src=a.js></script><script id='initial-state' type="application/json">{"a":1}</script><script type="application/json" id=b>[2]</script>"#;
        let found = json_scripts(html);
        assert_eq!(found, [(Some("initial-state".to_owned()), "{\"a\":1}"), (Some("b".to_owned()), "[2]")]);
    }

    proptest::proptest! {
        #[test]
        fn no_html_makes_it_panic(html in "(<|>|/|p|br|img |alt=|\"|'|&|#x1|;|é|script|=| ){0,60}") {
            let read = text(&html);
            proptest::prop_assert!(read.len() <= html.len().saturating_mul(3));
            json_scripts(&html);
        }
    }
}
